"""Compiles the contract that verifies the OpenVM proofs of one VM, once its proofs can be made.

    python scripts/openvm_contract.py FOLDER

``FOLDER`` is the one that openvm-snark has worked in (docs/l1.md). Its ``Halo2Verifier.sol`` is the
part that follows from the keys. The rest is OpenVM's own, from its crate. ``FOLDER/verifier.json``
gets the compiled contract.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archives import crate, obtain
from compile_contracts import compile_sources
from setup import cache_folder
from steps import SetupError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COMPILER", "SETTINGS", "contract"]

COMPILER = "0.8.19"
SETTINGS: dict[str, Any] = {
    "evmVersion": "paris",
    "optimizer": {
        "enabled": True,
        "runs": 100_000,
        "details": {"constantOptimizer": False, "yul": False},
    },
    "metadata": {"bytecodeHash": "none", "appendCBOR": False},
    "outputSelection": {"*": {"*": ["evm.bytecode", "evm.deployedBytecode"]}},
}
"""Those of OpenVM's SDK (``src/solidity.rs``), without metadata in the code."""

SDK = crate(
    "openvm-sdk",
    "2.0.2",
    "652f7fbee98ceb3caf92042fc8533cf32ac4ed61548dcea3eed84e53d35a7310",
)
"""The crate that has the rest of the contract."""

NAME = "OpenVmHalo2Verifier"
UNSAFE_NAME = f"UnsafeTest{NAME}"
"""The contract's name where it relies on the unsafe test reference string."""

PUBLIC_VALUES = 32
"""The bytes that programs of this project reveal: the SHA-256 of their journal."""

MOST_BYTES = 24_576
"""The most code that a contract may have on public chains (EIP-170)."""


def contract(verifier: str, tools: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """The compiled contract, and what it is.

    Args:
        verifier: the source of the part that follows from the keys.
        tools: the folder that holds the compiler and OpenVM's crate, or gets them.
        env: the environment, in which Node is looked for.

    Raises:
        SetupError: it cannot be compiled.
    """
    from runner.evm.openvm import UNSAFE, relies_on_unsafe_reference

    crate_folder = obtain(SDK, tools, "the rest of OpenVM's contract") / "contracts"
    template = (crate_folder / "template" / f"{NAME}.sol").read_text(encoding="utf-8")
    interface = (crate_folder / "src" / f"I{NAME}.sol").read_text(encoding="utf-8")

    def compiled(name: str) -> dict[str, Any]:
        main = template.replace("{PUBLIC_VALUES_LENGTH}", str(PUBLIC_VALUES))
        main = main.replace("{OPENVM_VERSION}", "2.0")
        main = main.replace(f"contract {NAME} ", f"contract {name} ")
        sources = {
            "Halo2Verifier.sol": verifier,
            f"interfaces/I{NAME}.sol": interface,
            f"{name}.sol": main,
        }
        found = compile_sources(sources, COMPILER, tools, env, SETTINGS)
        evm: dict[str, Any] = found[f"{name}.sol"][name]["evm"]
        return evm

    name, evm = NAME, compiled(NAME)
    unsafe = relies_on_unsafe_reference(bytes.fromhex(evm["deployedBytecode"]["object"]))
    if unsafe:
        name, evm = UNSAFE_NAME, compiled(UNSAFE_NAME)
    runtime = bytes.fromhex(evm["deployedBytecode"]["object"])
    return {
        "name": name,
        "reference_string": UNSAFE if unsafe else "not the one for tests",
        "compiler": f"solc {COMPILER}",
        "settings": SETTINGS,
        "source_sha256": hashlib.sha256(verifier.encode()).hexdigest(),
        "runtime_bytes": len(runtime),
        "runtime_sha256": hashlib.sha256(runtime).hexdigest(),
        "bytecode": evm["bytecode"]["object"],
    }


def main(arguments: list[str] | None = None) -> int:
    """The entry point. The exit code is 2 where something is missing."""
    parser = argparse.ArgumentParser(description="Compiles the contract for OpenVM's proofs.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    try:
        verifier = (folder / "Halo2Verifier.sol").read_text(encoding="utf-8")
        found = contract(verifier, cache_folder(os.environ) / "tools", os.environ)
    except (OSError, SetupError) as error:
        say(str(error))
        return 2
    path = folder / "verifier.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    says = f"{path}: {found['name']}, {found['runtime_bytes']} bytes of code"
    if found["runtime_bytes"] > MOST_BYTES:
        says += f", more than the {MOST_BYTES} that public chains allow"
    say(f"{says}; {found['reference_string']}")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    sys.exit(main())
