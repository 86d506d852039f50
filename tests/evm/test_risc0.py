"""RISC Zero's own verifier, router and emergency stop with a real receipt, on a real node."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
import runner_risc0

from runner.errors import L1Error
from runner.evm.contracts import spoken
from runner.evm.libraries import encode, keccak
from runner.evm.registry import verify_call
from runner.plan.journal import AggregationResult
from runner.provers.risc0.on_chain import seal_of
from tests.evm import risc0
from tests.evm.risc0 import verify_call as call

if TYPE_CHECKING:
    from tests.chains import TestChain

SELECTOR = bytes.fromhex("73c457ba")
MEASURED = {"verifier": 250_164, "stop": 261_797}
"""The gas of verifying this receipt that others measured with their own build, as a yardstick."""


@pytest.fixture(scope="module")
def verifier(chain: TestChain) -> str:
    risc0.contracts()
    arguments = encode(["bytes32", "bytes32"], list(risc0.control_ids()))
    contract = chain.done(None, risc0.code("RiscZeroGroth16Verifier") + arguments).contract
    assert contract is not None
    return contract


@pytest.fixture(scope="module")
def router(chain: TestChain, verifier: str) -> str:
    """The router, which asks the verifier behind an emergency stop, as they are deployed."""
    owner = chain.key.address
    stop = chain.done(
        None,
        risc0.code("RiscZeroVerifierEmergencyStop")
        + encode(["address", "address"], [verifier, owner]),
    ).contract
    router = chain.done(
        None, risc0.code("RiscZeroVerifierRouter") + encode(["address"], [owner])
    ).contract
    assert router is not None
    add = keccak(text="addVerifier(bytes4,address)")[:4]
    assert chain.done(router, add + encode(["bytes4", "address"], [SELECTOR, stop])).succeeded
    return router


def real() -> tuple[bytes, bytes, bytes]:
    risc0.contracts()
    found = risc0.receipt()
    return found["SEAL"], found["IMAGE_ID"], found["JOURNAL"]


def refusal(chain: TestChain, to: str, data: bytes) -> str:
    with pytest.raises(L1Error) as caught:
        chain.chain.call(to, data, chain.key.address)
    assert caught.value.reason == "reverted"
    return spoken(caught.value)


def test_a_real_receipt_is_verified_and_its_gas_is_that_of_others(
    chain: TestChain, verifier: str, router: str
) -> None:
    seal, image_id, journal = real()
    assert seal[:4] == SELECTOR
    for name, contract in (("verifier", verifier), ("stop", router)):
        mined = chain.done(contract, call(seal, image_id, journal))
        assert mined.succeeded
        assert mined.gas_used == pytest.approx(MEASURED[name], rel=0.02)


def test_a_changed_receipt_is_refused(chain: TestChain, verifier: str, router: str) -> None:
    seal, image_id, journal = real()
    for contract in (verifier, router):
        chain.chain.call(contract, call(seal, image_id, journal))
        assert refusal(chain, contract, call(seal, image_id, journal + b"."))
        flipped = bytes([image_id[0] ^ 1]) + image_id[1:]
        assert refusal(chain, contract, call(seal, flipped, journal)) == "VerificationFailed()"
        for at in (4, 100, len(seal) - 1):
            bad = seal[:at] + bytes([seal[at] ^ 1]) + seal[at + 1 :]
            assert refusal(chain, contract, call(bad, image_id, journal))


def test_another_selector_is_refused_by_name(chain: TestChain, verifier: str, router: str) -> None:
    seal, image_id, journal = real()
    bad = call(b"\x00" * 4 + seal[4:], image_id, journal)
    assert refusal(chain, verifier, bad) == "SelectorMismatch(bytes4,bytes4)"
    assert refusal(chain, router, bad) == "SelectorUnknown(bytes4)"


def test_the_registry_believes_the_router_and_nobody_else(chain: TestChain, router: str) -> None:
    """The receipt is real, but not of a batch's root: the registry must not take it for one."""
    registry = chain.registry(router)
    assert registry.check(sha256(chain.chain.code(router)).hexdigest()).lower() == router
    seal, image_id, _ = real()
    forged = AggregationResult(image_id, 8, b"\x22" * 32)
    assert refusal(chain, registry.address, verify_call(seal, forged)) == "VerificationFailed()"


def borsh_claim(image_id: bytes, journal: bytes) -> bytes:
    """A ``ReceiptClaim`` of a guest that ended well, with all its parts, in borsh."""
    zero = bytes(32)
    value, some = b"\x00", b"\x01"
    pruned = b"\x01"
    pre = pruned + image_id
    halted = value + struct.pack("<I", 0) + zero  # the state after the end: no program, pc 0
    exit_code = b"\x00" + struct.pack("<I", 0)
    no_input = pruned + zero
    output = value + some + value + struct.pack("<I", len(journal)) + journal
    assumptions = value + struct.pack("<I", 0)
    return value + pre + halted + exit_code + no_input + output + assumptions


PARAMETERS = bytes.fromhex("73c457ba541936f0d907daf0c7253a39a9c5c427c225ba7709e44702d3c6eedc")
"""The digest of the Groth16 verifier's parameters, of which the selector is the beginning."""


def encoded(proof: bytes, image_id: bytes, journal: bytes) -> bytes:
    """The receipt as this runner's extension encodes it."""
    body = struct.pack("<I", len(proof)) + proof + borsh_claim(image_id, journal) + PARAMETERS
    head = b"ZKRC" + struct.pack("<HBB", 1, 1, 3)
    return head + b"".join(struct.pack("<Q", len(blob)) + blob for blob in (journal, body))


def test_the_seal_of_a_receipt_is_its_selector_and_its_proof() -> None:
    seal, image_id, journal = real()
    receipt = encoded(seal[4:], image_id, journal)
    assert runner_risc0.describe(receipt).kind == "groth16"
    assert seal_of(receipt) == seal
    for kind in (1, 2):
        assert seal_of(receipt[:7] + bytes([kind]) + receipt[8:]) is None
    for short in (receipt[:-1], receipt + b"\0"):
        with pytest.raises(ValueError, match="cut short"):
            seal_of(short)
    with pytest.raises(ValueError, match="256"):
        seal_of(encoded(seal[4:-1] + b"\0\0", image_id, journal))


def test_our_own_verifier_and_the_contract_take_the_same_proof() -> None:
    """The package's claim names the program by its digest alone, which ours does not take.

    That is what ours says last, once the proof itself has held.
    """
    seal, image_id, journal = real()
    with pytest.raises(runner_risc0.NativeError, match="the form in which claims are written"):
        runner_risc0.verify(encoded(seal[4:], image_id, journal), image_id)
    for at in (5, 100, 255):
        bad = seal[4 : 4 + at] + bytes([seal[4 + at] ^ 1]) + seal[5 + at :]
        with pytest.raises(runner_risc0.NativeError) as caught:
            runner_risc0.verify(encoded(bad, image_id, journal), image_id)
        assert "the form in which" not in str(caught.value)
