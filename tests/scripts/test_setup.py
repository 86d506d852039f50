"""The decisions of the set-up scripts, without a compiler, a package index or a network."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import tomllib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.files import SHIPPED

sys.path.insert(0, str(SHIPPED / "scripts"))

import native_wheel
import openvm_wheel
import recursion
import setup
import steps
import toolchain
from steps import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLANG = "Debian clang version 14.0.6"
OLD_CLANG = "Ubuntu clang version 11.1.0"
GCC = "g++ (Debian 12.2.0-14) 12.2.0"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.4, "59 s"), (344.7, "5 min 45 s")]
)
def test_durations(seconds: float, text: str) -> None:
    assert steps.human(seconds) == text


@pytest.mark.parametrize(
    ("value", "on"), [("1", True), ("true", True), ("YES", True), ("0", False), ("", False)]
)
def test_switches(value: str, on: bool) -> None:
    assert steps.enabled({"RUNNER_CUDA": value}, "RUNNER_CUDA") is on
    assert not steps.enabled({}, "RUNNER_CUDA")


class TestAptPrefix:
    @staticmethod
    def prefix(
        env: Mapping[str, str], programs: set[str], uid: int, sudo: str = ""
    ) -> list[str] | None:
        return steps.apt_prefix(
            env,
            which=lambda name: f"/usr/bin/{name}" if name in programs else None,
            uid=lambda: uid,
            ask=lambda *_: sudo,
        )

    def test_root_calls_it_directly(self) -> None:
        assert self.prefix({}, {"apt-get"}, 0) == ["env", "DEBIAN_FRONTEND=noninteractive"]

    def test_sudo_only_without_a_password(self) -> None:
        assert self.prefix({}, {"apt-get", "sudo"}, 1000) is None
        allowed = self.prefix({}, {"apt-get", "sudo"}, 1000, sudo="yes")
        assert allowed is not None
        assert allowed[:2] == ["sudo", "-n"]

    def test_not_without_apt_and_not_when_forbidden(self) -> None:
        assert self.prefix({}, {"sudo"}, 0, sudo="yes") is None
        assert self.prefix({"RUNNER_NO_INSTALL": "1"}, {"apt-get"}, 0) is None


class TestCompiler:
    @pytest.mark.parametrize(
        ("there", "cc", "cxx"),
        [
            ({"clang++": CLANG, "g++": GCC}, "clang", "clang++"),
            ({"clang++": "Apple clang version 13.0.0"}, "clang", "clang++"),
            ({"clang++-15": "clang version 15.0.7", "g++": GCC}, "clang-15", "clang++-15"),
            ({"clang++-14": CLANG, "clang++-19": "clang version 19.1"}, "clang-19", "clang++-19"),
            ({"clang++": OLD_CLANG, "clang++-16": "clang version 16"}, "clang-16", "clang++-16"),
            ({"clang++": OLD_CLANG, "c++": GCC, "g++": GCC}, "cc", "c++"),
            ({"g++": GCC}, "gcc", "g++"),
        ],
    )
    def test_the_best_there_is(self, there: dict[str, str], cc: str, cxx: str) -> None:
        chosen = toolchain.choose_compiler(
            {},
            version_of=lambda name: there.get(name, ""),
            installed=lambda: [name for name in there if name.startswith("clang++-")],
        )
        assert chosen == toolchain.Compiler(cc, cxx, there[cxx])
        assert chosen.is_clang is ("clang" in cxx)

    def test_nothing_there(self) -> None:
        chosen = toolchain.choose_compiler({}, version_of=lambda _: "", installed=list)
        assert chosen is None

    def test_the_users_choice_stands(self) -> None:
        chosen = toolchain.choose_compiler({"CXX": "/opt/gcc/bin/g++-13"}, version_of=lambda _: GCC)
        assert chosen == toolchain.Compiler("/opt/gcc/bin/gcc-13", "/opt/gcc/bin/g++-13", GCC)
        chosen = toolchain.choose_compiler({"CXX": "x", "CC": "y"}, version_of=lambda _: "")
        assert chosen == toolchain.Compiler("y", "x", "unknown")

    def test_nothing_and_not_allowed_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(toolchain, "choose_compiler", lambda _: None)
        with pytest.raises(SetupError, match="apt-get install clang"):
            toolchain.ensure_compiler({"RUNNER_NO_INSTALL": "1"})

    def test_gcc_alone_says_what_it_costs(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        gcc = toolchain.Compiler("gcc", "g++", GCC)
        monkeypatch.setattr(toolchain, "choose_compiler", lambda _: gcc)
        assert toolchain.ensure_compiler({"RUNNER_NO_INSTALL": "1"}) == gcc
        assert re.search(r"over 40 minutes.*apt-get install clang", capsys.readouterr().err)

    def test_clang_is_installed_where_that_is_allowed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clang = toolchain.Compiler("clang", "clang++", CLANG)
        found = iter([toolchain.Compiler("gcc", "g++", GCC), clang])
        asked: list[str] = []
        monkeypatch.setattr(toolchain, "choose_compiler", lambda _: next(found))
        monkeypatch.setattr(sys, "platform", "linux")

        def apt_install(packages: list[str], _why: str, _env: Mapping[str, str]) -> bool:
            asked.extend(packages)
            return True

        monkeypatch.setattr(toolchain, "apt_install", apt_install)
        assert toolchain.ensure_compiler({}) == clang
        assert "clang" in asked


class TestRust:
    def test_missing(self, tmp_path: Path) -> None:
        env = {"PATH": str(tmp_path), "CARGO_HOME": str(tmp_path / "cargo")}
        with pytest.raises(SetupError, match=r"rustup\.rs"):
            toolchain.find_rust(env, SHIPPED / native_wheel.CRATE)

    def test_too_old_for_the_crate(self, tmp_path: Path) -> None:
        programs = tmp_path / "cargo" / "bin"
        programs.mkdir(parents=True)
        for name in ("cargo", "rustc"):
            (programs / name).write_text("#!/bin/sh\necho 'release: 1.63.0'\necho 'host: x-y-z'\n")
            (programs / name).chmod(0o755)
        env = {"PATH": str(tmp_path), "CARGO_HOME": str(programs.parent)}
        with pytest.raises(SetupError, match=r"1\.63\.0, at least 1\.\d+ is needed"):
            toolchain.find_rust(env, SHIPPED / native_wheel.CRATE)

    def test_version_fields(self) -> None:
        rust = toolchain.Rust(
            "cargo", "rustc 1.95.0 (5980)\nhost: x86_64-y\nrelease: 1.95.0-beta.1"
        )
        assert (rust.release, rust.host) == ("1.95.0-beta.1", "x86_64-y")
        assert toolchain.as_numbers(rust.release) == (1, 95, 0)


class TestWheelKey:
    def test_source_digest_sees_contents_and_names_but_no_outputs(self, tmp_path: Path) -> None:
        (tmp_path / "src").mkdir()
        (tmp_path / "src/lib.rs").write_text("// a")
        first = native_wheel.source_digest(tmp_path)
        (tmp_path / "target").mkdir()
        (tmp_path / "target/big").write_text("x")
        (tmp_path / "x.so").write_text("x")
        assert native_wheel.source_digest(tmp_path) == first
        (tmp_path / "src/lib.rs").write_text("// b")
        second = native_wheel.source_digest(tmp_path)
        (tmp_path / "src/lib.rs").rename(tmp_path / "src/main.rs")
        assert len({first, second, native_wheel.source_digest(tmp_path)}) == 3

    def test_every_part_counts(self) -> None:
        parts = {"source": "a", "recursion": "none"}
        key = native_wheel.wheel_key(parts)
        assert native_wheel.wheel_key(dict(reversed(parts.items()))) == key
        assert native_wheel.wheel_key(parts | {"recursion": "ab"}) != key
        assert native_wheel.wheel_key({"source": "anone", "recursion": ""}) != key

    def test_the_crate_is_all_of_its_source(self) -> None:
        """The digest covers only the crate's folder: no path dependency may lead out of it."""
        cargo = tomllib.loads((SHIPPED / native_wheel.CRATE / "Cargo.toml").read_text())
        tables = [cargo.get(f"{kind}dependencies", {}) for kind in ("", "build-", "dev-")]
        paths = [
            d["path"] for t in tables for d in t.values() if isinstance(d, dict) and "path" in d
        ]
        assert paths == []

    def test_only_the_wheels_used_last_are_kept(self, tmp_path: Path) -> None:
        for age in range(native_wheel.KEPT_WHEELS + 2):
            (tmp_path / f"w{age}").mkdir()
            os.utime(tmp_path / f"w{age}", (1000 - age, 1000 - age))
        (tmp_path / ".incoming-x").mkdir()
        native_wheel.prune(tmp_path)
        kept = {path.name for path in tmp_path.iterdir()}
        assert kept == {".incoming-x", *(f"w{age}" for age in range(native_wheel.KEPT_WHEELS))}


