"""Submissions that a real remote signer signs, if it is there (tests/clef.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.errors import L1Error
from runner.evm.keys import KeySettings, LocalKey, open_signer
from runner.evm.registry import deployment
from runner.evm.transaction import Transaction
from runner.l1.submission import State
from tests.clef import Clef, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runner.evm.keys import Signer
    from tests.chains import TestChain
    from tests.l1.benches import Bench

pytestmark = pytest.mark.skipif(program() is None, reason="clef is not there")
KEY = bytes(range(1, 33))


@pytest.fixture
def signer(chain: TestChain, bench: Bench, tmp_path: Path) -> Iterator[Signer]:
    """clef's account, which has money, and may call the bench's registry and nothing else."""
    address = LocalKey(KEY).address
    chain.rpc.call("anvil_setBalance", address, hex(10**19))
    with Clef(tmp_path / "clef", KEY, chain.chain_id, bench.registry.address) as clef:
        yield open_signer(KeySettings(signer_url=clef.url, sender=address), chain.chain_id, {})


def test_a_root_is_submitted_with_a_key_that_this_process_never_has(
    bench: Bench, signer: Signer
) -> None:
    tracked = bench.submit(signer=signer)
    assert tracked.state in {State.CONFIRMED, State.FINALIZED}
    assert bench.events() == 1
    posted = bench.registry.posted(bytes.fromhex(tracked.submission.key), verified=False)
    assert posted is not None
    assert posted.poster.lower() == signer.address.lower()


def test_what_its_rules_do_not_allow_is_not_signed(chain: TestChain, signer: Signer) -> None:
    elsewhere = Transaction(chain.chain_id, 0, signer.address, b"", 60_000, 10**10, 10**9)
    creates = Transaction(chain.chain_id, 0, None, deployment(), 2_000_000, 10**10, 10**9)
    for transaction in (elsewhere, creates):
        with pytest.raises(L1Error, match="denied"):
            signer.sign(transaction)
    assert chain.chain.nonce(signer.address, "pending") == 0
