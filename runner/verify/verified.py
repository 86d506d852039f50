"""What the verifier trusts, and what a batch is once it has passed every check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.errors import InputError
from runner.plan import merkle
from runner.provers.guests import AGGREGATOR, Manifest, aggregator_of
from runner.untrusted import unhex

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.verify.claims import Claims

__all__ = ["PinnedIds", "VerifiedBatch"]


@dataclass(frozen=True, slots=True)
class PinnedIds:
    """The image ids that the verifier trusts.

    Attributes:
        aggregator: the aggregator's image id, 32 bytes; empty if there is none.
        leaves: the image ids that a leaf may have, each with the names that the manifest gives it:
            several where programs are the same, none where it was allowed by its id alone.
    """

    aggregator: bytes
    leaves: dict[bytes, frozenset[str]]

    def name(self, image_id: bytes) -> str:
        """A guest's name for people."""
        return ", ".join(sorted(self.leaves.get(image_id, ()))) or f"{image_id.hex()[:16]}..."

    @classmethod
    def of(cls, manifest: Manifest, zkvm: str | None = None) -> PinnedIds:
        """Pin the aggregator that goes with a manifest, and allow all its other guests as leaves.

        Args:
            manifest: the manifest.
            zkvm: the zkVM whose shipped aggregator is pinned if the manifest has none; None if
                only the manifest's own counts.

        Raises:
            InputError: the manifest that comes with the runner cannot be read.
        """
        aggregator = manifest.guests.get(AGGREGATOR)
        if aggregator is None and zkvm is not None:
            aggregator = aggregator_of(manifest, zkvm)
        leaves: dict[bytes, frozenset[str]] = {}
        for guest in manifest.guests.values():
            if guest.name != AGGREGATOR:
                known = leaves.get(guest.image_id, frozenset())
                leaves[guest.image_id] = known | {guest.name}
        return cls(b"" if aggregator is None else aggregator.image_id, leaves)

    def only(self, image_ids: Iterable[str]) -> PinnedIds:
        """Pin the same aggregator, and allow no leaves but those with the given image ids.

        Args:
            image_ids: the values of ``--allow``. No manifest needs to have them.

        Raises:
            InputError: one is not 64 hex characters.
        """
        allowed: dict[bytes, frozenset[str]] = {}
        for text in image_ids:
            try:
                image_id = unhex(text.lower(), 32)
            except ValueError:
                raise InputError(
                    "--allow", text, "not an image id", "give 64 hex characters"
                ) from None
            allowed[image_id] = self.leaves.get(image_id, frozenset())
        return PinnedIds(self.aggregator, allowed)


@dataclass(frozen=True, slots=True)
class VerifiedBatch:
    """A batch that has passed every check.

    Attributes:
        claims: what the folder claims, now proved.
        zkvm: the zkVM whose verifier checked the receipts.
        kind: the kind of these receipts.
        receipts: the names of the receipt files that were verified.
        receipt_bytes: their sizes.
        combined_hash: the root's combined hash, 32 bytes, or None for strategy ``none``.
        root_journal: the root's journal; empty for strategy ``none``.
        claims_only: the fields of the record and the leaf list that nothing proved says anything
            about, by dotted name.
    """

    claims: Claims
    zkvm: str
    kind: str
    receipts: list[str]
    receipt_bytes: list[int]
    combined_hash: bytes | None = None
    root_journal: bytes = b""
    claims_only: tuple[str, ...] = ()

    @property
    def root_hex(self) -> str:
        """The combined hash in hex; empty for strategy ``none``."""
        return self.combined_hash.hex() if self.combined_hash is not None else ""

    def leaf_hashes(self) -> list[bytes]:
        """The hash of each leaf, by its position in the batch."""
        hashes = self.claims.hashes()
        return [hashes[job] for job in self.claims.plan.leaves]

    def inclusion(self, number: int) -> merkle.InclusionProof:
        """Return the evidence that one leaf is in this batch.

        Args:
            number: the leaf's number among those that were asked for, from 0.

        Raises:
            InputError: the batch has no such leaf, or nothing was aggregated.
        """
        if self.combined_hash is None:
            raise InputError("--leaf", number, "the batch has no root", "its receipts stand alone")
        claims = self.claims
        if number in claims.missing:
            problem = f"not in the batch: {claims.missing[number]}"
            raise InputError("--leaf", number, problem, "give a leaf that is in it")
        if number not in claims.numbers:
            last = claims.count + len(claims.missing) - 1
            raise InputError("--leaf", number, "no such leaf", f"give 0 to {last}")
        position = claims.numbers.index(number)
        return merkle.InclusionProof(
            position=position,
            count=claims.count,
            image_id=claims.image_ids[position],
            journal=claims.journals[position],
            path=tuple(merkle.inclusion_path(claims.plan, claims.hashes(), position)),
            root=self.combined_hash,
        )
