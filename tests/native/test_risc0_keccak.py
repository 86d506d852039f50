"""A guest whose keccak work takes more than one batch, which this build cannot prove."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from runner.errors import ProverError
from runner.files import SHIPPED
from runner.model import ReceiptKind
from runner.provers.guests import Manifest
from runner.provers.prover import ProverSpec, load_prover
from tests.native.commands import call

if TYPE_CHECKING:
    from pathlib import Path

    from runner.provers.prover import Prover

EXAMPLE = SHIPPED / "examples" / "public_comparison"


@pytest.fixture
def prover() -> Prover:
    """The prover of a build without the recursion programs."""
    made = load_prover(ProverSpec("risc0", ReceiptKind.COMPOSITE, (("gpus", 0),)))
    if made.versions.extra["recursion_programs"] == "true":
        pytest.skip("this build joins batches")
    return made


def test_several_batches_are_refused_before_they_are_proved(prover: Prover) -> None:
    guest = Manifest.load(EXAMPLE / "guests").get("keccak_permutations")
    with pytest.raises(ProverError, match="more than one batch of permutations") as refused:
        prover.run(guest, struct.pack("<I", 2000), (), ReceiptKind.COMPOSITE, 1)
    assert refused.value.code == "unavailable"


def test_a_batch_with_such_a_guest_fails_at_its_first_attempt(
    prover: Prover, tmp_path: Path
) -> None:
    del prover
    given = ["guest=program", "guest.elf=guests/elfs/keccak_permutations.elf", "guests=guests"]
    values = ["guest.inputs=[2000]", "metrics=off", "audit=off", "cache=off", "progress=lines"]
    config = ["guest.fields=[{name: n, type: u32}]", "prover.gpus=0"]
    done = call("runner", *given, *values, *config, f"output={tmp_path / 'out'}", cwd=EXAMPLE)
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "leaf 0 failed after 1 attempt: the guest uses the keccak accelerator" in last
    assert "trying again" not in done.stderr


def test_the_cycles_of_its_batches_count(prover: Prover) -> None:
    guest = Manifest.load(EXAMPLE / "guests").get("keccak_permutations")
    one, more, many = (
        prover.run(guest, struct.pack("<I", n), (), ReceiptKind.EXECUTE, 1).cycles
        for n in (10, 100, 2000)
    )
    assert one.user < more.user < many.user
    batch = 2**17  # the library's default
    totals = [2**16 + batch, 2**18 + batch, 2 * 2**20 + 2**19 + 2 * batch]
    assert [run.total for run in (one, more, many)] == totals
