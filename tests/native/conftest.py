"""The real proofs that the tests of the extensions share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import runner_risc0 as native

from runner.plan.journal import aggregator_stdin, padded
from runner.provers.guests import AGGREGATOR
from tests.native.risc0 import GUESTS, PROVE, Proofs, elf, image_id, python

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Proofs:
    """The proofs of two leaves and of an aggregation over them, in which the first occurs twice.

    A process in dev mode proves the first leaf. What the tests find true of its receipt shows that
    the mode had no effect.
    """
    path: Path = tmp_path_factory.mktemp("proofs") / "fibonacci.receipt"
    python(PROVE, str(GUESTS["fibonacci"].elf_path), str(path), RISC0_DEV_MODE="1")
    first = path.read_bytes()
    second = native.prove(elf("sha256"), padded(b"hello"), threads=2)
    children = [
        (image_id("fibonacci"), native.verify(first, image_id("fibonacci"))),
        (image_id("sha256"), native.verify(second.receipt, image_id("sha256"))),
    ]
    children.append(children[0])
    top = native.prove(
        elf(AGGREGATOR),
        aggregator_stdin(image_id(AGGREGATOR), children),
        [first, second.receipt],
    )
    return Proofs(first, second, top, children)
