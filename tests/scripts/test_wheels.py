"""When the wheels of the extensions are built anew, and with which environment."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from runner.files import SHIPPED

sys.path.insert(0, str(SHIPPED / "scripts"))

import cuda_toolkit
import openvm_wheel
import risc0_wheel
import toolchain
import wheels
from steps import SetupError

from tests.scripts.compilers import CLANG


class TestWheelKey:
    def test_source_digest_sees_contents_and_names_but_no_outputs(self, tmp_path: Path) -> None:
        (tmp_path / "src").mkdir()
        (tmp_path / "src/lib.rs").write_text("// a")
        first = wheels.source_digest(tmp_path)
        (tmp_path / "target").mkdir()
        (tmp_path / "target/big").write_text("x")
        (tmp_path / "x.so").write_text("x")
        assert wheels.source_digest(tmp_path) == first
        (tmp_path / "src/lib.rs").write_text("// b")
        second = wheels.source_digest(tmp_path)
        (tmp_path / "src/lib.rs").rename(tmp_path / "src/main.rs")
        assert len({first, second, wheels.source_digest(tmp_path)}) == 3

    def test_every_part_counts(self) -> None:
        parts = {"source": "a", "recursion": "none"}
        key = wheels.wheel_key(parts)
        assert wheels.wheel_key(dict(reversed(parts.items()))) == key
        assert wheels.wheel_key(parts | {"recursion": "ab"}) != key
        assert wheels.wheel_key({"source": "anone", "recursion": ""}) != key

    def test_the_digest_covers_every_folder(self, tmp_path: Path) -> None:
        crate, shared = tmp_path / "crate", tmp_path / "shared"
        for folder in (crate, shared):
            folder.mkdir()
            (folder / "lib.rs").write_text("// a")
        first = wheels.source_digest(crate, shared)
        (shared / "lib.rs").write_text("// b")
        second = wheels.source_digest(crate, shared)
        shared.rename(tmp_path / "other")
        third = wheels.source_digest(crate, tmp_path / "other")
        assert len({first, second, third, wheels.source_digest(crate)}) == 4

    @pytest.mark.parametrize(
        ("crate", "expected"),
        [
            (risc0_wheel.CRATE, [wheels.SHARED]),
            (openvm_wheel.CRATE, [wheels.SHARED]),
            (wheels.SHARED, []),
        ],
    )
    def test_a_crate_and_the_shared_one_are_all_of_its_source(
        self, crate: Path, expected: list[Path]
    ) -> None:
        """The digest covers these two folders, so no path dependency may lead to a third."""
        found = set()
        for manifest in (SHIPPED / crate).rglob("Cargo.toml"):
            cargo = tomllib.loads(manifest.read_text())
            tables = [
                table.get(f"{kind}dependencies", {})
                for table in (cargo, *cargo.get("target", {}).values())
                for kind in ("", "build-", "dev-")
            ]
            tables += cargo.get("patch", {}).values()
            paths = [
                d["path"] for t in tables for d in t.values() if isinstance(d, dict) and "path" in d
            ]
            found |= {(manifest.parent / p).resolve().relative_to(SHIPPED) for p in paths}
        outside = [path for path in found if not path.is_relative_to(crate)]
        assert all(any(path.is_relative_to(folder) for folder in expected) for path in outside)
        assert all(folder in outside for folder in expected)

    def test_only_the_wheels_used_last_are_kept(self, tmp_path: Path) -> None:
        for age in range(wheels.KEPT_WHEELS + 2):
            (tmp_path / f"w{age}").mkdir()
            os.utime(tmp_path / f"w{age}", (1000 - age, 1000 - age))
        (tmp_path / ".incoming-x").mkdir()
        wheels.prune(tmp_path)
        kept = {path.name for path in tmp_path.iterdir()}
        assert kept == {".incoming-x", *(f"w{age}" for age in range(wheels.KEPT_WHEELS))}


class TestBuildEnvironment:
    RUST = toolchain.Rust("/opt/rust/cargo", "host: x86_64-unknown-linux-gnu")
    CLANG = toolchain.Compiler("clang", "clang++", CLANG)

    def env(self, env: dict[str, str], programs: Path | None = None) -> dict[str, str]:
        return risc0_wheel.build_env(env, Path("/cache/t"), self.RUST, self.CLANG, programs)

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
        monkeypatch.setattr(wheels, "cpu_model", lambda: f"flags\t: {flags}")
        assert risc0_wheel.cpu({}) == level
        rustflags = self.env({"RUSTFLAGS": "-C debuginfo=0"})["RUSTFLAGS"]
        assert rustflags.removeprefix("-C debuginfo=0") == (
            "" if level == "portable" else f" -C target-cpu={level}"
        )

    def test_a_cpu_that_is_asked_for(self) -> None:
        assert "RUSTFLAGS" not in self.env({"RUNNER_CPU": "portable"})
        assert self.env({"RUNNER_CPU": "native"})["RUSTFLAGS"] == "-C target-cpu=native"
        with pytest.raises(SetupError, match=r"RUNNER_CPU=fast is not a choice; give one of"):
            risc0_wheel.cpu({"RUNNER_CPU": "fast"})


class TestForGpus:
    TOOLKIT = cuda_toolkit.Toolkit(Path("/opt/cuda"), "release 13.0")

    @pytest.mark.parametrize(
        ("value", "wanted"), [("1", True), ("all", True), ("0", False), ("", False), ("gpu", False)]
    )
    def test_the_switch(self, value: str, wanted: bool) -> None:
        assert risc0_wheel.for_gpus({"RUNNER_CUDA": value}) is wanted
        assert not risc0_wheel.for_gpus({})

    def test_kernels_are_compiled_for_this_gpu_unless_flags_say_otherwise(self) -> None:
        def flags(env: dict[str, str]) -> str:
            return cuda_toolkit.build_env(env, self.TOOLKIT)["NVCC_PREPEND_FLAGS"]

        assert flags({}) == "-std=c++17 -arch=native"
        assert flags({"NVCC_APPEND_FLAGS": "-arch=sm_90"}) == "-std=c++17"
        assert flags({"NVCC_PREPEND_FLAGS": "-g"}) == "-g"

    def test_the_build_finds_the_toolkit(self) -> None:
        env = cuda_toolkit.build_env({"PATH": "/bin"}, self.TOOLKIT)
        assert env["PATH"] == "/opt/cuda/bin:/bin"
        assert {env[name] for name in ("CUDA_PATH", "CUDA_ROOT", "CUDA_LIBRARY_PATH")} == {
            "/opt/cuda"
        }
        assert "-Lnative=/opt/cuda/lib64/stubs" in risc0_wheel.driver_link(self.TOOLKIT.home)

    def test_without_a_gpu_its_kind_must_be_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cuda_toolkit, "ask", lambda *_: "")
        flags = {"NVCC_APPEND_FLAGS": "-arch=sm_90"}
        assert cuda_toolkit.architecture(flags) == "-arch=sm_90"
        with pytest.raises(SetupError, match=r"shows no GPU .* NVCC_APPEND_FLAGS=-arch=sm_90"):
            cuda_toolkit.architecture({"NVCC_APPEND_FLAGS": "-O3"})
        monkeypatch.setattr(cuda_toolkit, "ask", lambda *_: "NVIDIA H100")
        assert cuda_toolkit.architecture({}) == "NVIDIA H100"

    def test_without_protoc(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(cuda_toolkit, "apt_install", lambda *_: False)
        env = {"PATH": str(tmp_path)}
        with pytest.raises(SetupError, match="protoc is not on PATH"):
            cuda_toolkit.ensure_protoc(env)
        cuda_toolkit.ensure_protoc(env | {"PROTOC": "/opt/protoc"})

    def test_a_toolkit_on_path_is_taken(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        nvcc = tmp_path / "cuda/bin/nvcc"
        nvcc.parent.mkdir(parents=True)
        nvcc.write_text("#!/bin/sh\necho nvcc\necho release 12.9\n")
        nvcc.chmod(0o755)
        env = {"PATH": str(nvcc.parent)}
        found = cuda_toolkit.ensure_toolkit(env, tmp_path, Path("python"), self.compiler())
        assert found == cuda_toolkit.Toolkit(tmp_path / "cuda", "release 12.9")
        env["CUDA_PATH"] = "/usr/local/cuda"
        found = cuda_toolkit.ensure_toolkit(env, tmp_path, Path("python"), self.compiler())
        assert found.home == Path("/usr/local/cuda")

    def test_the_stand_in_for_the_driver_has_all_its_functions(self, tmp_path: Path) -> None:
        source = cuda_toolkit.stand_in(
            "#define cuMemAlloc cuMemAlloc_v2\n"
            "#define cuMemcpy __CUDA_API_PTDS(cuMemcpy)\n"
            "CUresult CUDAAPI cuInit(unsigned int Flags);\n"
            "typedef struct CUfoo_st CUfoo;\n"
        )
        (tmp_path / "driver.c").write_text(source)
        library = tmp_path / "libcuda.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True, timeout=60
        )
        driver = ctypes.CDLL(str(library))
        for name in ("cuInit", "cuMemAlloc", "cuMemAlloc_v2", "cuMemcpy", "cuProfilerInitialize"):
            assert getattr(driver, name)() == 34
        assert not hasattr(driver, "CUfoo")

    @staticmethod
    def compiler() -> toolchain.Compiler:
        return toolchain.Compiler("cc", "c++", "none")


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

        monkeypatch.setattr(wheels, "cpu_model", lambda: "flags : sse2")
        monkeypatch.setattr("platform.machine", lambda: "x86_64")
        monkeypatch.setattr(openvm_wheel, "build", build)
        monkeypatch.setattr(wheels, "run", lambda command, **_: ran.append(command[-1].name))
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
