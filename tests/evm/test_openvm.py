"""OpenVM's own verifier with its official proof, on a real node, and what leads a registry to it.

The proof and the contract are OpenVM's, with its default parameters, and not of a batch of ours. So
the whole path is seen with a true proof up to the registry, and the registry's own part with a
contract in place of the verifier that accepts everything.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import InputError, L1Error
from runner.evm.contracts import (
    OPENVM_VERIFIER,
    call_of,
    deployment_of,
    kept_address,
)
from runner.evm.openvm import ORDER, EvmProof, commitment_of, digest_of
from runner.evm.registry import batch_key, verify_call
from runner.files import SHIPPED
from runner.plan.journal import AggregationResult
from tests.evm import openvm
from tests.evm.openvm import flips, own_call, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chains import TestChain

LED = "verify(bytes,bytes32,bytes32)"
MEASURED = 345_256
"""The gas of this proof's verification that others measured, as a yardstick."""


@pytest.fixture(scope="module")
def verifier(chain: TestChain) -> str:
    contract = chain.done(None, openvm.code()).contract
    assert contract is not None
    return contract


@pytest.fixture(scope="module")
def leading(chain: TestChain, verifier: str) -> str:
    """The contract that leads a registry to the verifier."""
    contract = chain.done(None, deployment_of(OPENVM_VERIFIER, verifier)).contract
    assert contract is not None
    return contract


@pytest.fixture
def proof() -> EvmProof:
    return EvmProof.read("proof", openvm.proof_path())


def test_the_official_proof_is_verified_and_its_gas_is_that_of_others(
    chain: TestChain, verifier: str, proof: EvmProof
) -> None:
    assert sha256(chain.chain.code(verifier)).hexdigest() == openvm.runtime_sha256()
    call = own_call(values=proof.public_values, data=proof.data, program=proof.program, vm=proof.vm)
    mined = chain.done(verifier, call)
    assert mined.succeeded
    assert mined.gas_used == pytest.approx(MEASURED, rel=0.02)


def test_one_changed_bit_is_refused_wherever_it_is(
    chain: TestChain, verifier: str, proof: EvmProof
) -> None:
    parts = {
        "values": proof.public_values,
        "data": proof.data,
        "program": proof.program,
        "vm": proof.vm,
    }
    for name, part in parts.items():
        # Four bytes of zeros come first in the data; the contract has a check of its own for them.
        for changed in flips(part, 31 if name == "data" else 0):
            said = refusal(chain, verifier, own_call(**{**parts, name: changed}))
            assert said == "ProofVerificationFailed()", name
    assert refusal(chain, verifier, own_call(**{**parts, "data": b"\x01" + proof.data[1:]}))


def test_the_image_id_names_the_program_and_the_vm(
    chain: TestChain, leading: str, proof: EvmProof
) -> None:
    """The proof is verified by the interface that registries call, in a transaction."""
    call = call_of(LED, [proof.seal(), proof.image_id(), proof.public_values])
    mined = chain.done(leading, call)
    assert mined.succeeded
    assert mined.gas_used < MEASURED + 20_000
    for changed in flips(proof.image_id()):
        bad = call_of(LED, [proof.seal(), changed, proof.public_values])
        assert refusal(chain, leading, bad) == "WrongProgram(bytes32)"
    for changed in flips(proof.public_values):
        bad = call_of(LED, [proof.seal(), proof.image_id(), changed])
        assert refusal(chain, leading, bad) == "ProofVerificationFailed()"
    for at in (31, 63):
        seal = bytearray(proof.seal())
        seal[at] ^= 1
        bad = call_of(LED, [bytes(seal), proof.image_id(), proof.public_values])
        assert refusal(chain, leading, bad) == "WrongProgram(bytes32)"
    short = call_of(LED, [b"\0" * 63, proof.image_id(), proof.public_values])
    assert refusal(chain, leading, short) == "ProofTooShort(uint256)"
    large = call_of(LED, [b"\xff" * 64, proof.image_id(), proof.public_values])
    assert refusal(chain, leading, large) == "NotACommitment(bytes32)"


def test_the_contract_and_the_runner_agree_on_our_own_commitments(
    chain: TestChain, leading: str
) -> None:
    """Our image ids follow from the commitments as OpenVM's contract takes them."""
    text = (SHIPPED / "guests" / "openvm" / "manifest.json").read_text()
    for guest in json.loads(text)["guests"].values():
        digests = [bytes.fromhex(guest[name]) for name in ("executable", "vm")]
        commitments = [commitment_of(digest) for digest in digests]
        for digest, commitment in zip(digests, commitments, strict=True):
            assert digest_of(commitment) == digest
            call = call_of("digestOf(bytes32)", [commitment])
            assert chain.chain.call(leading, call) == digest
        ours = EvmProof(commitments[0], commitments[1], bytes(32), b"")
        assert ours.image_id().hex() == guest["image_id"]
    most = (ORDER**8 - 1).to_bytes(32)
    assert commitment_of(digest_of(most)) == most
    with pytest.raises(ValueError, match="larger"):
        digest_of((ORDER**8).to_bytes(32))


