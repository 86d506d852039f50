"""The native part for OpenVM: its wheel, built for the CPU it is to run on, kept from before.

It is crates alone: nothing is downloaded but what Cargo.lock names. Vector instructions make its
proofs several times as fast, so it is always compiled for this very CPU, and a wheel's key has the
CPU's flags.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from native_wheel import PLAIN_INSTALL, cpu_model, prune, source_digest, wheel_key
from steps import run, say, step
from toolchain import Rust, find_rust

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CRATE", "SWITCHES", "build_env", "install", "preflight", "vectors"]

CRATE = Path("native/openvm")
"""The crate's folder, relative to the repository's root."""

SWITCHES = ("RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS")
"""Environment variables that change what is built; all of them are part of a wheel's key."""


def vectors(machine: str, cpu: str) -> str:
    """The best vector instructions there are, by the CPU's flags; empty where there are none.

    Args:
        machine: ``platform.machine()``.
        cpu: what ``native_wheel.cpu_model()`` says.
    """
    if machine.lower() in {"arm64", "aarch64"}:
        return "neon"
    flags = set(re.findall(r"\w+", cpu))
    return next((name for name in ("avx512f", "avx2") if name in flags), "")


def build_env(env: Mapping[str, str], target: Path, rust: Rust) -> dict[str, str]:
    """The environment cargo runs in."""
    result = dict(env) | {"CARGO_TARGET_DIR": str(target)}
    result["PATH"] = f"{Path(rust.cargo).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    result["RUSTFLAGS"] = f"{env.get('RUSTFLAGS', '')} -C target-cpu=native".strip()
    return result


def preflight(root: Path, env: Mapping[str, str]) -> None:
    """Says what a person must install, before anything slow is begun.

    Raises:
        SetupError: no usable Rust.
    """
    find_rust(env, root / CRATE)


def install(root: Path, cache: Path, python: Path, env: Mapping[str, str]) -> bool:
    """Puts the extension into the virtual environment, building its wheel if there is none yet.

    Args:
        root: the repository's root.
        cache: the cache folder.
        python: the virtual environment's interpreter.
        env: the caller's environment.

    Returns:
        True: whatever it can do is in it.

    Raises:
        SetupError: it cannot be built here.
    """
    crate = root / CRATE
    rust, cpu = find_rust(env, crate), cpu_model()
    if not vectors(platform.machine(), cpu):
        say(
            "this CPU has no vector instructions that OpenVM uses (AVX2, AVX-512 or NEON): its keys"
            " took 9 times, a proof more than 4 times as long without them (docs/provers.md)"
        )
    parts = {
        "source": source_digest(crate),
        "rust": rust.version,
        "platform": " ".join((sys.platform, platform.machine(), *platform.libc_ver())),
        "cpu": cpu,
        **{name: env.get(name, "") for name in SWITCHES},
    }
    folder = cache / "wheels" / wheel_key(parts)
    if not list(folder.glob("*.whl")):
        build(crate, folder, python, build_env(env, cache / "native" / "openvm", rust))
        (folder / "key.json").write_text(json.dumps(parts, indent=2, sort_keys=True) + "\n")
        prune(folder.parent)
    os.utime(folder)
    wheel = next(folder.glob("*.whl"))
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-input"]
    with step(f"OpenVM extension: installing {folder.name}/{wheel.name}"):
        run([*pip, *PLAIN_INSTALL, wheel])
    return True


def build(crate: Path, folder: Path, python: Path, env: Mapping[str, str]) -> None:
    """Compiles the wheel into ``folder``, which appears only when the wheel is whole."""
    needed = tomllib.loads((crate / "pyproject.toml").read_text())["build-system"]["requires"]
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-input"]
    with step("build tool: maturin"):
        run([*pip, "--disable-pip-version-check", *needed])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".incoming-") as part:
        command: list[str | Path] = [python, "-m", "maturin", "build", "--release", "--locked"]
        command += ["--manifest-path", crate / "Cargo.toml", "--interpreter", python, "--out", part]
        command += ["--compatibility", "linux"] if sys.platform == "linux" else []
        with step("OpenVM extension: compiling for this CPU (minutes, once; kept afterwards)"):
            remedy = "a network or a filled CARGO_HOME is needed"
            run(command, env=dict(env), remedy=remedy)
        Path(part).chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(part, folder)
