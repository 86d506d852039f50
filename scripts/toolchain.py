"""What builds the native extensions: a Rust toolchain, and clang where it can be had."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from steps import SetupError, apt_install, ask, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Compiler",
    "Rust",
    "as_numbers",
    "cargo_home",
    "choose_compiler",
    "ensure_compiler",
    "find_rust",
]

OLDEST_CLANG = 14


@dataclass(frozen=True)
class Compiler:
    """A C compiler and its C++ compiler, by the names under which they are called."""

    cc: str
    cxx: str
    version: str

    @property
    def is_clang(self) -> bool:
        """Whether it is clang, Apple's included, which compiles risc0's kernels quickly."""
        return "clang version" in self.version


@dataclass(frozen=True)
class Rust:
    """A Rust toolchain. ``version`` is the whole output of ``rustc -vV``."""

    cargo: str
    version: str

    def _line(self, pattern: str) -> str:
        found = re.search(pattern, self.version, re.MULTILINE)
        return found.group(1) if found else ""

    @property
    def release(self) -> str:
        """The compiler's version, such as ``1.95.0``."""
        return self._line(r"^release: (\S+)")

    @property
    def host(self) -> str:
        """The machine's target triple, such as ``x86_64-unknown-linux-gnu``."""
        return self._line(r"^host: (\S+)")


def cargo_home(env: Mapping[str, str]) -> Path:
    """The folder in which cargo keeps its registry and rustup its programs."""
    return Path(env.get("CARGO_HOME") or Path.home() / ".cargo")


def find_rust(env: Mapping[str, str], crate: Path) -> Rust:
    """The Rust toolchain to build with.

    Raises:
        SetupError: there is no toolchain, or it is too old for the crate.
    """
    path = f"{env.get('PATH', os.defpath)}{os.pathsep}{cargo_home(env) / 'bin'}"
    cargo, rustc = shutil.which("cargo", path=path), shutil.which("rustc", path=path)
    if cargo is None or rustc is None:
        raise SetupError(
            "no Rust toolchain (cargo, rustc) found on PATH or in CARGO_HOME/bin;"
            " install one with https://rustup.rs and run this again"
        )
    rust = Rust(cargo, ask(rustc, "-vV"))
    least = tomllib.loads((crate / "Cargo.toml").read_text())["package"].get("rust-version", "0")
    if as_numbers(rust.release) < as_numbers(least):
        raise SetupError(
            f"{rustc} is version {rust.release or 'unknown'}, at least {least} is needed;"
            " run `rustup update stable`, or put a newer toolchain first on PATH"
        )
    return rust


def as_numbers(version: str) -> tuple[int, ...]:
    """A version as a tuple that can be compared: ``1.95.0-nightly`` becomes ``(1, 95, 0)``."""
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0]))


def choose_compiler(
    env: Mapping[str, str],
    *,
    version_of: Callable[[str], str] | None = None,
    installed: Callable[[], list[str]] | None = None,
) -> Compiler | None:
    """The best C++ compiler there is: the user's choice, else a new enough clang, else any other.

    Args:
        env: the caller's environment, in which ``CC`` and ``CXX`` are the user's choice.
        version_of: returns the first line of a compiler's ``--version``, or an empty string if the
            compiler is not there.
        installed: returns the names of all ``clang++-NN`` on the PATH.
    """
    version_of = version_of or (lambda name: ask(name, "--version").partition("\n")[0])
    if env.get("CXX"):
        cxx = env["CXX"]
        return Compiler(env.get("CC") or c_twin(cxx), cxx, version_of(cxx) or "unknown")
    numbered = (installed or numbered_clangs)()
    newest_first = sorted(numbered, key=lambda name: -int(name.rpartition("-")[2]))
    for cxx in ["clang++", *newest_first]:
        version = version_of(cxx)
        major = re.search(r"clang version (\d+)", version)
        if major and ("Apple" in version or int(major.group(1)) >= OLDEST_CLANG):
            return Compiler(c_twin(cxx), cxx, version)
    for cxx in ["c++", "g++"]:
        if version := version_of(cxx):
            return Compiler(c_twin(cxx), cxx, version)
    return None


def c_twin(cxx: str) -> str:
    """The C compiler that belongs to a C++ compiler: ``clang-17`` to ``clang++-17``."""
    head, name = os.path.split(cxx)
    twin = name.replace("clang++", "clang").replace("g++", "gcc").replace("c++", "cc")
    return os.path.join(head, twin)  # noqa: PTH118  # a name without a folder must stay one


def numbered_clangs() -> list[str]:
    """The names of all ``clang++-NN`` on the PATH."""
    return sorted(
        {
            path.name
            for folder in os.get_exec_path()
            for path in Path(folder).glob("clang++-*")
            if re.fullmatch(r"clang\+\+-\d+", path.name)
        }
    )


def ensure_compiler(env: Mapping[str, str]) -> Compiler:
    """A C++ compiler, which is clang if that can be had.

    Raises:
        SetupError: there is no C++ compiler at all.
    """
    chosen = choose_compiler(env)
    if (chosen is None or not chosen.is_clang) and not env.get("CXX"):
        why = "clang builds the zkVM's kernels in minutes, gcc takes over 40"
        packages = ["clang"] if shutil.which("cc") else ["clang", "build-essential"]
        if sys.platform == "linux" and apt_install(packages, why, env):
            chosen = choose_compiler(env)
    if chosen is None:
        raise SetupError("no C++ compiler found; run `apt-get install clang` or your system's like")
    if not chosen.is_clang:
        say(
            f"no clang {OLDEST_CLANG}+ in use ({chosen.cxx}: {chosen.version}): the zkVM's kernels"
            " will take over 40 minutes instead of about 4 on two cores;"
            " stop this and run `apt-get install clang` (or your system's like) to avoid that"
        )
    return chosen
