"""Installs what `make profile` uses beside the virtual environment: perf and inferno.

perf is a Debian package. inferno, which draws flame graphs, is built by cargo once, into the cache
folder. Without one of them, `make profile` goes on and says what it leaves out. Only the standard
library is used.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import risc0_wheel
from setup import cache_folder
from steps import SetupError, apt_install, run, say, step
from toolchain import find_rust

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["INFERNO", "has_inferno", "install"]

ROOT = Path(__file__).resolve().parent.parent
INFERNO = "0.12.8"


def has_inferno(folder: Path) -> bool:
    """Whether cargo has installed this version of inferno into the folder."""
    try:
        return f'"inferno {INFERNO} ' in (folder / ".crates.toml").read_text()
    except OSError:
        return False


def install(env: Mapping[str, str], folder: Path) -> None:
    """Installs what is missing where that is allowed, and says what cannot be had."""
    if sys.platform == "linux" and shutil.which("perf") is None:
        apt_install(["linux-perf"], "it samples the native code", env)
    if has_inferno(folder):
        return
    try:
        rust = find_rust(env, ROOT / risc0_wheel.CRATE)
        command: list[str | Path] = [rust.cargo, "install", "--quiet", "--locked", "--root", folder]
        command += ["--no-default-features", "--features", "cli", "--version", INFERNO, "inferno"]
        with step(f"inferno {INFERNO}: compiling, it draws flame graphs (once, about a minute)"):
            run(command, env=dict(env), remedy="a network or a filled CARGO_HOME is needed")
    except SetupError as error:
        say(str(error))


if __name__ == "__main__":
    install(os.environ, cache_folder(os.environ) / "tools")
