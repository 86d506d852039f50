"""The transaction engine on a real node: what goes wrong, and one event on the chain each time."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import L1Error
from runner.evm.keys import LocalKey
from runner.evm.transaction import GWEI
from runner.l1.store import locked_store
from runner.l1.submission import State
from tests.chains import SECOND_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.l1.benches import Bench


def nothing() -> None:
    """A wait in which nothing happens."""


def late(bench: Bench, number: int = 0, **limits: Any) -> None:  # noqa: ANN401  # as for submit
    """Submit and give up at once, with the transaction under way."""
    with pytest.raises(L1Error) as caught:
        bench.submit(number=number, timeout_s=0.0, **limits)
    assert caught.value.reason == "late"


def test_a_root_is_submitted_once(bench: Bench) -> None:
    tracked = bench.submit()
    assert tracked.state is State.CONFIRMED
    assert bench.told.states == ["sent", "confirmed"]
    assert bench.events() == 1
    again = bench.submit()
    assert again.mined == tracked.mined
    assert bench.events() == 1
    assert bench.node.chain.nonce(bench.node.key.address) == 2  # the registry's and this one


def test_confirmations_are_waited_for_and_finality_is_seen(bench: Bench) -> None:
    bench.node.automine(False)
    tracked = bench.submit(bench.node.mine, bench.node.mine, bench.node.mine, confirmations=3)
    assert tracked.state is State.CONFIRMED
    assert bench.told.states == ["sent", "included", "confirmed"]
    bench.node.mine(10)
    assert bench.submit(confirmations=3).state is State.FINALIZED


def test_a_restart_after_the_signature_sends_the_same_bytes(bench: Bench) -> None:
    bench.node.automine(False)
    late(bench)
    bench.node.forget()  # as if it had never been sent
    (before,) = bench.store.attempts(bench.submission())
    bench.restart()
    tracked = bench.submit(bench.node.mine)
    assert tracked.mined == before.hash
    assert len(bench.store.attempts(bench.submission())) == 1
    assert bench.events() == 1


def test_a_restart_after_the_block_finds_the_receipt(bench: Bench) -> None:
    bench.node.automine(False)
    late(bench)
    bench.node.mine()
    bench.restart()
    assert bench.submit().state is State.CONFIRMED
    assert bench.events() == 1


def test_one_that_waits_goes_before_the_next(bench: Bench) -> None:
    bench.node.automine(False)
    late(bench, number=1)
    with pytest.raises(L1Error):
        bench.submit(number=2, timeout_s=0.0)
    assert bench.store.attempts(bench.submission(2)) == []
    tracked = bench.submit(bench.node.mine, bench.node.mine, number=2)
    assert tracked.state is State.CONFIRMED
    assert (bench.events(1), bench.events(2)) == (1, 1)


def test_a_transaction_that_waits_is_sent_with_higher_fees_up_to_the_cap(bench: Bench) -> None:
    bench.node.automine(False)
    bench.submit(nothing, nothing, bench.node.mine, bump_after_s=1.0)
    attempts = bench.store.attempts(bench.submission())
    assert len(attempts) == 3
    assert len({attempt.nonce for attempt in attempts}) == 1
    for one, next_one in itertools.pairwise(attempts):
        assert next_one.max_fee * 10 >= one.max_fee * 11
        assert next_one.tip * 10 >= one.tip * 11
    assert bench.told.bumps == 2
    assert bench.events() == 1


def test_at_the_cap_it_waits_and_says_so(bench: Bench) -> None:
    bench.node.automine(False)
    reasons: list[str] = []

    def ask() -> None:
        tracked = bench.store.find(bench.submission())
        assert tracked is not None
        reasons.append(tracked.reason)

    bench.submit(ask, ask, ask, bench.node.mine, bump_after_s=1.0, max_fee=3 * GWEI)
    assert "l1.max_fee_gwei" in reasons[-1]
    assert len(bench.store.attempts(bench.submission())) == 1
    assert bench.events() == 1


def test_a_base_fee_above_the_cap_is_waited_out(bench: Bench) -> None:
    bench.node.base_fee(500 * GWEI)
    bench.node.mine()
    with pytest.raises(L1Error, match="gwei") as caught:
        bench.submit(timeout_s=0.0)
    assert caught.value.reason == "fee_cap"
    assert bench.store.attempts(bench.submission()) == []

    def falls() -> None:
        bench.node.base_fee(GWEI)
        bench.node.mine()

    assert bench.submit(falls).state is State.CONFIRMED
    assert bench.events() == 1


def test_a_spike_after_the_signature_is_answered_with_higher_fees(bench: Bench) -> None:
    bench.node.automine(False)
    late(bench)
    bench.node.forget()
    bench.node.base_fee(20 * GWEI)
    bench.node.mine()
    bench.node.automine(True)
    assert bench.submit().state is State.CONFIRMED
    assert len(bench.store.attempts(bench.submission())) == 2
    assert bench.events() == 1


def test_one_that_the_node_forgets_is_sent_again(bench: Bench) -> None:
    bench.node.automine(False)
    bench.submit(bench.node.forget, nothing, bench.node.mine)
    assert bench.told.states == ["sent", "dropped", "sent", "confirmed"]
    assert len(bench.store.attempts(bench.submission())) == 1
    assert bench.events() == 1


def test_a_reorganisation_puts_it_back(bench: Bench) -> None:
    def reorganise() -> None:
        bench.node.reorg(1)
        bench.node.forget()

    node = bench.node
    node.automine(False)
    steps = [node.mine, reorganise, nothing, nothing, node.mine, node.mine, node.mine]
    tracked = bench.submit(*steps, confirmations=3)
    assert tracked.state is State.CONFIRMED
    assert bench.told.states == ["sent", "included", "reorged", "sent", "included", "confirmed"]
    assert len(bench.store.attempts(bench.submission())) == 1
    assert bench.events() == 1


def test_a_strangers_transaction_on_our_nonce_takes_it(bench: Bench) -> None:
    bench.node.automine(False)
    late(bench)
    (ours,) = bench.store.attempts(bench.submission())
    bench.node.forget()
    bench.node.transact(bench.node.key.address, b"", nonce=ours.nonce)
    bench.node.mine()
    bench.node.automine(True)
    tracked = bench.submit(nothing, nothing, nothing)
    assert tracked.state is State.CONFIRMED
    assert "dropped" in bench.told.states
    first, second = bench.store.attempts(bench.submission())
    assert (first.closed, second.closed) == (True, False)
    assert second.nonce == first.nonce + 1
    assert bench.events() == 1


def test_what_somebody_else_submitted_is_not_submitted_again(bench: Bench) -> None:
    other = LocalKey(SECOND_KEY)
    bench.node.transact(bench.registry.address, bench.submission().data, other)
    tracked = bench.submit()
    assert tracked.state is State.CONFIRMED
    assert tracked.others
    assert other.address.lower() in tracked.reason
    assert bench.store.attempts(bench.submission()) == []
    assert bench.events() == 1


def test_somebody_who_is_first_in_the_same_block_makes_ours_revert(bench: Bench) -> None:
    bench.node.automine(False)
    late(bench)
    other = LocalKey(SECOND_KEY)
    # The other pays more, so that it comes first.
    bench.node.transact(bench.registry.address, bench.submission().data, other)
    bench.node.mine()
    tracked = bench.submit()
    assert tracked.state is State.CONFIRMED
    assert tracked.others
    assert tracked.gas_used is not None
    assert tracked.gas_used > 21_000
    assert bench.events() == 1


def test_what_the_contract_would_refuse_is_not_sent(bench: Bench) -> None:
    bench.registry = type(bench.registry)(bench.node.chain, bench.registry.address)
    said = bench.submission()
    # A stranger's contract at the address refuses every call: revert(0, 0).
    bench.node.rpc.call("anvil_setCode", bench.registry.address, "0x5f5ffd")
    with pytest.raises(L1Error):  # what the registry knows cannot be asked either
        bench.submit()
    assert bench.store.attempts(said) == []


def test_no_funds_is_said_before_anything_is_signed(bench: Bench) -> None:
    bench.node.balance(bench.node.key.address, 1000)
    with pytest.raises(L1Error, match="needs up to") as caught:
        bench.submit()
    assert caught.value.reason == "no_funds"
    assert bench.store.attempts(bench.submission()) == []
    bench.node.balance(bench.node.key.address, 10**18)
    assert bench.submit().state is State.CONFIRMED


def test_a_cost_above_the_cap_is_refused(bench: Bench) -> None:
    with pytest.raises(L1Error, match="max_cost_eth") as caught:
        bench.submit(max_cost=1000)
    assert caught.value.reason == "cost_cap"
    assert bench.store.attempts(bench.submission()) == []


def test_two_processes_do_not_use_one_account(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(L1Error) as caught, locked_store(tmp_path / "store", 0.1):
        pass
    assert caught.value.reason == "busy"


def test_two_engines_that_know_nothing_of_each_other_leave_one_event(
    bench: Bench, tmp_path: Path
) -> None:
    """As on two machines with one key: the store of one is not the other's."""
    bench.node.automine(False)
    late(bench)
    mine = bench.store
    with locked_store(tmp_path / "elsewhere", 0.0) as theirs:
        bench.store = theirs
        with pytest.raises(L1Error) as caught:
            bench.submit(timeout_s=0.0)
        assert caught.value.reason == "taken"
        assert bench.submit(bench.node.mine).others
    bench.store = mine
    tracked = bench.submit()
    assert tracked.state is State.CONFIRMED
    assert not tracked.others
    assert bench.events() == 1


def test_the_loser_of_a_race_for_a_nonce_takes_the_next(bench: Bench, tmp_path: Path) -> None:
    """As on two machines with one key, whose transactions are about different batches."""
    bench.node.automine(False)
    late(bench, number=1)
    (ours,) = bench.store.attempts(bench.submission(1))
    bench.node.forget()
    mine, theirs = bench.store, tmp_path / "elsewhere"
    with locked_store(theirs, 0.0) as store:
        bench.store = store
        assert bench.submit(bench.node.mine, number=2).state is State.CONFIRMED
        assert store.attempts(bench.submission(2))[0].nonce == ours.nonce
    bench.store = mine
    bench.node.automine(True)
    assert bench.submit(number=1).state is State.CONFIRMED
    assert (bench.events(1), bench.events(2)) == (1, 1)
