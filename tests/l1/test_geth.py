"""The engine, the contracts and the classes of errors on geth, if it is there (tests/geth.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.errors import L1Error
from runner.evm.contracts import OPENVM_VERIFIER, call_of, deployment_of
from runner.evm.faults import Fault
from runner.evm.keys import LocalKey
from runner.evm.libraries import encode
from runner.evm.openvm import EvmProof
from runner.evm.registry import commit_call, deployment
from runner.evm.transaction import GWEI, Transaction
from runner.l1.submission import State
from runner.plan.journal import AggregationResult
from runner.plan.merkle import InclusionProof, leaf_hash
from tests.chains import SECOND_KEY
from tests.evm import openvm, risc0
from tests.geth import GethChain
from tests.l1.benches import IMAGE, Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def geth(tmp_path: Path) -> Iterator[GethChain]:
    with GethChain(tmp_path) as chain:
        yield chain


@pytest.fixture
def bench(geth: GethChain, tmp_path: Path) -> Iterator[Bench]:
    with Bench(geth, tmp_path / "store") as bench:
        yield bench


def waits(geth: GethChain) -> list[Callable[[], object]]:
    """Waits in which nothing happens, and then some in which the chain grows by a block."""

    def grows() -> None:
        geth.fund(LocalKey(SECOND_KEY).address, 1)

    return [*[lambda: None] * 3, *[grows] * 20]


def test_a_root_is_submitted_once_and_somebody_elses_is_not_submitted_again(
    bench: Bench, geth: GethChain
) -> None:
    tracked = bench.submit()
    assert tracked.state in {State.CONFIRMED, State.FINALIZED}
    assert bench.submit().mined == tracked.mined
    assert bench.events() == 1
    other = LocalKey(SECOND_KEY)
    geth.fund(other.address, 10**18)
    geth.wait(geth.transact(bench.registry.address, bench.submission(1).data, other))
    tracked = bench.submit(number=1)
    assert tracked.others
    assert bench.store.attempts(bench.submission(1)) == []
    assert bench.events(1) == 1


def test_blocks_that_are_taken_back_are_noticed_and_the_same_bytes_sent_again(
    bench: Bench, geth: GethChain
) -> None:
    before = geth.chain.head().number

    def taken_back() -> None:
        geth.rewind(before)

    # The first wait is the one before the transaction is seen in its block.
    steps = [lambda: None, taken_back, *waits(geth)]
    tracked = bench.submit(*steps, spare=True, confirmations=2)
    assert tracked.state in {State.CONFIRMED, State.FINALIZED}
    assert bench.told.states[:4] == ["sent", "included", "reorged", "sent"]
    assert len(bench.store.attempts(bench.submission())) == 1
    assert bench.events() == 1


def test_a_strangers_transaction_on_our_nonce_takes_it(bench: Bench, geth: GethChain) -> None:
    before = geth.chain.head().number

    def taken() -> None:
        (ours,) = bench.store.attempts(bench.submission())
        geth.rewind(before)
        geth.wait(geth.transact(geth.key.address, b"", nonce=ours.nonce))

    tracked = bench.submit(taken, *waits(geth), spare=True, confirmations=2)
    assert tracked.state in {State.CONFIRMED, State.FINALIZED}
    assert "dropped" in bench.told.states
    first, second = bench.store.attempts(bench.submission())
    assert (first.closed, second.closed) == (True, False)
    assert second.nonce == first.nonce + 1
    assert bench.events() == 1


def test_what_geth_says_is_of_the_class_that_it_means(geth: GethChain) -> None:
    nonce, poor = geth.chain.nonce(geth.key.address), LocalKey(b"\x07" * 32)
    registry = geth.registry().address

    def refused(key: LocalKey = geth.key, **changes: int) -> Fault:
        fields = {"chain_id": geth.chain_id, "nonce": nonce + 1, "gas": 100_000} | changes
        fees = {"max_fee": 100 * GWEI, "tip": GWEI} | {
            name: fields.pop(name) for name in ("max_fee", "tip") if name in fields
        }
        call = commit_call(AggregationResult(IMAGE, 8, b"\x07" * 32))
        signed = key.sign(Transaction(to=registry, data=call, **fields, **fees))
        try:
            geth.chain.send(signed.raw)
            geth.chain.send(signed.raw)
        except L1Error as error:
            return Fault(error.reason)
        raise AssertionError("it was taken twice")

    assert refused(chain_id=99) is Fault.WRONG_CHAIN
    assert refused(poor, nonce=0) is Fault.NO_FUNDS
    assert refused(nonce=nonce) is Fault.NONCE_USED
    # geth keeps what pays less than the base fee, which never falls to 2 wei.
    waits = {"nonce": nonce + 1, "max_fee": 2, "tip": 1}
    assert refused(geth.key, **waits) is Fault.KNOWN
    assert refused(geth.key, **waits | {"max_fee": waits["max_fee"] + 1}) is Fault.UNDERPRICED
    with pytest.raises(L1Error) as caught:
        geth.chain.call(registry, b"\x00\x00\x00\x00", geth.key.address)
    assert caught.value.reason == "reverted"


def test_stuck_below_the_base_fee_is_answered_with_higher_fees(
    bench: Bench, geth: GethChain
) -> None:
    """geth takes such a transaction and lets it wait."""
    base = geth.chain.head().base_fee
    with pytest.raises(L1Error) as caught:
        bench.submit(timeout_s=0.0, max_fee=base)
    assert caught.value.reason in {"late", "fee_cap"}
    assert bench.submit(bump_after_s=1.0).state in {State.CONFIRMED, State.FINALIZED}
    assert bench.events() == 1


def test_gas_is_as_documented(geth: GethChain) -> None:
    """The figures of docs/l1.md: the fork decides them, and geth's is newer than anvil's."""
    found: dict[str, int] = {}
    mined = geth.done(None, deployment())
    found["deployment"] = mined.gas_used
    assert mined.contract is not None
    said = AggregationResult(IMAGE, 8, b"\x22" * 32)
    found["commitment"] = geth.done(mined.contract, commit_call(said)).gas_used

    verifier = geth.done(None, openvm.code())
    assert verifier.contract is not None
    found["openvm deployment"] = verifier.gas_used
    leading = geth.done(None, deployment_of(OPENVM_VERIFIER, verifier.contract)).contract
    proof = EvmProof.read("proof", openvm.proof_path())
    values = [proof.public_values, proof.data, proof.program, proof.vm]
    own = geth.done(verifier.contract, call_of("verify(bytes,bytes,bytes32,bytes32)", values))
    assert own.succeeded
    found["openvm"] = own.gas_used
    led = [proof.seal(), proof.image_id(), proof.public_values]
    through = geth.done(leading, call_of("verify(bytes,bytes32,bytes32)", led))
    assert through.succeeded
    found["openvm through"] = through.gas_used

    code = risc0.code("RiscZeroGroth16Verifier")
    arguments = encode(["bytes32", "bytes32"], list(risc0.control_ids()))
    contract = geth.done(None, code + arguments).contract
    receipt = risc0.receipt()
    call = risc0.verify_call(receipt["SEAL"], receipt["IMAGE_ID"], receipt["JOURNAL"])
    groth16 = geth.done(contract, call)
    assert groth16.succeeded
    found["risc0"] = groth16.gas_used
    assert found == GAS, geth.chain.fork()
    alone = InclusionProof(0, 1, IMAGE, b"x", (), leaf_hash(IMAGE, b"x"))
    assert geth.registry().included(alone)


GAS = {
    "deployment": 742_712,
    "commitment": 136_097,
    "openvm deployment": 4_305_506,
    "openvm": 345_316,
    "openvm through": 355_909,
    "risc0": 250_164,
}
"""What geth 1.17.10 used in November 2026, in gas."""
