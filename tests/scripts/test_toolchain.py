"""The choice of compilers and of Rust, without a compiler."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from runner.files import SHIPPED

sys.path.insert(0, str(SHIPPED / "scripts"))

import risc0_wheel
import steps
import toolchain
from steps import SetupError

from tests.scripts.compilers import CLANG, GCC, OLD_CLANG

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


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
            toolchain.find_rust(env, SHIPPED / risc0_wheel.CRATE)

    def test_too_old_for_the_crate(self, tmp_path: Path) -> None:
        programs = tmp_path / "cargo" / "bin"
        programs.mkdir(parents=True)
        for name in ("cargo", "rustc"):
            (programs / name).write_text("#!/bin/sh\necho 'release: 1.63.0'\necho 'host: x-y-z'\n")
            (programs / name).chmod(0o755)
        env = {"PATH": str(tmp_path), "CARGO_HOME": str(programs.parent)}
        with pytest.raises(SetupError, match=r"1\.63\.0, at least 1\.\d+ is needed"):
            toolchain.find_rust(env, SHIPPED / risc0_wheel.CRATE)

    def test_version_fields(self) -> None:
        rust = toolchain.Rust(
            "cargo", "rustc 1.95.0 (5980)\nhost: x86_64-y\nrelease: 1.95.0-beta.1"
        )
        assert (rust.release, rust.host) == ("1.95.0-beta.1", "x86_64-y")
        assert toolchain.as_numbers(rust.release) == (1, 95, 0)
