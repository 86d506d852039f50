"""The registry contract: its calls and what it knows of a batch.

``contracts/BatchRegistry.sol`` is its source. What is deployed is compared with what is compiled:
the code at an address must be the registry's, down to the last byte, before anything is signed.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from runner.errors import L1Error
from runner.evm.contracts import (
    OPENVM_VERIFIER,
    REGISTRY,
    call_of,
    decoded,
    deployment_of,
    kept_address,
    selector,
)
from runner.evm.faults import Fault
from runner.evm.keys import LOCAL_CHAINS
from runner.evm.openvm import UNSAFE, relies_on_unsafe_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.evm.chain import Chain
    from runner.plan.journal import AggregationResult
    from runner.plan.merkle import InclusionProof, Step

__all__ = [
    "NOBODY",
    "Posted",
    "Registry",
    "batch_key",
    "check_verifier",
    "commit_call",
    "deployment",
    "included_call",
    "path_and_bits",
    "refuse_unsafe",
    "verify_call",
    "warning_of",
]

NOBODY = "0x" + "00" * 20
"""The address that stands for none: a registry with this verifier takes commitments alone."""


@dataclass(frozen=True, slots=True)
class Posted:
    """An entry of the registry.

    Attributes:
        poster: the address that posted it.
        block: the number of the block in which it did.
        verified: whether the proof was verified on chain. Otherwise it is a commitment only.
    """

    poster: str
    block: int
    verified: bool


class Registry:
    """A registry at an address.

    Args:
        chain: the chain.
        address: the registry's address.
    """

    def __init__(self, chain: Chain, address: str) -> None:
        from runner.evm.libraries import to_checksum_address

        self.chain = chain
        self.address: str = to_checksum_address(address)

    def check(self, verifier_code_sha256: str | None = None) -> str:
        """Make sure that this is a registry, and that its verifier is the expected one.

        Args:
            verifier_code_sha256: the SHA-256 of the verifier's code, as hex; None to take any
                verifier, as for commitments, which ask none. Where the registry asks OpenVM's
                verifier through ``contracts/OpenVmVerifier.sol``, it is that of OpenVM's verifier.

        Returns:
            The verifier's address, :data:`NOBODY` where there is none.

        Raises:
            L1Error: there is no code at the address, or other code, or the verifier's is another.
        """
        code = self.chain.code(self.address)
        if not code:
            raise L1Error(Fault.WRONG_CONTRACT.value, f"there is no contract at {self.address}")
        verifier = kept_address(REGISTRY, code)
        if verifier is None:
            raise L1Error(
                Fault.WRONG_CONTRACT.value,
                f"the contract at {self.address} is not the registry of this version",
            )
        if verifier_code_sha256 is not None:
            check_verifier(self.chain, verifier, verifier_code_sha256)
        return verifier

    def posted(self, key: bytes, *, verified: bool) -> Posted | None:
        """What the registry knows of a batch.

        Args:
            key: the batch's key.
            verified: whether to ask for a verified root, or for a commitment.
        """
        name = "verifiedRoots(bytes32)" if verified else "commitments(bytes32)"
        poster, block = decoded(["address", "uint64"], self._call(name, key))
        return None if poster == NOBODY else Posted(poster, block, verified)

    def event(self, key: bytes, *, verified: bool, block: int) -> list[str]:
        """The hashes of the transactions in a block that posted a batch. There is at most one."""
        name = "RootVerified" if verified else "RootCommitted"
        from runner.evm.libraries import keccak

        topic = keccak(text=f"{name}(bytes32,bytes32,bytes32,uint32)")
        rows = self.chain.logs(self.address, [f"0x{topic.hex()}", f"0x{key.hex()}"], block, block)
        return [str(row.get("transactionHash")) for row in rows]

    def included(self, proof: InclusionProof) -> bool:
        """Whether the contract finds a leaf included, by a call without a transaction."""
        data = included_call(proof)
        return bool(decoded(["bool"], self.chain.call(self.address, data))[0])

    def _call(self, signature: str, *arguments: bytes) -> bytes:
        return self.chain.call(self.address, selector(signature) + b"".join(arguments))


def check_verifier(chain: Chain, verifier: str, code_sha256: str) -> None:
    """Make sure that a verifier has the expected code. See :meth:`Registry.check`.

    Raises:
        L1Error: it has other code, or none, or believes proofs that anybody can forge, on a chain
            that is not local.
    """
    judge, found = _judge(chain, verifier)
    refuse_unsafe(chain, judge, found)
    digest = sha256(found).hexdigest()
    if digest != code_sha256:
        raise L1Error(
            Fault.WRONG_CONTRACT.value,
            f"the code of the verifier {judge} has the SHA-256 {digest}, not the"
            f" {code_sha256} of l1.verifier_code_sha256",
        )


def refuse_unsafe(chain: Chain, address: str, code: bytes) -> None:
    """Refuse a contract for tests on every chain that is not local.

    Args:
        chain: the chain.
        address: the contract's address.
        code: its code.

    Raises:
        L1Error: it believes proofs that anybody can forge, and the chain is not local.
    """
    if relies_on_unsafe_reference(code) and (found := chain.chain_id()) not in LOCAL_CHAINS:
        raise L1Error(
            Fault.WRONG_CONTRACT.value,
            f"the verifier {address} relies on an {UNSAFE}; chain {found} is not local",
        )


def warning_of(chain: Chain, verifier: str) -> str | None:
    """What must be said of a verifier beside its name, or None."""
    _, code = _judge(chain, verifier)
    return UNSAFE if relies_on_unsafe_reference(code) else None


def _judge(chain: Chain, verifier: str) -> tuple[str, bytes]:
    """The contract that judges proofs for a verifier, which may be another one, with its code."""
    code = chain.code(verifier)
    behind = kept_address(OPENVM_VERIFIER, code)
    return (verifier, code) if behind is None else (behind, chain.code(behind))


def batch_key(journal: bytes) -> bytes:
    """The key of a batch: the SHA-256 of its root's journal, 32 bytes."""
    return sha256(journal).digest()


def deployment(verifier: str = NOBODY) -> bytes:
    """The code that deploys a registry which asks ``verifier``."""
    return deployment_of(REGISTRY, verifier)


def commit_call(root: AggregationResult) -> bytes:
    """The call that commits to a root."""
    values = [root.self_image_id, root.verified_count, root.combined_hash]
    return call_of("commitRoot(bytes32,uint32,bytes32)", values)


def verify_call(seal: bytes, root: AggregationResult) -> bytes:
    """The call that has the proof of a root verified."""
    values = [seal, root.self_image_id, root.verified_count, root.combined_hash]
    return call_of("verifyRoot(bytes,bytes32,uint32,bytes32)", values)


def included_call(proof: InclusionProof) -> bytes:
    """The call that asks the contract whether a leaf is included, as bytes."""
    path, bits = path_and_bits(proof.path)
    signature = "included(bytes32,bytes32,bytes,bytes32[],uint256)"
    return call_of(signature, [proof.root, proof.image_id, proof.journal, path, bits])


def path_and_bits(steps: Sequence[Step]) -> tuple[list[bytes], int]:
    """A path as the contract takes it.

    Returns:
        The siblings from the leaf up, and a number whose bit i is 1 where sibling i is on the left.
    """
    bits = sum(1 << index for index, (side, _) in enumerate(steps) if side == "left")
    return [sibling for _, sibling in steps], bits
