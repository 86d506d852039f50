"""What a finished batch submits: its root, once every check of it has passed.

Nothing is taken from the folder before :mod:`runner.verify` has verified it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import InputError
from runner.evm.openvm import EvmProof
from runner.evm.registry import batch_key, commit_call, verify_call
from runner.folder import ROOT, read_file
from runner.l1.submission import Mode, Submission
from runner.plan.journal import AggregationResult
from runner.verify.checks import verify_batch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["EVM", "ProvedBatch", "read_batch"]

EVM = "evm"
"""The kind of an OpenVM proof that a contract verifies. The runner itself makes none."""


@dataclass(frozen=True, slots=True)
class ProvedBatch:
    """A batch that has passed every check, as the chain will know it.

    Attributes:
        folder: its output folder.
        root: what its root's journal says.
        zkvm: the zkVM whose verifier has checked the root.
        kind: the kind of the root's receipt, or :data:`EVM` for a proof wrapped for a contract.
        leaf_hashes: the hash of each leaf, by its position.
        seal: the proof as a contract takes it, or None where no contract can verify it.
    """

    folder: Path
    root: AggregationResult
    zkvm: str
    kind: str
    leaf_hashes: list[bytes]
    seal: bytes | None

    @property
    def key(self) -> bytes:
        """The batch's key, 32 bytes."""
        return batch_key(self.root.encode())

    def commitment(self, registry: str) -> Submission:
        """The submission that commits to the root at a registry, and proves nothing."""
        return self._submission(Mode.COMMITMENT, registry, commit_call(self.root))

    def verification(self, registry: str) -> Submission:
        """The submission that has the root's proof verified at a registry.

        Raises:
            ValueError: no contract verifies proofs of this kind.
        """
        if self.seal is None:
            raise ValueError(f"no contract verifies a {self.kind} receipt")
        return self._submission(Mode.VERIFIED, registry, verify_call(self.seal, self.root))

    def _submission(self, mode: Mode, registry: str, call: bytes) -> Submission:
        return Submission(self.key.hex(), mode, registry, call, str(self.folder.absolute()))


def read_batch(
    folder: Path,
    *,
    adapter: str | None = None,
    guests: Path | None = None,
    evm_proof: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ProvedBatch:
    """Verify a batch's folder, with no trust in the run that made it.

    Args:
        folder: the output folder of the batch.
        adapter: the zkVM adapter to verify with; None for the installed one of the batch's zkVM.
        guests: the folder of the trusted manifest; None for the one that comes with the adapter.
        evm_proof: the root's proof as OpenVM's SDK wraps it for a contract; None if there is none.
        say: a function that is called with one line for each check that has passed.

    Raises:
        VerificationFailedError: a check failed.
        InputError: the batch has no root, so that there is nothing to submit, or the proof for a
            contract is not one of this root.
    """
    # The file is read first, because verifying takes longer than finding a bad file.
    wrapped = None if evm_proof is None else EvmProof.read("--evm-proof", evm_proof)
    verified, prover = verify_batch(folder, adapter=adapter, guests=guests, say=say)
    if verified.combined_hash is None:
        raise InputError(
            "folder", str(folder), "the batch has no root", "aggregate it with another strategy"
        )
    root = AggregationResult.decode(verified.root_journal)
    if wrapped is None:
        seal = prover.on_chain_proof(read_file(folder, ROOT))
    else:
        seal = _seal_of(wrapped, root, str(evm_proof))
    return ProvedBatch(
        folder=folder,
        root=root,
        zkvm=verified.zkvm,
        kind=verified.kind if wrapped is None else EVM,
        leaf_hashes=verified.leaf_hashes(),
        seal=seal,
    )


def _seal_of(proof: EvmProof, root: AggregationResult, shown: str) -> bytes:
    """The proof as the registry takes it, once it says to be of this root.

    Whether it is true is for the contract to say.
    """
    remedy = "wrap the root's own receipt"
    if proof.image_id() != root.self_image_id:
        problem = f"of the program {proof.image_id().hex()}, not {root.self_image_id.hex()}"
        raise InputError("--evm-proof", shown, problem, remedy)
    if proof.public_values != batch_key(root.encode()):
        problem = "its public values are not the digest of the root's journal"
        raise InputError("--evm-proof", shown, problem, remedy)
    return proof.seal()
