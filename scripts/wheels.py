"""What the wheels of all native extensions have in common.

A wheel is kept in the cache folder under a key of everything that decides its content. So a second
clone, or the same clone after `make clean`, installs it and compiles nothing. What is particular to
a zkVM is in that zkVM's own script: `risc0_wheel.py`, `openvm_wheel.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from steps import run, step
from toolchain import find_rust

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toolchain import Rust

__all__ = [
    "KEPT_WHEELS",
    "SHARED",
    "WheelScript",
    "build",
    "cargo_env",
    "cargo_test",
    "cpu_model",
    "install",
    "platform_name",
    "prune",
    "source_digest",
    "test_shared",
    "wheel_key",
]

SHARED = Path("native/shared")
"""The crate that all extensions depend on, relative to the repository's root. In its folder is the
crate that their build scripts depend on."""

KEPT_WHEELS = 8
PIP = ("-m", "pip", "--disable-pip-version-check")
PIP_INSTALL = (*PIP, "install", "--quiet", "--no-input")
ONLY_THIS_WHEEL = ("--no-index", "--no-deps", "--force-reinstall")


class WheelScript(Protocol):
    """What the script of a zkVM's wheel provides."""

    CRATE: Path
    """The extension's crate, relative to the repository's root."""

    SWITCHES: tuple[str, ...]
    """Environment variables that change what is built. All of them are part of a wheel's key."""

    def cpu(self, env: Mapping[str, str]) -> str:
        """The kind of CPU that the wheel is compiled for."""

    def preflight(self, root: Path, env: Mapping[str, str]) -> None:
        """Raises a SetupError for what a person must install, before anything slow begins."""

    def install(self, root: Path, cache: Path, python: Path, env: Mapping[str, str]) -> bool:
        """Installs the extension, and returns whether a later try could not add anything to it."""

    def run_tests(self, root: Path, cache: Path, env: Mapping[str, str]) -> None:
        """Runs the Rust tests of the crate, on what is already compiled for its wheel."""


def source_digest(*folders: Path) -> str:
    """SHA-256 over the names and contents of the files of crates, without their build outputs."""
    total = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            skipped = any(part == "target" or part.startswith((".", "__")) for part in inside.parts)
            if skipped or not path.is_file() or path.suffix == ".so":
                continue
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            total.update(f"{folder.name}/{inside.as_posix()} {content}\n".encode())
    return total.hexdigest()


def wheel_key(parts: Mapping[str, str]) -> str:
    """A short name for everything that decides what a wheel contains."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()[:20]


def platform_name() -> str:
    """The operating system, the processor's architecture and the C library."""
    return " ".join((sys.platform, platform.machine(), *platform.libc_ver()))


def cpu_model() -> str:
    """The CPU's model and flags, as the kernel names them."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return "\n".join(sorted(set(re.findall(r"^(?:model name|flags)\s*:.*$", text, re.MULTILINE))))


def cargo_env(env: Mapping[str, str], target: Path, rust: Rust) -> dict[str, str]:
    """The caller's environment with cargo's target folder, and with the toolchain first on PATH."""
    path = f"{Path(rust.cargo).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    return dict(env) | {"CARGO_TARGET_DIR": str(target), "PATH": path}


def install(
    extension: str,
    cache: Path,
    python: Path,
    parts: Mapping[str, str],
    build_into: Callable[[Path], None],
) -> None:
    """Installs a wheel into the virtual environment, and builds it first if none is kept.

    Args:
        extension: the zkVM's name for people.
        cache: the cache folder.
        python: the virtual environment's interpreter.
        parts: everything that decides what the wheel contains.
        build_into: builds the wheel into the folder that it is given.

    Raises:
        SetupError: the wheel cannot be built or installed here.
    """
    folder = cache / "wheels" / wheel_key(parts)
    if not list(folder.glob("*.whl")):
        build_into(folder)
        key = json.dumps(dict(parts), indent=2, sort_keys=True)
        (folder / "key.json").write_text(f"{key}\n")
        prune(folder.parent)
    os.utime(folder)
    wheel = next(folder.glob("*.whl"))
    with step(f"{extension} extension: installing {folder.name}/{wheel.name}"):
        run([python, *PIP_INSTALL, *ONLY_THIS_WHEEL, wheel])


def build(
    crate: Path, folder: Path, python: Path, run_maturin: Callable[[list[str | Path]], None]
) -> None:
    """Builds a crate's wheel into a folder, which appears only when the wheel is complete.

    Args:
        crate: the extension's crate.
        folder: the folder that the wheel is kept in.
        python: the virtual environment's interpreter.
        run_maturin: runs maturin's command line, to which it may add arguments.

    Raises:
        SetupError: the wheel cannot be built here.
    """
    needed = tomllib.loads((crate / "pyproject.toml").read_text())["build-system"]["requires"]
    with step("build tool: maturin"):
        run([python, *PIP_INSTALL, *needed])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".incoming-") as part:
        command: list[str | Path] = [python, "-m", "maturin", "build", "--release", "--locked"]
        command += ["--manifest-path", crate / "Cargo.toml", "--interpreter", python, "--out", part]
        command += ["--compatibility", "linux"] if sys.platform == "linux" else []
        run_maturin(command)
        Path(part).chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(part, folder)


def prune(folder: Path) -> None:
    """Keeps the wheels that were used last, and removes older ones."""
    wheels = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for old in sorted(wheels, key=lambda path: -path.stat().st_mtime)[KEPT_WHEELS:]:
        shutil.rmtree(old, ignore_errors=True)


def cargo_test(
    crate: Path, rust: Rust, env: Mapping[str, str], which: Sequence[str] = ("--lib",)
) -> None:
    """Runs the Rust tests of a crate.

    Args:
        crate: the crate's folder.
        rust: the Rust toolchain.
        env: the environment that cargo runs in.
        which: arguments for ``cargo test`` that choose the tests.

    Raises:
        SetupError: a test failed, or the crate cannot be built here.
    """
    command: list[str | Path] = [rust.cargo, "test", "--release", "--locked"]
    run([*command, *which, "--manifest-path", crate / "Cargo.toml"], env=env)


def test_shared(root: Path, cache: Path, env: Mapping[str, str]) -> None:
    """Runs the Rust tests of the crates that all extensions or their build scripts depend on.

    Raises:
        SetupError: a test failed, or the crate cannot be built here.
    """
    rust = find_rust(env, root / SHARED)
    cargo = cargo_env(env, cache / "native" / "shared", rust)
    for crate in (SHARED, SHARED / "library-source"):
        cargo_test(root / crate, rust, cargo)
