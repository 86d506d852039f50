"""A real proof of a real batch of ours, verified by its contract on a real node.

The contract relies on the unsafe test reference string. So what is seen here is that the path
works. That nobody can forge such a proof holds only with the reference string of the ceremony.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runner.errors import L1Error
from runner.evm.contracts import OPENVM_VERIFIER, deployment_of
from runner.evm.node import CHAIN_ID
from runner.evm.openvm import UNSAFE, EvmProof
from runner.evm.registry import batch_key, verify_call, warning_of
from runner.files import SHIPPED
from tests.evm import own_openvm
from tests.evm.openvm import flips, own_call, refusal

if TYPE_CHECKING:
    from runner.evm.registry import Registry
    from tests.chains import TestChain

SEEN = 345_000
"""About the gas that OpenVM's contract takes for OpenVM's own proof, as a yardstick."""


@pytest.fixture(scope="module")
def verifier(chain: TestChain) -> str:
    contract = chain.done(None, own_openvm.code()).contract
    assert contract is not None
    return contract


@pytest.fixture(scope="module")
def registry(chain: TestChain, verifier: str) -> Registry:
    contract = chain.done(None, deployment_of(OPENVM_VERIFIER, verifier)).contract
    assert contract is not None
    return chain.registry(contract)


@pytest.fixture
def proof() -> EvmProof:
    return EvmProof.read("proof", own_openvm.proof_path())


def test_the_fixture_is_of_this_vm_and_of_this_aggregator(proof: EvmProof) -> None:
    """Another ``vm.bin`` needs another fixture, which ``tests/evm/own_openvm.py`` makes."""
    assert own_openvm.manifest()["vm_sha256"] == own_openvm.vm_sha256()
    guests = json.loads((SHIPPED / "guests" / "openvm" / "manifest.json").read_text())
    aggregator = bytes.fromhex(guests["guests"]["aggregator"]["image_id"])
    root = own_openvm.root()
    assert proof.image_id() == root.self_image_id == aggregator
    assert root.verified_count == 8
    assert proof.public_values == batch_key(root.encode())


def test_our_own_proof_is_verified_on_chain(
    chain: TestChain, verifier: str, proof: EvmProof
) -> None:
    call = own_call(values=proof.public_values, data=proof.data, program=proof.program, vm=proof.vm)
    mined = chain.done(verifier, call)
    assert abs(mined.gas_used - SEEN) < SEEN // 20, mined.gas_used


def test_one_changed_bit_is_refused_wherever_it_is(
    chain: TestChain, verifier: str, proof: EvmProof
) -> None:
    parts = {
        "values": proof.public_values,
        "data": proof.data,
        "program": proof.program,
        "vm": proof.vm,
    }
    for name, whole in parts.items():
        # The first bytes of the accumulator must be zero, for which the contract has an assertion.
        for changed in flips(whole, start=64 if name == "data" else 0):
            words = refusal(chain, verifier, own_call(**(parts | {name: changed})))
            assert words.startswith(("ProofVerificationFailed", "InvalidApp")), words


def test_a_registry_takes_our_root_once(
    chain: TestChain, registry: Registry, proof: EvmProof
) -> None:
    root = own_openvm.root()
    forged = verify_call(proof.seal()[:-1] + bytes([proof.seal()[-1] ^ 1]), root)
    assert "ProofVerificationFailed" in refusal(chain, registry.address, forged)
    mined = chain.done(registry.address, verify_call(proof.seal(), root))
    key = batch_key(root.encode())
    assert registry.event(key, verified=True, block=mined.block) == [mined.hash]
    posted = registry.posted(key, verified=True)
    assert posted is not None
    assert posted.poster == chain.key.address.lower()
    assert registry.posted(key, verified=False) is None


def test_its_name_and_every_report_say_that_it_is_unsafe(
    chain: TestChain, registry: Registry
) -> None:
    contract = own_openvm.manifest()["contract"]
    assert contract["name"].startswith("UnsafeTest")
    assert contract["reference_string"] == UNSAFE
    leading = registry.check(contract["runtime_sha256"])
    assert warning_of(chain.chain, leading) == UNSAFE
    chain.rpc.call("anvil_setChainId", 11_155_111)
    try:
        with pytest.raises(L1Error, match="is not local"):
            registry.check(contract["runtime_sha256"])
    finally:
        chain.rpc.call("anvil_setChainId", CHAIN_ID)
