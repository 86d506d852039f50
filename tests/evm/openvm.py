"""OpenVM's own verifier contract for its version 2.0, and the real proof that comes with it.

Both are from openvm-org/openvm-solidity-sdk, which is under MIT or Apache-2.0, at a commit that
``openvm_fixture/manifest.json`` names with the digests of all files. The proof is not of a program
of ours, and the contract is not for our VM: its parameters are the library's defaults. The compiled
contract is committed because it is generated code of 100 kB that is on no package registry.

    python -m tests.evm.openvm REPOSITORY     compiles a clone's sources and compares

``REPOSITORY`` may be a bare clone. With ``--write`` the fixture is made from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import L1Error
from runner.evm.contracts import call_of, spoken
from runner.files import SHIPPED

sys.path.insert(0, str(SHIPPED / "scripts"))

import compile_contracts
from openvm_contract import COMPILER, SETTINGS
from setup import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chains import TestChain

FOLDER = Path(__file__).parent / "openvm_fixture"
VERSION = "v2.0-base"
UNSAFE_POINT = bytes.fromhex("12ff4792b44bf4a1795c3aded21a0e490c8dd1a1730eebbf5bf5b2c9b4cbcc46")
"""What contracts that rely on the unsafe test reference string have in their code.

It was computed from the seed alone, apart from the library that makes the reference string.
"""

SOURCES = ("Halo2Verifier.sol", "OpenVmHalo2Verifier.sol", "interfaces/IOpenVmHalo2Verifier.sol")


def code() -> bytes:
    """What deploys the contract."""
    return bytes.fromhex(_read("verifier.hex").strip())


def runtime_sha256() -> str:
    """The SHA-256 of the code at the contract's address."""
    return str(_manifest()["runtime_sha256"])


def proof_path() -> Path:
    """The official proof, in the JSON of OpenVM's ``EvmProof``."""
    _read("evm.proof")
    return FOLDER / "evm.proof"


def own_call(*, values: bytes, data: bytes, program: bytes, vm: bytes) -> bytes:
    """The call of the contract itself, not of what leads a registry to it."""
    return call_of("verify(bytes,bytes,bytes32,bytes32)", [values, data, program, vm])


def refusal(chain: TestChain, to: str, data: bytes) -> str:
    """How a contract refuses a call, in its own words."""
    with pytest.raises(L1Error) as caught:
        chain.chain.call(to, data, chain.key.address)
    assert caught.value.reason == "reverted"
    return spoken(caught.value)


def flips(data: bytes, start: int = 0) -> Iterator[bytes]:
    """The data with one bit changed: in the first byte, somewhere, and in the last one."""
    for at in (start, len(data) // 2, len(data) - 1):
        yield data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _read(name: str) -> str:
    """A file of the fixture, after comparing it with the manifest."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert _sha256(text) == _manifest()["files"][name], name
    return text


@cache
def _manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    return found


def made(repository: str, commit: str) -> dict[str, str]:
    """The text of every file of the fixture, from a clone of the repository."""

    def show(path: str) -> str:
        git = ["git", "-C", repository, "show", f"{commit}:{path}"]
        return subprocess.run(git, capture_output=True, text=True, check=True).stdout

    sources = {f"src/{VERSION}/{name}": show(f"src/{VERSION}/{name}") for name in SOURCES}
    proof = show(f"test/{VERSION}/evm.proof")
    tools = cache_folder(os.environ) / "tools"
    found = compile_contracts.compile_sources(sources, COMPILER, tools, os.environ, SETTINGS)
    evm = found[f"src/{VERSION}/OpenVmHalo2Verifier.sol"]["OpenVmHalo2Verifier"]["evm"]
    runtime = bytes.fromhex(evm["deployedBytecode"]["object"])
    files = {"verifier.hex": evm["bytecode"]["object"] + "\n", "evm.proof": proof}
    parsed = ["git", "-C", repository, "rev-parse", commit]
    manifest = {
        "source": "https://github.com/openvm-org/openvm-solidity-sdk",
        "commit": subprocess.run(parsed, capture_output=True, text=True, check=True).stdout.strip(),
        "licence": "MIT OR Apache-2.0, used here under Apache-2.0, whose text is this project's",
        "compiler": f"solc {COMPILER}",
        "settings": SETTINGS,
        "sources": {name: _sha256(text) for name, text in sources.items()},
        "runtime_bytes": len(runtime),
        "runtime_sha256": hashlib.sha256(runtime).hexdigest(),
        "files": {name: _sha256(text) for name, text in files.items()},
    }
    return {**files, "manifest.json": json.dumps(manifest, indent=1) + "\n"}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> int:
    """The entry point. The exit code is 1 where the fixture is not what the sources compile to."""
    parser = argparse.ArgumentParser(description="Compiles OpenVM's contract and compares.")
    parser.add_argument("repository")
    parser.add_argument("--write", action="store_true", help="write the fixture")
    options = parser.parse_args()
    commit = "HEAD" if options.write else _manifest()["commit"]
    wrong = [
        name
        for name, text in made(options.repository, commit).items()
        if not _same(FOLDER / name, text, write=options.write)
    ]
    said = f"differs: {', '.join(wrong)}" if wrong else "the fixture is what the sources compile to"
    sys.stdout.write(f"{said}\n")
    return 1 if wrong else 0


def _same(path: Path, text: str, *, write: bool) -> bool:
    if write:
        path.write_text(text, encoding="utf-8")
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
