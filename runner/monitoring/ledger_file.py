"""The file format of the metrics ledger, with its version, checksum and migrations.

.. code-block:: json

    {"format": "zk-batch-runner metrics ledger", "version": 2, "sha256": "...",
     "content": {"totals": [], "gauges": [], "runs": [], "recent": []}}

Every version keeps the keys ``format`` and ``version``, so that an older runner can tell a later
ledger from a damaged one. The checksum is taken over the version and the content as compact JSON
with sorted keys.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import LedgerCorruptError, LedgerNewerError
from runner.metrics import Total
from runner.monitoring.ledger_migrations import from_1
from runner.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["MIGRATIONS", "VERSION", "Contents", "RecentRun", "decode", "encode"]

VERSION = 2
FORMAT = "zk-batch-runner metrics ledger"

MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: from_1}
"""For each earlier version, a function from its content to the content of the next version. Every
version that has ever existed is here, except the current one."""


@dataclass(frozen=True, slots=True)
class RecentRun:
    """A few figures of one of the last runs, for people.

    Attributes:
        run_id: the run's id, as in ``result.json``.
        started: the Unix time at which the run began.
        duration_s: the seconds from then to the run's end.
        exit_status: the run's exit code, which is 0 for a verified result.
        leaves: the number of leaves in the batch.
        kind: the kind of the receipts; ``execute`` where nothing was proved.
    """

    run_id: str
    started: float
    duration_s: float
    exit_status: float
    leaves: float
    kind: str


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a ledger.

    Attributes:
        totals: the counters and histograms over all runs, including those that this version does
            not know.
        gauges: the gauges of the last run, and those that are kept from earlier runs.
        runs: the ids of the last runs that were counted, oldest first.
        recent: the figures of the last few runs, oldest first.
    """

    totals: tuple[Total, ...] = ()
    gauges: tuple[Total, ...] = ()
    runs: tuple[str, ...] = ()
    recent: tuple[RecentRun, ...] = ()


def encode(contents: Contents) -> bytes:
    """Return the file's bytes for the contents of a ledger."""
    content = {
        "totals": [asdict(total) for total in contents.totals],
        "gauges": [asdict(gauge) for gauge in contents.gauges],
        "runs": contents.runs,
        "recent": [asdict(glance) for glance in contents.recent],
    }
    data = {
        "format": FORMAT,
        "version": VERSION,
        "sha256": _checksum(VERSION, content),
        "content": content,
    }
    return (_compact(data) + "\n").encode()


def decode(data: bytes) -> Contents:
    """Return the contents of a ledger's file, brought to this version.

    Raises:
        LedgerCorruptError: no version wrote the file like this.
        LedgerNewerError: a later version wrote the file.
    """
    try:
        file = parse_json(data)
    except ValueError as error:
        raise LedgerCorruptError(f"not JSON: {error}") from None
    if not isinstance(file, dict) or file.get("format") != FORMAT:
        raise LedgerCorruptError("not a metrics ledger")
    version: object = file.get("version")
    content: Any = file.get("content")
    if type(version) is not int:
        raise LedgerCorruptError("no version")
    if version > VERSION:
        raise LedgerNewerError(version, VERSION)
    try:
        checksum = _checksum(version, content)
    except RecursionError:  # writing goes through nesting that is just not too deep for reading
        raise LedgerCorruptError("nested too deeply") from None
    if file.get("sha256") != checksum:
        raise LedgerCorruptError("the checksum does not match the content")
    try:
        for number in range(version, VERSION):
            content = MIGRATIONS[number](content)
        return Contents(
            totals=_series(content["totals"], least=0),
            gauges=_series(content["gauges"], least=-math.inf),
            runs=tuple(map(_text, content["runs"])),
            recent=tuple(map(_recent_run, content["recent"])),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise LedgerCorruptError(f"of the wrong shape: {error!r}") from None


def _series(rows: Iterable[dict[str, Any]], least: float) -> tuple[Total, ...]:
    found = tuple(
        Total(
            name=_text(row["name"]),
            labels={_text(label): _text(value) for label, value in row["labels"].items()},
            value=_number(row["value"], least),
            bounds=tuple(_number(bound, -math.inf) for bound in row["bounds"]),
            counts=tuple(int(_number(count, 0)) for count in row["counts"]),
        )
        for row in rows
    )
    for total in found:
        if len(total.counts) != len(total.bounds) + bool(total.bounds):
            raise ValueError(f"{total.name}: {len(total.counts)} counts")
    return found


def _recent_run(row: dict[str, Any]) -> RecentRun:
    return RecentRun(
        run_id=_text(row["run_id"]),
        started=_number(row["started"], -math.inf),
        duration_s=_number(row["duration_s"], 0),
        exit_status=_number(row["exit_status"], -math.inf),
        leaves=_number(row["leaves"], 0),
        kind=_text(row["kind"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _number(value: float, least: float) -> float:
    largest = sys.float_info.max  # JSON's whole numbers may be larger than any of these
    if type(value) not in {int, float} or not max(least, -largest) <= value <= largest:
        raise ValueError(f"{value!r} is not a number it can be")
    return value


def _checksum(version: int, content: object) -> str:
    return hashlib.sha256(_compact([version, content]).encode()).hexdigest()


def _compact(data: object) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