def test_the_registry_refuses_a_true_proof_of_something_else(
    chain: TestChain, leading: str, proof: EvmProof
) -> None:
    """The proof is true, but its public values are no digest of a journal."""
    registry = chain.registry(leading)
    assert registry.check(openvm.runtime_sha256()).lower() == leading
    forged = AggregationResult(proof.image_id(), 8, b"\x22" * 32)
    call = verify_call(proof.seal(), forged)
    assert refusal(chain, registry.address, call) == "ProofVerificationFailed()"
    other = AggregationResult(b"\x11" * 32, 8, b"\x22" * 32)
    call = verify_call(proof.seal(), other)
    assert refusal(chain, registry.address, call) == "WrongProgram(bytes32)"
    assert registry.posted(batch_key(forged.encode()), verified=True) is None


def test_the_registry_takes_what_the_verifier_accepts(chain: TestChain, proof: EvmProof) -> None:
    """The verifier here is a fake that accepts everything."""
    accepting = "0x" + "a1" * 20
    chain.rpc.call("anvil_setCode", accepting, "0x00")
    leading = chain.done(None, deployment_of(OPENVM_VERIFIER, accepting)).contract
    assert leading is not None
    registry = chain.registry(leading)
    said = AggregationResult(proof.image_id(), 8, b"\x22" * 32)
    mined = chain.done(registry.address, verify_call(proof.seal(), said))
    key = batch_key(said.encode())
    assert registry.event(key, verified=True, block=mined.block) == [mined.hash]


def test_the_code_that_is_pinned_is_that_of_the_contract_that_judges(
    chain: TestChain, leading: str
) -> None:
    registry = chain.registry(leading)
    for digest in ("0" * 64, sha256(chain.chain.code(leading)).hexdigest()):
        with pytest.raises(L1Error, match="verifier_code_sha256") as caught:
            registry.check(digest)
        assert caught.value.reason == "wrong_contract"


def test_code_that_keeps_two_addresses_is_not_the_compiled_one(
    chain: TestChain, leading: str, verifier: str
) -> None:
    """Whoever deploys code by hand could show one address and ask another."""
    code = chain.chain.code(leading)
    assert kept_address(OPENVM_VERIFIER, code) == verifier
    address = bytes.fromhex(verifier[2:])
    first = code.index(address)
    last = code.rindex(address)
    assert first != last
    for at in (first, last):
        changed = code[:at] + b"\xbb" * 20 + code[at + 20 :]
        assert kept_address(OPENVM_VERIFIER, changed) is None
    assert kept_address(OPENVM_VERIFIER, code + b"\0") is None
    assert kept_address(OPENVM_VERIFIER, b"") is None
    dirty = code.replace(bytes(12) + address, b"\x01" + bytes(11) + address)
    assert dirty != code
    assert kept_address(OPENVM_VERIFIER, dirty) is None


def test_a_file_that_is_no_such_proof_is_refused(tmp_path: Path) -> None:
    good: dict[str, Any] = json.loads(openvm.proof_path().read_text())
    parts = good["proof_data"]
    bad: list[Any] = [
        [],
        {**good, "version": "v1.6"},
        {**good, "more": 1},
        {name: value for name, value in good.items() if name != "app_vm_commit"},
        {**good, "app_exe_commit": "0x" + "ff" * 32},
        {**good, "app_exe_commit": good["app_exe_commit"].upper()},
        {**good, "user_public_values": "0x"},
        {**good, "proof_data": "0x"},
        {**good, "proof_data": {**parts, "proof": parts["proof"][:-2]}},
        {**good, "proof_data": {**parts, "accumulator": 7}},
    ]
    path = tmp_path / "evm.proof"
    for value in bad:
        path.write_text(json.dumps(value))
        with pytest.raises(InputError, match=r"EvmProof of OpenVM v2\.0"):
            EvmProof.read("--evm-proof", path)
    path.write_bytes(b"{" * 70_000)
    with pytest.raises(InputError):
        EvmProof.read("--evm-proof", path)
    with pytest.raises(InputError, match="No such file"):
        EvmProof.read("--evm-proof", tmp_path / "none")
