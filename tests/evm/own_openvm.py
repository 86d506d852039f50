"""A proof of a real batch of ours, and the contract that verifies it.

The batch is of eight runs of ``fibonacci``. Its root was wrapped by native/openvm-snark, with the
unsafe test reference string, so that the contract is for local chains alone. Both depend on the
VM's parameters. Another ``guests/openvm/vm.bin`` needs other keys, and this fixture is made anew:

    python -m tests.evm.own_openvm FOLDER BATCH

``FOLDER`` is the one that openvm-snark and scripts/openvm_contract.py have worked in (docs/l1.md),
and ``BATCH`` the output folder of the batch.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from runner.files import SHIPPED
from runner.plan.journal import AggregationResult

FOLDER = Path(__file__).parent / "own_openvm_fixture"
VM = SHIPPED / "guests" / "openvm" / "vm.bin"


def code() -> bytes:
    """What deploys the contract."""
    return bytes.fromhex(_read("verifier.hex").strip())


def proof_path() -> Path:
    """The proof, in the JSON of OpenVM's ``EvmProof``."""
    _read("evm.proof")
    return FOLDER / "evm.proof"


def root() -> AggregationResult:
    """What the batch's root says."""
    return AggregationResult.decode(bytes.fromhex(_read("root.journal").strip()))


@cache
def manifest() -> dict[str, Any]:
    """What the fixture is, and what it was made of."""
    found: dict[str, Any] = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
    return found


def vm_sha256() -> str:
    """The digest of the VM that guests of this project run on now."""
    return hashlib.sha256(VM.read_bytes()).hexdigest()


def _read(name: str) -> str:
    """A file of the fixture, after comparing it with the manifest."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert _sha256(text) == manifest()["files"][name], name
    return text


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def main() -> int:
    """The entry point: write the fixture."""
    parser = argparse.ArgumentParser(description="Makes the fixture anew.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("batch", type=Path)
    options = parser.parse_args()
    contract = json.loads((options.folder / "verifier.json").read_text(encoding="utf-8"))
    result = json.loads((options.batch / "result.json").read_text(encoding="utf-8"))
    files = {
        "evm.proof": (options.folder / "evm.proof").read_text(encoding="utf-8"),
        "verifier.hex": contract.pop("bytecode") + "\n",
        "root.journal": result["root"]["journal"] + "\n",
    }
    made_for = (options.folder / "vm.sha256").read_text(encoding="utf-8")
    assert made_for == vm_sha256(), "the folder's keys are of another VM"
    rows = {"vm_sha256": made_for, "contract": contract}
    rows["files"] = {name: _sha256(text) for name, text in files.items()}
    files["manifest.json"] = json.dumps(rows, indent=1) + "\n"
    FOLDER.mkdir(exist_ok=True)
    for name, text in files.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
