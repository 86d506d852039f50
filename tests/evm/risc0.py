"""RISC Zero's own contracts and a real receipt of theirs, compiled from the registries' packages.

Nothing of them is in this repository. What is compiled is kept in the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from runner.evm.contracts import call_of
from runner.files import SHIPPED, atomic_write

sys.path.insert(0, str(SHIPPED / "scripts"))

import compile_contracts
import ethereum_tools
from archives import obtain
from setup import cache_folder
from steps import SetupError

COMPILER = "0.8.37"
SETTINGS = {
    **compile_contracts.SETTINGS,
    "viaIR": True,
}
SOURCES = (
    "groth16/RiscZeroGroth16Verifier.sol",
    "RiscZeroVerifierRouter.sol",
    "RiscZeroVerifierEmergencyStop.sol",
)


@cache
def contracts() -> dict[str, Any]:
    """The compiled contracts by name; skips the test where they cannot be had."""
    tools = cache_folder(os.environ) / "tools"
    try:
        folder = obtain(ethereum_tools.RISC0_CONTRACTS, tools, "RISC Zero's contracts")
        library = obtain(ethereum_tools.OPENZEPPELIN, tools, "what they import")
        sources = _sources(folder, library)
        name = hashlib.sha256(json.dumps([sources, SETTINGS, COMPILER]).encode()).hexdigest()[:16]
        kept = tools / f"risc0-contracts-{name}.json"
        if not kept.exists():
            found = compile_contracts.compile_sources(
                sources, COMPILER, tools, os.environ, SETTINGS
            )
            atomic_write(kept, json.dumps(found).encode())
    except SetupError as error:
        pytest.skip(f"RISC Zero's contracts cannot be compiled here: {error}")
    found = json.loads(kept.read_text())
    return {name: body for file in found.values() for name, body in file.items()}


def code(name: str) -> bytes:
    """What deploys a contract, without the constructor's arguments."""
    return bytes.fromhex(contracts()[name]["evm"]["bytecode"]["object"])


def receipt() -> dict[str, bytes]:
    """The real receipt of version 3.0 in the package: seal, journal and image id."""
    folder = cache_folder(os.environ) / "tools" / ethereum_tools.RISC0_CONTRACTS.folder
    text = (folder / "test" / "TestReceiptV3_0.sol").read_text()
    found = re.findall(r"constant (\w+) =\s*hex\"([0-9a-f]+)\"", text)
    return {name: bytes.fromhex(value) for name, value in found}


def verify_call(seal: bytes, image_id: bytes, journal: bytes) -> bytes:
    """The call of a verifier or of a router."""
    digest = hashlib.sha256(journal).digest()
    return call_of("verify(bytes,bytes32,bytes32)", [seal, image_id, digest])


def control_ids() -> tuple[bytes, bytes]:
    """The control root and the BN254 control id that the package's verifiers are deployed with."""
    folder = cache_folder(os.environ) / "tools" / ethereum_tools.RISC0_CONTRACTS.folder
    text = (folder / "src" / "groth16" / "ControlID.sol").read_text()
    first, second = re.findall(r"hex\"([0-9a-f]{64})\"", text)
    return bytes.fromhex(first), bytes.fromhex(second)


def _sources(folder: Path, library: Path) -> dict[str, str]:
    """The files that are compiled, and those that they import, by the names they import them by."""
    found: dict[str, str] = {}
    left = [(f"src/{name}", folder / "src" / name) for name in SOURCES]
    while left:
        name, path = left.pop()
        if name in found:
            continue
        found[name] = text = path.read_text()
        for imported in re.findall(r'from "([^"]+)"|^import "([^"]+)"', text, re.MULTILINE):
            target = imported[0] or imported[1]
            if target.startswith("openzeppelin/contracts/"):
                left.append((target, library / target.removeprefix("openzeppelin/contracts/")))
            else:
                place = Path(os.path.normpath(Path(name).parent / target))
                base = folder if place.parts[0] == "src" else library
                rest = place if base is folder else Path(*place.parts[2:])
                left.append((str(place), base / rest))
    return found
