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
6. whatever in ``result.json`` and ``leaves.jsonl`` follows from this says the same.

Everything else is the run's own word: inputs, times, cycles, the machine. A leaf proves its
journal, and no more of its input than the guest commits. :attr:`VerifiedBatch.claims_only` names
these fields.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runner.errors import ReceiptRejectedError, VerificationFailedError
from runner.folder import LEAVES, RECEIPTS, RESULT, ROOT, SUMS, check_sums, read_file, read_record
from runner.model import ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult
from runner.provers.guests import Manifest, default_folder
from runner.provers.prover import ProverSpec, load_prover
from runner.provers.verifying import verify_receipt
from runner.verify.claims import Claims, adapter_of, read_claims
from runner.verify.record import check_record
from runner.verify.verified import PinnedIds, VerifiedBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.provers.prover import Prover

__all__ = ["verify_batch", "verify_folder"]


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
    say(f"leaf image ids: {_where_from(claims, pins)}")
    if plan.root is None:
        verified = _check_each(folder, claims, prover, kind)
        say(f"receipts: {len(verified.receipts)} verified, each against its image id and journal")
    else:
        verified = _check_root(folder, claims, pins, prover, kind)
        say("root receipt: verified against the pinned aggregator")
        say(f"verified_count: {claims.count}, as many as the leaf list has")
        say(f"combined_hash: {verified.root_hex}, recomputed from the leaf list")
    claims_only = check_record(record, pins, verified)
    say(f"{RESULT}, {LEAVES}: say the same, as far as it follows from this")
    return replace(verified, claims_only=tuple(claims_only))


def verify_batch(
    folder: Path,
    *,
    adapter: str | None = None,
    guests: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[VerifiedBatch, Prover]:
    """Check a batch's folder with the verifier and the image ids that come with an adapter.

    Args:
        folder: the output folder of the batch.
        adapter: the zkVM adapter; None for the installed one of the zkVM that the batch names.
        guests: the folder of the trusted manifest; None for the one that comes with the adapter.
        say: a function that is called with one line for each check that has passed.

    Returns:
        The batch, and the adapter whose verifier has checked it.

    Raises:
        InputError: the folder is none of a finished batch, or its adapter is not installed.
        VerificationFailedError: a check failed.
    """
    name = adapter or adapter_of(folder)
    pins = PinnedIds.of(Manifest.load(guests or default_folder(name)))
    prover = load_prover(ProverSpec(name, ReceiptKind.SUCCINCT))
    return verify_folder(folder, pins, prover, say), prover


def _check_leaf_ids(claims: Claims, pins: PinnedIds) -> None:
    for index, image_id in enumerate(claims.image_ids):
        if image_id not in pins.leaves:
            allowed = ", ".join(f"{pins.name(i)} {i.hex()[:16]}..." for i in pins.leaves)
            reason = (
                f"leaf {index} has {image_id.hex()}, allowed are {allowed}; --allow takes the id of"
                " a program that you know"
            )
            raise VerificationFailedError("leaf image id", reason)


def _where_from(claims: Claims, pins: PinnedIds) -> str:
    """Which guests the leaves are of. A name is the manifest's, and never the batch's own word."""
    ids = dict.fromkeys(claims.image_ids)
    pinned = sorted({pins.name(image_id) for image_id in ids if pins.leaves[image_id]})
    allowed = [image_id.hex() for image_id in ids if not pins.leaves[image_id]]
    parts = [f"{', '.join(pinned)}, as pinned"] if pinned else []
    if allowed:
        parts.append(f"{', '.join(allowed)}, allowed by the id alone (no manifest has it)")
    return f"all of {'; '.join(parts)}"


def _check_root(
    folder: Path, claims: Claims, pins: PinnedIds, prover: Prover, kind: object
) -> VerifiedBatch:
    receipt = read_file(folder, ROOT)
    if not pins.aggregator:
        raise VerificationFailedError(ROOT, "no manifest pins an aggregator; give --guests FOLDER")
    journal = _journal(prover, receipt, pins.aggregator, None, ROOT)
    found = _check_kind(prover, receipt, kind)
    try:
        result = AggregationResult.decode(journal)
    except ValueError as error:
        raise VerificationFailedError("root journal", str(error)) from None
    _same("self_image_id", pins.aggregator.hex(), result.self_image_id.hex())
    _same("verified_count", claims.count, result.verified_count)
    expected = merkle.combined_hash(claims.plan, claims.hashes())
    _same("combined_hash", expected.hex(), result.combined_hash.hex())
    zkvm = prover.versions.zkvm
    return VerifiedBatch(claims, zkvm, found, [ROOT], [len(receipt)], expected, journal)


def _check_each(folder: Path, claims: Claims, prover: Prover, kind: object) -> VerifiedBatch:
    names, sizes, found = [], [], ""
    for job, first in enumerate(claims.plan.first_positions()):
        name = f"{RECEIPTS}/job-{job}.receipt"
        receipt = read_file(folder, name)
        _journal(prover, receipt, claims.image_ids[first], claims.journals[first], name)
        found = _check_kind(prover, receipt, kind)
        names.append(name)
        sizes.append(len(receipt))
    return VerifiedBatch(claims, prover.versions.zkvm, found, names, sizes)


def _check_kind(prover: Prover, receipt: bytes, kind: object) -> str:
    found = prover.describe(receipt).kind
    if found != kind:
        raise VerificationFailedError("receipt kind", f"it is {found}, the run says {kind}")
    return found


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
