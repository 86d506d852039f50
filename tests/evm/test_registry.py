"""The registry on a real node: what it takes, what it never says, and its tree against ours."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import L1Error
from runner.evm.contracts import spoken
from runner.evm.registry import (
    NOBODY,
    Registry,
    batch_key,
    commit_call,
    deployment,
    included_call,
    verify_call,
)
from runner.plan.journal import AggregationResult
from runner.plan.merkle import (
    InclusionProof,
    Step,
    check_inclusion,
    combined_hash,
    inclusion_path,
    leaf_hash,
)
from runner.plan.strategy import make_plan
from tests.plan.trees import IMAGE, tree

if TYPE_CHECKING:
    from runner.plan.plan import Plan
    from tests.chains import TestChain

ACCEPTING = "0x" + "a1" * 20
REFUSING = "0x" + "b2" * 20
CODE = {ACCEPTING: "0x00", REFUSING: "0x5f5ffd"}
"""Contracts in place of verifiers: STOP accepts every proof, REVERT none."""

ON_CHAIN = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def registry(chain: TestChain) -> Registry:
    return chain.registry()


def result(number: int = 1, count: int = 8) -> AggregationResult:
    return AggregationResult(IMAGE, count, number.to_bytes(32, "big"))


def fake_verifiers(chain: TestChain) -> None:
    for address, code in CODE.items():
        chain.rpc.call("anvil_setCode", address, code)


def refusal(chain: TestChain, registry: Registry, call: bytes) -> str:
    with pytest.raises(L1Error) as caught:
        chain.chain.call(registry.address, call, chain.key.address)
    assert caught.value.reason == "reverted"
    return spoken(caught.value)


def test_the_key_is_the_digest_of_the_journal(chain: TestChain, registry: Registry) -> None:
    for count in (1, 2, 255, 256, 65_536, 2**24 + 1, 2**32 - 1):
        said = result(7, count)
        mined = chain.done(registry.address, commit_call(said))
        key = sha256(said.encode()).digest()
        assert key == batch_key(said.encode())
        assert registry.event(key, verified=False, block=mined.block) == [mined.hash]


def test_a_commitment_is_taken_once_and_is_never_verified(
    chain: TestChain, registry: Registry
) -> None:
    said = result(2)
    key = batch_key(said.encode())
    assert registry.posted(key, verified=False) is None
    mined = chain.done(registry.address, commit_call(said))
    found = registry.posted(key, verified=False)
    assert found is not None
    assert (found.poster, found.block) == (chain.key.address.lower(), mined.block)
    assert registry.posted(key, verified=True) is None
    assert registry.event(key, verified=True, block=mined.block) == []
    assert refusal(chain, registry, commit_call(said)) == "AlreadyCommitted(bytes32)"
    assert refusal(chain, registry, commit_call(result(3, 0))) == "EmptyBatch()"
    assert refusal(chain, registry, verify_call(b"seal", said)) == "NoVerifier()"


def test_a_proof_is_verified_by_the_verifier_and_counts_once(chain: TestChain) -> None:
    fake_verifiers(chain)
    registry, said = chain.registry(ACCEPTING), result(4)
    assert registry.check().lower() == ACCEPTING
    key = batch_key(said.encode())
    mined = chain.done(registry.address, verify_call(b"seal", said))
    assert registry.event(key, verified=True, block=mined.block) == [mined.hash]
    assert registry.posted(key, verified=True) is not None
    assert registry.posted(key, verified=False) is None
    assert refusal(chain, registry, verify_call(b"seal", said)) == "AlreadyVerified(bytes32)"


def test_a_proof_that_the_verifier_refuses_leaves_nothing(chain: TestChain) -> None:
    fake_verifiers(chain)
    registry, said = chain.registry(REFUSING), result(5)
    assert not chain.done(registry.address, verify_call(b"seal", said)).succeeded
    assert registry.posted(batch_key(said.encode()), verified=True) is None


def test_other_code_and_no_code_are_told_apart(chain: TestChain, registry: Registry) -> None:
    assert registry.check() == NOBODY
    with pytest.raises(L1Error, match="no contract") as caught:
        Registry(chain.chain, "0x" + "cc" * 20).check()
    assert caught.value.reason == "wrong_contract"
    fake_verifiers(chain)
    with pytest.raises(L1Error, match="is not the registry") as caught:
        Registry(chain.chain, ACCEPTING).check()
    assert caught.value.reason == "wrong_contract"
    code = bytearray(chain.chain.code(registry.address))
    code[100] ^= 1
    chain.rpc.call("anvil_setCode", REFUSING, f"0x{code.hex()}")
    with pytest.raises(L1Error, match="is not the registry"):
        Registry(chain.chain, REFUSING).check()


def test_the_verifiers_code_is_compared_where_it_is_pinned(chain: TestChain) -> None:
    fake_verifiers(chain)
    registry = chain.registry(ACCEPTING)
    registry.check(sha256(b"\x00").hexdigest())
    with pytest.raises(L1Error, match="verifier_code_sha256") as caught:
        registry.check("0" * 64)
    assert caught.value.reason == "wrong_contract"


def test_the_deployment_names_its_verifier() -> None:
    assert deployment(ACCEPTING) != deployment(REFUSING)
    assert deployment(ACCEPTING).endswith(bytes.fromhex(ACCEPTING[2:]))


def proof_of(plan: Plan, hashes: list[bytes], journals: list[bytes], at: int) -> InclusionProof:
    return InclusionProof(
        position=at,
        count=len(plan.leaves),
        image_id=IMAGE,
        journal=journals[at],
        path=tuple(inclusion_path(plan, hashes, at)),
        root=b"",
    )


@ON_CHAIN
@given(
    batch=st.lists(st.binary(max_size=70), min_size=1, max_size=40),
    strategy=st.sampled_from(["single", "two_level", "three_level"]),
    data=st.data(),
)
def test_the_contract_finds_what_our_tree_finds(
    registry: Registry, batch: list[bytes], strategy: str, data: st.DataObject
) -> None:
    plan, hashes = tree(batch, strategy, 3)
    at = data.draw(st.integers(0, len(batch) - 1))
    bare = proof_of(plan, hashes, batch, at)
    good = _with(bare, root=combined_hash(plan, hashes))
    assert good.holds()
    assert registry.included(good)
    bad = data.draw(st.sampled_from(["journal", "root", "image", "side", "shorter", "longer"]))
    changed = {
        "journal": lambda: _with(good, journal=good.journal + b"\x00"),
        "root": lambda: _with(good, root=_flipped(good.root)),
        "image": lambda: _with(good, image_id=_flipped(good.image_id)),
        "side": lambda: _with(good, path=_mirrored(good)),
        "shorter": lambda: _with(good, path=good.path[1:]),
        "longer": lambda: _with(good, path=(*good.path, ("left", bytes(32)))),
    }[bad]()
    # A sibling that equals its own node may stand on either side, so ours decides, not the change.
    leaf = leaf_hash(changed.image_id, changed.journal)
    ours = check_inclusion(leaf, changed.path, changed.root)
    assert registry.included(changed) == ours
    if bad in {"journal", "root", "image"}:
        assert not ours


@pytest.mark.parametrize("count", [1, 2, 3, 1000, 65_537, 100_000])
def test_large_trees_agree_at_their_edges(registry: Registry, count: int) -> None:
    journals = [index.to_bytes(4, "big") for index in range(count)]
    plan = make_plan("single" if count < 4096 else "three_level", tuple(range(count)))
    hashes = [leaf_hash(IMAGE, journal) for journal in journals]
    top = combined_hash(plan, hashes)
    for at in sorted({0, count // 2, count - 1}):
        good = _with(proof_of(plan, hashes, journals, at), root=top)
        assert registry.included(good)
        assert not registry.included(_with(good, journal=b"another"))


def test_bits_beyond_the_path_and_long_paths_are_refused(
    chain: TestChain, registry: Registry
) -> None:
    leaf = leaf_hash(IMAGE, b"x")
    call = bytearray(included_call(InclusionProof(0, 1, IMAGE, b"x", (), leaf)))
    assert chain.chain.call(registry.address, bytes(call))[-1] == 1
    call[4 + 5 * 32 - 1] = 1  # the lowest of the bits, where there is no sibling
    assert chain.chain.call(registry.address, bytes(call))[-1] == 0
    path: tuple[Step, ...] = (("left", bytes(32)),) * 129
    assert not registry.included(InclusionProof(0, 1, IMAGE, b"x", path, leaf))


def _with(proof: InclusionProof, **changes: object) -> InclusionProof:
    return replace(proof, **changes)  # type: ignore[arg-type]


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def _mirrored(proof: InclusionProof) -> tuple[Step, ...]:
    if not proof.path:
        return proof.path
    (side, sibling), *rest = proof.path
    return (("right" if side == "left" else "left", sibling), *rest)
