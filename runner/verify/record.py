"""What of a batch's record follows from what is proved, and what is the run's own word.

The record (``result.json``) says much that nobody can check: times, cycles, versions, the machine.
But much of it follows from the receipts, the leaf list and the plan. That part is made anew here,
in the record's own shape, and compared with it field by field. Whatever is left over is a claim of
the run.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from runner.codec.reads import journal_layout
from runner.codec.work import unit_of
from runner.errors import InputError, VerificationFailedError
from runner.folder import FORMAT, LEAVES, RESULT
from runner.plan.savings_model import estimate
from runner.provers.guests import AGGREGATOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.codec.reads import Layout
    from runner.codec.work import WorkUnit
    from runner.verify.verified import PinnedIds, VerifiedBatch

__all__ = ["check_record"]


def check_record(record: dict[str, Any], pins: PinnedIds, verified: VerifiedBatch) -> list[str]:
    """Compare the record and the leaf list with what is proved.

    Args:
        record: the record, as it was parsed.
        pins: the image ids that are trusted.
        verified: the batch, whose receipts, plan and leaf list have passed their checks.

    Returns:
        The fields that do not follow from anything proved, by dotted name; ``[]`` stands for each
        entry of a list.

    Raises:
        VerificationFailedError: a field is not what follows from the proofs.
    """
    names = _names(record, pins, verified)
    layouts, units = _journals(record.get("config"))
    _check_leaf_list(layouts, names, verified)
    expected = _expected(names, pins, verified)
    _check_units(record, units)
    if units:
        expected["summary"]["work"] = _work(units, names, verified)
    claims = dict.fromkeys(_compare(expected, record, ""))
    missing = [f"{LEAVES}: missing"] if verified.claims.missing else []
    return [*claims, f"{LEAVES}: input", *missing]


def _names(record: dict[str, Any], pins: PinnedIds, verified: VerifiedBatch) -> dict[bytes, str]:
    """The name that the record gives each guest, by image id; ids are what is compared."""
    guests = record.get("guests")
    found: dict[bytes, str] = {}
    for name, guest in guests.items() if isinstance(guests, dict) else ():
        image_id = guest.get("image_id") if isinstance(guest, dict) else None
        if name == AGGREGATOR:  # the record has it also where nothing was aggregated
            _same(f"{RESULT}: guests.{AGGREGATOR}.image_id", pins.aggregator.hex(), image_id)
        for known in {*verified.claims.image_ids, pins.aggregator}:
            if image_id == known.hex():
                found[known] = name
    wanted = {*verified.claims.image_ids}
    if verified.combined_hash is not None:
        wanted.add(pins.aggregator)
    for image_id in wanted - found.keys():
        raise VerificationFailedError(
            f"{RESULT}: guests", f"names no guest with image id {image_id.hex()}"
        )
    for image_id, name in found.items():
        allowed = {AGGREGATOR} if image_id == pins.aggregator else pins.leaves.get(image_id)
        if allowed and name not in allowed:
            raise VerificationFailedError(
                f"{RESULT}: guests",
                f"{image_id.hex()} is {' or '.join(sorted(allowed))}, not {name}",
            )
    return found


def _check_leaf_list(
    layouts: dict[str, Layout], names: dict[bytes, str], verified: VerifiedBatch
) -> None:
    """Compare what the leaf list shows people with the image ids and journals that are proved."""
    claims = verified.claims
    rows = zip(
        claims.image_ids, claims.journals, claims.files, claims.guests, claims.shows, strict=True
    )
    for index, (image_id, journal, file, name, shown) in enumerate(rows):
        _same(f"{LEAVES}: guest of leaf {index}", names[image_id], name)
        if name not in layouts:
            raise VerificationFailedError(f"{RESULT}: config", f"has no journal of {name}")
        expected = layouts[name].show(journal) if file is None else file.shows
        _same(f"{LEAVES}: shows of leaf {index}", expected, shown)


def _journals(config: object) -> tuple[dict[str, Layout], dict[str, WorkUnit]]:
    """What the record's config says of journals: their layouts, and the units that they count.

    Both are by the guest's name. Not every guest has a unit.
    """
    settings = config if isinstance(config, dict) else {}
    programs = settings.get("programs")
    others = programs.values() if isinstance(programs, dict) else ()
    layouts: dict[str, Layout] = {}
    units: dict[str, WorkUnit] = {}
    try:
        for guest in (settings.get("guest"), *others):
            known = guest if isinstance(guest, dict) else {}
            name = str(known.get("name"))
            layouts[name] = journal_layout(known)
            unit = unit_of(known.get("work"), layouts[name], "guest.work")
            if unit is not None:
                units[name] = unit
    except InputError as error:
        raise VerificationFailedError(f"{RESULT}: config", str(error)) from None
    return layouts, units


def _check_units(record: dict[str, Any], units: dict[str, WorkUnit]) -> None:
    """Refuse work in a unit that no guest has. What is left over would be taken for a claim."""
    summary = record.get("summary")
    work = summary.get("work") if isinstance(summary, dict) else None
    known = {unit.name for unit in units.values()}
    for name in work if isinstance(work, dict) else ():
        if name not in known:
            raise VerificationFailedError(
                f"{RESULT}: {_below('summary.work', name)}", "no guest counts this unit"
            )


def _work(
    units: dict[str, WorkUnit], names: dict[bytes, str], verified: VerifiedBatch
) -> dict[str, Any]:
    """The work of all leaves by the name of its unit, counted again in the proved journals."""
    counts = {unit.name: 0 for unit in units.values()}
    claims = verified.claims
    for image_id, journal in zip(claims.image_ids, claims.journals, strict=True):
        unit = units.get(names[image_id])
        if unit is not None:
            counts[unit.name] += unit.count(journal)
    return {name: {"count": count} for name, count in counts.items()}


def _expected(names: dict[bytes, str], pins: PinnedIds, verified: VerifiedBatch) -> dict[str, Any]:
    """All that follows from what is proved, in the record's shape."""
    claims, plan = verified.claims, verified.claims.plan
    firsts = plan.first_positions()
    # A leaf's receipt is at hand only where nothing was aggregated; the root's is otherwise.
    at_hand = dict(enumerate(verified.receipt_bytes))
    if plan.root is not None:
        at_hand = {plan.root: verified.receipt_bytes[0]}
    jobs: list[dict[str, Any]] = []
    for job in range(plan.jobs):
        leaf = job < plan.leaf_jobs
        image_id = claims.image_ids[firsts[job]] if leaf else pins.aggregator
        row = {
            "id": job,
            "name": plan.job_name(job),
            "guest": names[image_id],
            "level": 0 if leaf else plan.aggregation(job).level,
        }
        if job in at_hand:
            row |= {"kind": verified.kind, "receipt_bytes": at_hand[job]}
        jobs.append(row)
    found: dict[str, Any] = {
        "format": FORMAT,
        # A record without an error is one of a batch from which nothing is missing.
        **({"status": "partial"} if claims.missing else {"status": "ok", "error": None}),
        "kind": verified.kind,
        "guests": {name: {"image_id": image_id.hex()} for image_id, name in names.items()},
        "versions": {"zkvm": verified.zkvm},
        "plan": plan.to_json(),
        "jobs": jobs,
        "summary": {
            "leaves": claims.count,
            "distinct": plan.leaf_jobs,
            "strategy": plan.strategy,
            "levels": plan.levels,
            "aggregations": len(plan.aggregations),
            "kind": verified.kind,
            "bytes_after": sum(verified.receipt_bytes),
            "model": asdict(estimate(claims.count, 1 if plan.root is None else claims.count)),
        },
        "receipts": verified.receipts,
    }
    if verified.combined_hash is not None:
        found["root"] = {
            "image_id": pins.aggregator.hex(),
            "journal": verified.root_journal.hex(),
            "verified_count": claims.count,
            "combined_hash": verified.combined_hash.hex(),
            "proved": True,
        }
    return found


