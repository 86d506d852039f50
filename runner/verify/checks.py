"""The checks of a finished batch, with no trust in the run that made it.

The checks trust this program, the zkVM's verifier and the pinned image ids (:class:`PinnedIds`).
They take the batch's folder as a claim and show that:

1. the files are those that ``SHA256SUMS`` names, which catches an accident but no attacker;
2. the plan is well-formed and covers the leaf list;
3. every leaf's image id is that of an allowed guest;
4. the root receipt proves a run of the pinned aggregator;
5. the ``self_image_id``, ``verified_count`` and ``combined_hash`` in its journal are those
   recomputed from the leaf list; with strategy ``none``, instead of 4 and 5, every leaf's own
   receipt proves the leaf's journal;
6. ``result.json`` says the same of all this.

Inputs and times are recorded but not proved: a leaf proves its journal, and no more of its input
than the guest commits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import InputError, ReceiptRejectedError, VerificationFailedError
from runner.folder import RECEIPTS, ROOT, SUMS, check_sums, read_file, read_record
from runner.model import ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult
from runner.provers.guests import AGGREGATOR, Manifest
from runner.provers.worker import verify_receipt
from runner.verify.claims import Claims, read_claims

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.provers.prover import Prover

__all__ = ["PinnedIds", "VerifiedBatch", "verify_folder"]


@dataclass(frozen=True, slots=True)
class PinnedIds:
    """The image ids that the verifier trusts.

    Attributes:
        aggregator: the aggregator's image id, 32 bytes.
        leaves: the image ids that a leaf may have, with the name of each guest.
    """

    aggregator: bytes
    leaves: dict[bytes, str]

    @classmethod
    def of(cls, manifest: Manifest) -> PinnedIds:
        """Pin the aggregator of a manifest, and allow all its other guests as leaves.

        Raises:
            InputError: the manifest has no aggregator.
        """
        if AGGREGATOR not in manifest.guests:
            raise InputError("guests", str(manifest.path), "has no aggregator", "restore it")
        guests = {g.image_id: g.name for g in manifest.guests.values() if g.name != AGGREGATOR}
        return cls(manifest.guests[AGGREGATOR].image_id, guests)


@dataclass(frozen=True, slots=True)
class VerifiedBatch:
    """A batch that has passed every check.

    Attributes:
        claims: what the folder claims, now proved.
        combined_hash: the root's combined hash, 32 bytes, or None for strategy ``none``.
        receipts: the names of the receipt files that were verified.
    """

    claims: Claims
    combined_hash: bytes | None
    receipts: list[str]

    def inclusion(self, position: int) -> merkle.InclusionProof:
        """Return the evidence that one leaf is in this batch.

        Args:
            position: the leaf's position in the batch, from 0.

        Raises:
            InputError: the batch has no such leaf, or nothing was aggregated.
        """
        if self.combined_hash is None:
            raise InputError(
                "--leaf", position, "the batch has no root", "its receipts stand alone"
            )
        claims = self.claims
        if not 0 <= position < claims.count:
            raise InputError("--leaf", position, "no such leaf", f"give 0 to {claims.count - 1}")
        return merkle.InclusionProof(
            position=position,
            count=claims.count,
            image_id=claims.image_ids[position],
            journal=claims.journals[position],
            path=tuple(merkle.inclusion_path(claims.plan, claims.hashes(), position)),
            root=self.combined_hash,
        )


def verify_folder(
    folder: Path, pins: PinnedIds, prover: Prover, say: Callable[[str], None] = lambda _: None
) -> VerifiedBatch:
    """Check a batch's folder. The module's docstring lists the checks.

    Args:
        folder: the output folder of the batch.
        pins: the image ids that are trusted.
        prover: the adapter whose verifier checks the receipts.
        say: a function that is called with one line for each check that has passed.

    Raises:
        VerificationFailedError: a check failed. The error says which one, what was expected and
            what was found.
    """
    names = check_sums(folder)
    say(f"files: {len(names)} match {SUMS}")
    record = read_record(folder)
    kind = record.get("kind")
    if kind == ReceiptKind.EXECUTE.value:
        raise VerificationFailedError("receipt", "the batch was executed only, nothing was proved")
    claims = read_claims(folder, record)
    plan = claims.plan
    say(f"plan: {plan.strategy}, {claims.count} leaves, {len(plan.aggregations)} aggregations")
    _check_leaf_ids(claims, pins)
    used = sorted({pins.leaves[image_id] for image_id in claims.image_ids})
    say(f"leaf image ids: all of {', '.join(used)}, as pinned")
    if plan.root is None:
        combined, receipts = None, _check_each(folder, claims, prover, kind)
        say(f"receipts: {len(receipts)} verified, each against its image id and journal")
    else:
        combined, receipts = _check_root(folder, claims, pins, prover, kind), [ROOT]
        say("root receipt: verified against the pinned aggregator")
        say(f"verified_count: {claims.count}, as many as the leaf list has")
        say(f"combined_hash: {combined.hex()}, recomputed from the leaf list")
    verified = VerifiedBatch(claims, combined, receipts)
    _check_record(record, pins, verified)
    say("result.json: says the same")
    return verified


def _check_leaf_ids(claims: Claims, pins: PinnedIds) -> None:
    for index, image_id in enumerate(claims.image_ids):
        if image_id not in pins.leaves:
            allowed = ", ".join(f"{name} {i.hex()[:16]}..." for i, name in pins.leaves.items())
            reason = f"leaf {index} has {image_id.hex()}, allowed are {allowed}"
            raise VerificationFailedError("leaf image id", reason)


def _check_root(
    folder: Path, claims: Claims, pins: PinnedIds, prover: Prover, kind: object
) -> bytes:
    receipt = read_file(folder, ROOT)
    journal = _journal(prover, receipt, pins.aggregator, None, ROOT)
    _check_kind(prover, receipt, kind)
    try:
        result = AggregationResult.decode(journal)
    except ValueError as error:
        raise VerificationFailedError("root journal", str(error)) from None
    _same("self_image_id", pins.aggregator.hex(), result.self_image_id.hex())
    _same("verified_count", claims.count, result.verified_count)
    expected = merkle.combined_hash(claims.plan, claims.hashes())
    _same("combined_hash", expected.hex(), result.combined_hash.hex())
    return expected


def _check_each(folder: Path, claims: Claims, prover: Prover, kind: object) -> list[str]:
    names = []
    for job, first in enumerate(claims.plan.first_positions()):
        name = f"{RECEIPTS}/job-{job}.receipt"
        receipt = read_file(folder, name)
        _journal(prover, receipt, claims.image_ids[first], claims.journals[first], name)
        _check_kind(prover, receipt, kind)
        names.append(name)
    return names


def _check_kind(prover: Prover, receipt: bytes, kind: object) -> None:
    found = prover.describe(receipt).kind
    if found != kind:
        raise VerificationFailedError("receipt kind", f"it is {found}, the run says {kind}")


def _check_record(record: dict[str, Any], pins: PinnedIds, verified: VerifiedBatch) -> None:
    claims, combined = verified.claims, verified.combined_hash
    guests = record.get("guests")
    recorded = {}
    if isinstance(guests, dict):
        recorded = {n: g.get("image_id") for n, g in guests.items() if isinstance(g, dict)}
    ours = {pins.leaves[image_id]: image_id.hex() for image_id in claims.image_ids}
    if combined is not None:
        ours[AGGREGATOR] = pins.aggregator.hex()
    for name, image_id in ours.items():
        _same(f"result.json: image id of {name}", image_id, recorded.get(name))
    _same("result.json: receipts", verified.receipts, record.get("receipts"))
    if combined is not None:
        root = record.get("root")
        said = root if isinstance(root, dict) else {}
        _same("result.json: verified_count", claims.count, said.get("verified_count"))
        _same("result.json: combined_hash", combined.hex(), said.get("combined_hash"))


def _journal(
    prover: Prover, receipt: bytes, image_id: bytes, journal: bytes | None, what: str
) -> bytes:
    try:
        return verify_receipt(prover, receipt, image_id, journal, what)
    except ReceiptRejectedError as error:
        raise VerificationFailedError(what, error.reason) from None


def _same(check: str, expected: object, found: object) -> None:
    if expected != found:
        raise VerificationFailedError(check, f"expected {expected}, found {found}")
