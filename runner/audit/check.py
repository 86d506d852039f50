"""Checks an audit log, and a batch's folder against its log."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.audit.log import Head, read_log
from runner.errors import AuditBrokenError, InputError, VerificationFailedError
from runner.folder import LEAVES, RESULT, ROOT, SUMS, check_sums, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runner.audit.chain import Line

__all__ = ["Report", "Seal", "check_log", "read_seal"]


_STATUSES = ("ok", "failed", "interrupted")


_NAME = "audit.jsonl"
"""Of a log in an output folder, unless its ``result.json`` says otherwise."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What a folder's ``result.json`` says of the log.

    Attributes:
        folder: of the batch.
        log: the file.
        head: of the run, its last line.
        run_id: of the run.
        status: it ended with.
    """

    folder: Path
    log: Path
    head: Head
    run_id: str
    status: str


@dataclass(slots=True)
class Report:
    """A log that holds.

    Attributes:
        lines: of the chain.
        hash: of the last.
        torn: fragments that killed writers left.
        runs: how each run ended, by id; None where the log has no end of it.
        submitted: digests of the files that each run handed over, by name.
    """

    lines: int = 0
    hash: str = ""
    torn: int = 0
    runs: dict[str, str | None] = field(default_factory=dict)
    submitted: dict[str, dict[str, str]] = field(default_factory=dict)

    def take(self, line: Line) -> None:
        """The next line."""
        self.lines, self.hash = line.seq, line.hash
        self.torn += "torn_bytes" in line.fields
        run = line.fields.get("run")
        if not isinstance(run, str):
            return
        self.runs.setdefault(run, None)
        if line.event == "run_finished":
            self.runs[run] = str(line.fields.get("status"))
        if line.event == "submitted" and isinstance(line.fields.get("files"), dict):
            self.submitted[run] = line.fields["files"]

    def words(self) -> str:
        """On one line, without the file."""
        known = {None: "without an end"} | {status: status for status in _STATUSES}
        # What else a log says is not for the terminal.
        ends = Counter(known.get(status, "of no known end") for status in self.runs.values())
        shown = ", ".join(f"{count} {name}" for name, count in sorted(ends.items()))
        torn = f", {self.torn} torn" if self.torn else ""
        runs = f"{len(self.runs)} run{'' if len(self.runs) == 1 else 's'}"
        return f"{self.lines} lines{torn}, {runs} ({shown or 'none'}); the last is {self.hash}"


def read_seal(folder: Path) -> Seal | None:
    """What a batch's folder says of its log; None for one that only has a log (a killed run's).

    Raises:
        InputError: the folder has no log.
        VerificationFailedError: its files are not those that ``SHA256SUMS`` names.
    """
    if not (folder / RESULT).exists():
        if (folder / _NAME).exists():
            return None
        remedy = "give the output folder of a batch, or the log itself"
        problem = f"has no {RESULT} and no {_NAME}"
        raise InputError("folder", str(folder), problem, remedy)
    if (folder / SUMS).exists():
        check_sums(folder)
    try:
        record: dict[str, Any] = json.loads(read_file(folder, RESULT))
        said = record["audit"]
        if said is None:
            problem, remedy = "the run had no audit log", "give the log itself"
            raise InputError("folder", str(folder), problem, remedy)
        head = Head(int(said["lines"]), str(said["hash"]))
        status = str(record["status"])
        return Seal(folder, folder / str(said["file"]), head, str(record["run_id"]), status)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = f"names no audit log ({type(error).__name__}: {error})"
        raise VerificationFailedError(RESULT, reason) from None


def check_log(path: Path, seal: Seal | None = None, heads: Iterable[str] = ()) -> Report:
    """Check a log from its first line to its last.

    Args:
        path: the file.
        seal: that it must fit.
        heads: hashes of lines that must be there.

    Raises:
        AuditBrokenError: the first bad line, and why.
        InputError: the file cannot be read.
        VerificationFailedError: the log holds, and the folder is not as it says.
    """
    report, missing = Report(), dict.fromkeys(heads)
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "no such file")
        for line in read_log(path):
            report.take(line)
            missing.pop(line.hash, None)
            if seal is not None and line.seq == seal.head.lines and line.hash != seal.head.hash:
                raise AuditBrokenError(line.seq, _unsealed(seal, f"is {line.hash[:16]}..."))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise InputError("log", str(path), problem, "give an audit log") from None
    if seal is not None and report.lines < seal.head.lines:
        raise AuditBrokenError(report.lines + 1, _unsealed(seal, "is missing"))
    for head in missing:
        raise AuditBrokenError(report.lines, f"up to here no line is {head}, which was kept")
    if seal is not None:
        _check_folder(seal, report)
    return report


def _unsealed(seal: Seal, what: str) -> str:
    said = f"says line {seal.head.lines} is {seal.head.hash[:16]}..."
    return f"{seal.folder / RESULT} {said}, it {what}"


def _check_folder(seal: Seal, report: Report) -> None:
    found = report.runs.get(seal.run_id)
    if found != seal.status:
        reason = f"{RESULT} says the run ended {seal.status!r}, the log {found!r}"
        raise VerificationFailedError("audit log", reason)
    for name, digest in report.submitted.get(seal.run_id, {}).items():
        if name not in {LEAVES, ROOT}:
            raise VerificationFailedError("audit log", f"names a strange file {name!r}")
        if hashlib.sha256(read_file(seal.folder, name)).hexdigest() != digest:
            raise VerificationFailedError(name, "is not what the audit log says was handed over")