def _compare(expected: object, found: object, where: str) -> Iterator[str]:
    """Compare a value with what is expected of it, and yield the fields of which nothing is."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            raise VerificationFailedError(f"{RESULT}: {where}", "is not an object")
        for name in expected.keys() - found.keys():
            raise VerificationFailedError(f"{RESULT}: {_below(where, name)}", "is missing")
        for name, value in found.items():
            below = _below(where, name)
            known = name in expected
            yield from _compare(expected[name], value, below) if known else _fields(value, below)
    elif isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            raise VerificationFailedError(
                f"{RESULT}: {where}", f"is not a list of {len(expected)}, as the batch has"
            )
        for one, other in zip(expected, found, strict=True):
            yield from _compare(one, other, f"{where}[]")
    else:
        _same(f"{RESULT}: {where}", expected, found)


def _fields(found: object, where: str) -> Iterator[str]:
    """The fields in a value of which nothing is expected."""
    if isinstance(found, dict) and found:
        for name, value in found.items():
            yield from _fields(value, _below(where, name))
    else:
        yield where


def _below(where: str, name: object) -> str:
    # The names are the file's: nothing in them may steer a terminal or fill it.
    shown = "".join(c if c.isprintable() else "?" for c in str(name))[:80] or '""'
    return f"{where}.{shown}" if where else shown


def _same(check: str, expected: object, found: object) -> None:
    if type(expected) is not type(found) or expected != found:
        text = str(found)
        shown = text if len(text) <= 200 and text.isprintable() else f"{text[:80]!r}..."
        raise VerificationFailedError(check, f"expected {expected}, found {shown}")
