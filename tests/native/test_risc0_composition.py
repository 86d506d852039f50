"""A real batch in which a leaf verifies two others, and one with receipts from a folder."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import ProverError
from runner.files import SHIPPED
from runner.model import ReceiptKind
from runner.provers.prover import ProverSpec, load_prover
from tests.native.commands import call
from tests.native.test_risc0_proofs import Parts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

EXAMPLE = SHIPPED / "examples" / "composition"


def batch(folder: Path, *given: str) -> list[dict[str, Any]]:
    """Prove the example of composition, and return its leaf list."""
    rest = [f"output={folder}", "metrics=off", "audit=off", "cache=off", "strategy=none"]
    done = call("runner", "experiment=composition", *given, *rest, cwd=EXAMPLE)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (folder / "leaves.jsonl").read_text().splitlines()]


def test_a_guest_verifies_what_others_have_proved(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    number, _, both = batch(folder)
    prover = load_prover(ProverSpec("risc0", ReceiptKind.COMPOSITE))
    receipt = (folder / "receipts" / "job-2.receipt").read_bytes()
    image_id = bytes.fromhex(both["image_id"])
    assert prover.verify(receipt, image_id).hex() == both["journal"]
    assert prover.describe(receipt).assumptions == 2

    # The receipt says that two others hold, and is none without them.
    whole = Parts.of(receipt)
    first, second = whole.assumptions
    for kept in ([], [first], [second], [second, first], [first, first]):
        with pytest.raises(ProverError, match="verification_failed"):
            prover.verify(whole._replace(assumptions=kept).receipt(), image_id)

    # Receipts from a folder do as well as leaves of the batch.
    value = {"guest": "proved_sum", "input": both["input"]}
    value["assumptions"] = [{"folder": str(folder / "receipts"), "image_id": number["image_id"]}]
    # This one is of another program.
    (folder / "receipts" / "job-2.receipt").unlink()
    (tmp_path / "in.jsonl").write_text(json.dumps(value) + "\n")
    (again,) = batch(tmp_path / "again", f"guest.inputs_file={tmp_path / 'in.jsonl'}")
    assert again["journal"] == both["journal"]
    done = call(
        *("runner.verify", str(tmp_path / "again"), "--allow", both["image_id"]), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
