"""The wheel of OpenVM's extension.

It needs no more than the crates that its Cargo.lock names, and the source of the one that
native/openvm/cpu-backend stands in for. Vector instructions make its proofs several times as fast,
so it is always compiled for this machine's CPU, and the CPU's flags are part of its key.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

import wheels
from steps import run, say, step
from toolchain import Rust, find_rust

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CRATE", "SWITCHES", "build_env", "cpu", "install", "preflight", "run_tests", "vectors"]

CRATE = Path("native/openvm")
"""The crate's folder, relative to the repository's root."""

SWITCHES: tuple[str, ...] = ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS")
"""Environment variables that change what is built. All of them are part of a wheel's key."""


def cpu(_env: Mapping[str, str]) -> str:
    """The CPU of this machine, which is the one that the wheel is compiled for."""
    return wheels.cpu_model()


def vectors(machine: str, cpu_model: str) -> str:
    """The best vector instructions that the CPU has, or an empty string if it has none.

    Args:
        machine: the architecture, as ``platform.machine()`` names it.
        cpu_model: the CPU's model and flags, as ``wheels.cpu_model()`` returns them.
    """
    if machine.lower() in {"arm64", "aarch64"}:
        return "neon"
    flags = set(re.findall(r"\w+", cpu_model))
    return next((name for name in ("avx512f", "avx2") if name in flags), "")


def build_env(env: Mapping[str, str], target: Path, rust: Rust) -> dict[str, str]:
    """The environment that cargo runs in."""
    rustflags = f"{env.get('RUSTFLAGS', '')} -C target-cpu=native".strip()
    return wheels.cargo_env(env, target, rust) | {"RUSTFLAGS": rustflags}


def preflight(root: Path, env: Mapping[str, str]) -> None:
    """Raises an error for what a person must install, before anything slow begins.

    Raises:
        SetupError: there is no usable Rust.
    """
    find_rust(env, root / CRATE)


def install(root: Path, cache: Path, python: Path, env: Mapping[str, str]) -> bool:
    """Installs the extension into the virtual environment, and builds its wheel if none is kept.

    Args:
        root: the repository's root.
        cache: the cache folder.
        python: the virtual environment's interpreter.
        env: the caller's environment.

    Returns:
        True, because the extension is always complete.

    Raises:
        SetupError: the wheel cannot be built here.
    """
    crate = root / CRATE
    rust, model = find_rust(env, crate), cpu(env)
    if not vectors(platform.machine(), model):
        say(
            "this CPU has no vector instructions that OpenVM uses (AVX2, AVX-512 or NEON): its keys"
            " took 9 times, a proof more than 4 times as long without them"
            " (docs/figures/provers.md)"
        )
    parts = {
        "source": wheels.source_digest(crate, root / wheels.SHARED),
        "rust": rust.version,
        "platform": wheels.platform_name(),
        "cpu": model,
        **{name: env.get(name, "") for name in SWITCHES},
    }
    cargo = build_env(env, target_folder(cache), rust)
    wheels.install("OpenVM", cache, python, parts, lambda to: build(crate, to, python, cargo))
    return True


def target_folder(cache: Path) -> Path:
    """Cargo's target folder for the crate."""
    return cache / "native" / "openvm"


def run_tests(root: Path, cache: Path, env: Mapping[str, str]) -> None:
    """Runs the Rust tests of the crates, on what is already compiled for the wheel.

    Raises:
        SetupError: a test failed, or the crates cannot be built here.
    """
    rust = find_rust(env, root / CRATE)
    cargo = build_env(env, target_folder(cache), rust)
    # Named together, the two crates are compiled with the features that the wheel's are.
    members = ("--tests", "--package", "runner-openvm", "--package", "openvm-cpu-backend")
    wheels.cargo_test(root / CRATE, rust, cargo, members)


def build(crate: Path, folder: Path, python: Path, env: Mapping[str, str]) -> None:
    """Compiles the wheel into a folder, which appears only when the wheel is complete."""

    def run_maturin(command: list[str | Path]) -> None:
        with step("OpenVM extension: compiling for this CPU (minutes, once; kept afterwards)"):
            run(command, env=env, remedy="a network or a filled CARGO_HOME is needed")

    wheels.build(crate, folder, python, run_maturin)