class TestBuildEnvironment:
    RUST = toolchain.Rust("/opt/rust/cargo", "host: x86_64-unknown-linux-gnu")
    CLANG = toolchain.Compiler("clang", "clang++", CLANG)

    def env(self, env: dict[str, str], programs: Path | None = None) -> dict[str, str]:
        return native_wheel.build_env(env, Path("/cache/t"), self.RUST, self.CLANG, programs)

    def test_without_recursion_programs(self) -> None:
        env = self.env({"PATH": "/bin", "RECURSION_SRC_PATH": "/old", "https_proxy": "p"})
        assert (env["CC"], env["CXX"], env["DOCS_RS"]) == ("clang", "clang++", "1")
        assert "RECURSION_SRC_PATH" not in env
        assert env["https_proxy"] == "p"
        assert env["PATH"] == "/opt/rust:/bin"

    def test_with_recursion_programs(self) -> None:
        env = self.env({"DOCS_RS": "1"}, Path("/cache/r.zip"))
        assert env["RECURSION_SRC_PATH"] == "/cache/r.zip"
        assert "DOCS_RS" not in env

    @pytest.mark.parametrize(
        ("flags", "level"),
        [
            ("fpu sse4_2", "portable"),
            ("avx avx2 bmi1 bmi2 f16c fma abm movbe", "x86-64-v3"),
            ("avx avx2 bmi1 bmi2 f16c fma abm movbe avx512f", "x86-64-v3"),
            (
                "avx avx2 bmi1 bmi2 f16c fma abm movbe avx512f avx512bw avx512cd avx512dq avx512vl",
                "x86-64-v4",
            ),
        ],
    )
    def test_the_best_level_of_this_cpu(
        self, monkeypatch: pytest.MonkeyPatch, flags: str, level: str
    ) -> None:
        monkeypatch.setattr(native_wheel, "cpu_model", lambda: f"flags\t: {flags}")
        assert native_wheel.target_cpu({}) == level
        rustflags = self.env({"RUSTFLAGS": "-C debuginfo=0"})["RUSTFLAGS"]
        assert rustflags.removeprefix("-C debuginfo=0") == (
            "" if level == "portable" else f" -C target-cpu={level}"
        )

    def test_a_cpu_that_is_asked_for(self) -> None:
        assert "RUSTFLAGS" not in self.env({"RUNNER_CPU": "portable"})
        assert self.env({"RUNNER_CPU": "native"})["RUSTFLAGS"] == "-C target-cpu=native"
        with pytest.raises(SetupError, match=r"RUNNER_CPU=fast is not a choice; give one of"):
            native_wheel.target_cpu({"RUNNER_CPU": "fast"})

    def test_cuda_is_compiled_for_this_gpu_unless_flags_say_otherwise(self) -> None:
        cuda = {"RUNNER_CUDA": "1"}
        assert "NVCC_PREPEND_FLAGS" not in self.env({})
        assert self.env(cuda)["NVCC_PREPEND_FLAGS"] == "-std=c++17 -arch=native"
        other = self.env({**cuda, "NVCC_APPEND_FLAGS": "-arch=sm_90"})
        assert other["NVCC_PREPEND_FLAGS"] == "-std=c++17"
        assert self.env({**cuda, "NVCC_PREPEND_FLAGS": "-g"})["NVCC_PREPEND_FLAGS"] == "-g"

    def test_cuda_driver_is_linked_where_docs_rs_drops_it(self) -> None:
        cuda = {"RUNNER_CUDA": "1", "CUDA_PATH": "/opt/cuda"}
        assert native_wheel.without_driver_link({}, None) == []
        assert native_wheel.without_driver_link(cuda, Path("r.zip")) == []
        assert "-ldylib=cuda" in native_wheel.without_driver_link(cuda, None)

    def test_cuda_without_nvcc(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(native_wheel, "ask", lambda *_: "")
        assert native_wheel.cuda_parts({}) == {}
        with pytest.raises(SetupError, match="nvcc is not on PATH"):
            native_wheel.cuda_parts({"RUNNER_CUDA": "1"})

    def test_cuda_without_protoc(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(native_wheel, "ask", lambda *_: "release 13.0")
        env = {"RUNNER_CUDA": "1", "PATH": str(tmp_path)}
        with pytest.raises(SetupError, match="protoc is not on PATH"):
            native_wheel.cuda_parts(env)
        assert native_wheel.cuda_parts(env | {"PROTOC": "/opt/protoc"})["nvcc"] == "release 13.0"


class TestOpenvmWheel:
    @pytest.mark.parametrize(
        ("machine", "cpu", "found"),
        [
            ("x86_64", "flags\t: fpu avx avx2 avx512f", "avx512f"),
            ("AMD64", "flags\t: fpu avx avx2", "avx2"),
            ("x86_64", "flags\t: fpu sse2 avx", ""),
            ("x86_64", "", ""),
            ("aarch64", "Features: fp asimd", "neon"),
            ("arm64", "", "neon"),
        ],
    )
    def test_vector_instructions(self, machine: str, cpu: str, found: str) -> None:
        assert openvm_wheel.vectors(machine, cpu) == found

    def test_it_is_built_for_this_cpu_whatever_else_is_asked_for(self) -> None:
        rust = toolchain.Rust("/rust/bin/cargo", "release: 1.95.0")
        env = openvm_wheel.build_env({"RUSTFLAGS": "-C debuginfo=1"}, Path("/t"), rust)
        assert env["RUSTFLAGS"] == "-C debuginfo=1 -C target-cpu=native"
        assert env["CARGO_TARGET_DIR"] == "/t"
        assert env["PATH"].startswith("/rust/bin:")

    def test_a_cpu_without_vectors_is_warned_of_and_a_kept_wheel_is_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        ran: list[str] = []

        def build(_crate: Path, folder: Path, *_: object) -> None:
            folder.mkdir(parents=True)
            (folder / "runner_openvm-0.whl").touch()

        monkeypatch.setattr(openvm_wheel, "cpu_model", lambda: "flags : sse2")
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        monkeypatch.setattr(openvm_wheel, "build", build)
        monkeypatch.setattr(openvm_wheel, "run", lambda command, **_: ran.append(command[-1].name))
        monkeypatch.setattr(
            openvm_wheel, "find_rust", lambda *_: toolchain.Rust("/rust/bin/cargo", "release: 1.95")
        )
        assert openvm_wheel.install(SHIPPED, tmp_path, Path("/python"), {})
        assert "no vector instructions" in capsys.readouterr().err
        monkeypatch.setattr(openvm_wheel, "build", None)
        assert openvm_wheel.install(SHIPPED, tmp_path, Path("/python"), {})
        assert ran == ["runner_openvm-0.whl"] * 2

    @pytest.mark.parametrize(
        ("arguments", "goal"),
        [
            ("", "run"),
            ("guest.count=2", "run"),
            ("prover=openvm guest.count=2", "run-openvm"),
            ("--multirun prover=composite,openvm", "run-all"),
        ],
    )
    def test_make_sets_up_what_a_run_asks_for(self, arguments: str, goal: str) -> None:
        command = ["make", "--dry-run", "--no-print-directory", "run", f"ARGS={arguments}"]
        done = subprocess.run(command, cwd=SHIPPED, capture_output=True, text=True, check=True)
        assert f"scripts/setup.py {goal}\n" in done.stdout


class TestRecursionPrograms:
    CONTENT = b"programs"

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[str]:
        (tmp_path / "www").mkdir()
        (tmp_path / "www/good.zip").write_bytes(self.CONTENT)
        (tmp_path / "www/bad.zip").write_bytes(b"half of it")

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        handler = partial(Quiet, directory=str(tmp_path / "www"))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
            thread = threading.Thread(target=httpd.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{httpd.server_port}"
            httpd.shutdown()
            thread.join()

    def programs(self, url: str) -> recursion.Programs:
        return recursion.Programs(url, hashlib.sha256(self.CONTENT).hexdigest())

    def test_downloaded_once_and_checked_on_every_use(self, server: str, tmp_path: Path) -> None:
        cache = tmp_path / "cache"
        path = recursion.obtain(self.programs(f"{server}/good.zip"), cache, None)
        assert path is not None
        assert path.read_bytes() == self.CONTENT
        gone = self.programs("http://127.0.0.1:1/good.zip")
        assert recursion.obtain(gone, cache, None) == path
        path.write_bytes(b"damaged")
        assert recursion.obtain(gone, cache, None) is None
        assert list((cache / "recursion").iterdir()) == []

    @pytest.mark.parametrize("name", ["bad.zip", "missing.zip"])
    def test_not_available_is_said_in_two_lines(
        self, server: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert recursion.obtain(self.programs(f"{server}/{name}"), tmp_path / "c", None) is None
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 3  # one is about the attempt
        assert "no succinct or groth16" in lines[1]
        assert "RECURSION_SRC_PATH=FILE make setup" in lines[2]
        assert list((tmp_path / "c/recursion").iterdir()) == []

    def test_a_given_file_is_checked_and_kept(self, tmp_path: Path) -> None:
        given = tmp_path / "given.zip"
        given.write_bytes(self.CONTENT)
        programs = self.programs("http://127.0.0.1:1/")
        path = recursion.obtain(programs, tmp_path / "cache", str(given))
        given.unlink()
        assert path is not None
        assert path.read_bytes() == self.CONTENT

    @pytest.mark.parametrize(("content", "why"), [(b"other", "SHA-256"), (None, "No such file")])
    def test_a_wrong_file_is_refused(self, content: bytes | None, why: str, tmp_path: Path) -> None:
        given = tmp_path / "given.zip"
        if content is not None:
            given.write_bytes(content)
        with pytest.raises(SetupError, match=f"RECURSION_SRC_PATH=.*{why}"):
            recursion.obtain(self.programs("http://127.0.0.1:1/"), tmp_path / "c", str(given))

    def test_the_locked_crate_names_them(self, tmp_path: Path) -> None:
        lock = tmp_path / "Cargo.lock"
        lock.write_text(f'[[package]]\nname = "{recursion.CRATE}"\nversion = "4.1.0"\n')
        assert recursion.locked(lock, tmp_path) == recursion.KNOWN
        crate = tmp_path / "registry/src/index-1" / f"{recursion.CRATE}-4.1.0"
        crate.mkdir(parents=True)
        (crate / "build.rs").write_text(
            f'const SHA256_HASH: &str = "{"ab" * 32}";\n'
            'let url = format!("https://example.org/zkr/{SHA256_HASH}.zip");\n'
        )
        found = recursion.locked(lock, tmp_path)
        assert found == recursion.Programs(f"https://example.org/zkr/{'ab' * 32}.zip", "ab" * 32)

    def test_known_programs_are_those_of_the_locked_version(self) -> None:
        lock = tomllib.loads((SHIPPED / native_wheel.CRATE / "Cargo.lock").read_text())
        version = [p["version"] for p in lock["package"] if p["name"] == recursion.CRATE]
        assert version == ["4.0.5"], "update recursion.KNOWN from the crate's build.rs"

    def test_what_an_interrupted_build_left_is_removed(self, tmp_path: Path) -> None:
        folder = tmp_path / "release/build" / f"{recursion.CRATE}-0123"
        archive = folder / "out/recursion_zkr.zip"
        archive.parent.mkdir(parents=True)
        for name in ("out/recursion_zkr.zip", "invoked.timestamp", "output"):
            (folder / name).touch()
        os.utime(folder / "invoked.timestamp", (1000, 1000))
        os.utime(folder / "output", (1001, 1001))
        assert not native_wheel.forget_interrupted(tmp_path)
        assert archive.exists()
        os.utime(folder / "invoked.timestamp", (1002, 1002))
        assert native_wheel.forget_interrupted(tmp_path)
        assert not archive.exists()
        assert not native_wheel.forget_interrupted(tmp_path)


class TestSteps:
    @pytest.fixture
    def place(self, tmp_path: Path) -> setup.Place:
        root = tmp_path / "clone"
        (root / native_wheel.CRATE).mkdir(parents=True)
        (root / native_wheel.CRATE / "lib.rs").write_text("// a")
        (root / openvm_wheel.CRATE).mkdir(parents=True)
        (root / openvm_wheel.CRATE / "lib.rs").write_text("// a")
        (root / "pyproject.toml").write_text("[project]")
        return setup.Place(root, tmp_path / "cache")

    @pytest.fixture
    def done(self, place: setup.Place, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The list of what the set-up did. Nothing is really made."""
        did: list[str] = []

        def make_venv(_place: setup.Place, _env: Mapping[str, str]) -> None:
            did.append("venv")
            place.python.parent.mkdir(parents=True, exist_ok=True)
            place.python.touch()
            (place.venv / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.3\n")

        def install(*_: object) -> bool:
            did.append("native")
            return False

        def install_openvm(*_: object) -> bool:
            did.append("openvm")
            return True

        monkeypatch.setattr(setup, "make_venv", make_venv)
        monkeypatch.setattr(setup, "run", lambda command, **_: did.append(command[-1][-5:]))
        monkeypatch.setattr(native_wheel, "install", install)
        monkeypatch.setattr(native_wheel, "preflight", lambda *_: None)
        monkeypatch.setattr(openvm_wheel, "install", install_openvm)
        monkeypatch.setattr(openvm_wheel, "preflight", lambda *_: None)
        return did

    def test_a_second_set_up_does_nothing(self, place: setup.Place, done: list[str]) -> None:
        setup.set_up(place, "run", {})
        assert done == ["venv", "port]", "native"]
        setup.set_up(place, "run", {})
        setup.set_up(place, "packages", {})
        assert len(done) == 3
        setup.set_up(place, "dev", {})
        assert done[3:] == ["[dev]"]

    def test_test_packages_include_those_of_a_run(
        self, place: setup.Place, done: list[str]
    ) -> None:
        setup.set_up(place, "dev", {})
        setup.set_up(place, "run", {})
        assert done == ["venv", "[dev]", "native"]

    def test_each_zkvm_is_set_up_without_the_other(
        self, place: setup.Place, done: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        setup.set_up(place, "run-openvm", {})
        assert done == ["venv", "port]", "openvm"]
        setup.set_up(place, "run-openvm", {})
        setup.set_up(place, "run-all", {})
        assert done[3:] == ["native"]
        # A wheel that was built for one CPU is not used on another.
        monkeypatch.setattr(native_wheel, "cpu_model", lambda: "flags : sse2")
        setup.set_up(place, "run-all", {})
        assert done[4:] == ["native", "openvm"]

    def test_changed_inputs_are_noticed(self, place: setup.Place, done: list[str]) -> None:
        setup.set_up(place, "run", {})
        (place.root / native_wheel.CRATE / "lib.rs").write_text("// b")
        setup.set_up(place, "run", {})
        assert done[3:] == ["native"]
        setup.set_up(place, "run", {"RUNNER_CUDA": "1"})
        assert done[4:] == ["native"]
        (place.root / "pyproject.toml").write_text("[project] # b")
        setup.set_up(place, "run", {"RUNNER_CUDA": "1"})
        assert done[5:] == ["port]"]

    def test_missing_programs_are_asked_for_again_only_on_request(
        self, place: setup.Place, done: list[str]
    ) -> None:
        setup.set_up(place, "run", {})
        setup.set_up(place, "run", {})
        assert done.count("native") == 1
        setup.set_up(place, "run", {}, retry=True)
        assert done.count("native") == 2
        setup.set_up(place, "run", {"RECURSION_SRC_PATH": "x"})
        assert done.count("native") == 3

    def test_a_failed_step_is_not_done(
        self, place: setup.Place, done: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> bool:
            raise SetupError("no compiler")

        with monkeypatch.context() as patch:
            patch.setattr(native_wheel, "install", fail)
            with pytest.raises(SetupError):
                setup.set_up(place, "run", {})
        setup.set_up(place, "run", {})
        assert done == ["venv", "port]", "native"]

    @pytest.mark.parametrize("version", ["3.10.4", "3.14.0", ""])
    def test_an_environment_of_another_python_is_replaced(
        self, version: str, place: setup.Place, done: list[str]
    ) -> None:
        setup.set_up(place, "packages", {})
        (place.venv / "pyvenv.cfg").write_text(f"version = {version}\n")
        setup.set_up(place, "packages", {})
        assert done.count("venv") == 2

    def test_an_environment_without_its_interpreter_is_replaced(
        self, place: setup.Place, done: list[str]
    ) -> None:
        setup.set_up(place, "packages", {})
        place.python.unlink()
        setup.set_up(place, "packages", {})
        assert done.count("venv") == 2

    def test_one_at_a_time(self, place: setup.Place, capsys: pytest.CaptureFixture[str]) -> None:
        inside = threading.Event()

        def other() -> None:
            with setup.alone(place.cache):
                inside.set()

        thread = threading.Thread(target=other)
        with setup.alone(place.cache):
            thread.start()
            assert not inside.wait(0.1)
        thread.join(10)
        assert inside.is_set()
        assert "another set-up is running" in capsys.readouterr().err

    def test_cache_folder(self) -> None:
        assert setup.cache_folder({"RUNNER_CACHE": "/c"}) == Path("/c")
        assert setup.cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/zk-batch-runner")
        assert setup.cache_folder({}) == Path.home() / ".cache/zk-batch-runner"

    def test_errors_are_one_line_and_exit_2(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise SetupError("no Rust toolchain; install one")

        monkeypatch.setattr(setup, "set_up", fail)
        assert setup.main(["run"]) == 2
        assert capsys.readouterr().err == "[set-up] failed: no Rust toolchain; install one\n"


def test_a_missing_program_is_one_line() -> None:
    with pytest.raises(SetupError, match=r"^/no/such: No such file or directory; see"):
        steps.run(["/no/such"])
    with pytest.raises(SetupError, match=r"`false` failed \(exit 1\); try again"):
        steps.run(["false"], remedy="try again")
    assert steps.ask("/no/such") == ""
    assert steps.ask("false") == ""


def test_every_target_is_listed_and_phony() -> None:
    text = (SHIPPED / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):(?!=)", text, re.MULTILINE))
    described = set(re.findall(r"^([a-z-]+):.*## .+", text, re.MULTILINE))
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert phony is not None
    assert targets == described == set(phony.group(1).replace("\\", " ").split())
