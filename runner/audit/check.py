"""Check an audit log, and a batch's folder against its log."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.audit.log import Head, read_log
from runner.errors import AuditBrokenError, InputError, VerificationFailedError
from runner.files import path_of
from runner.folder import LEAVES, RESULT, ROOT, SUMS, check_sums, read_file, read_json
from runner.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from runner.audit.chain import Line

__all__ = ["LOG_NAME", "CheckedLog", "RecordedEnd", "check_log", "read_recorded_end"]

_STATUSES = ("ok", "partial", "failed", "interrupted")

LOG_NAME = "audit.jsonl"
"""The name of the log in an output folder, unless its ``result.json`` says otherwise."""


@dataclass(frozen=True, slots=True)
class RecordedEnd:
    """The end of a run in its audit log, as the run's ``result.json`` records it.

    Attributes:
        folder: the output folder of the batch.
        log: the path of the log.
        head: the last line of the run.
        run_id: the run's id.
        status: the status with which the run ended.
    """

    folder: Path
    log: Path
    head: Head
    run_id: str
    status: str


@dataclass(slots=True)
class CheckedLog:
    """What is known about a log whose lines have been checked.

    Attributes:
        lines: the number of lines of the chain.
        hash: the hash of the last line.
        torn: the number of fragments that killed writers have left.
        runs: the status with which each run ended, by the run's id; None if the log does not say.
        submitted: the digests of the files that each run handed over, by run id and file name.
    """

    lines: int = 0
    hash: str = ""
    torn: int = 0
    runs: dict[str, str | None] = field(default_factory=dict)
    submitted: dict[str, dict[str, str]] = field(default_factory=dict)

    def take(self, line: Line) -> None:
        """Count the next line of the log, which has been checked."""
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
        """A summary for people on one line, without the file's path."""
        known = {None: "without an end"} | {status: status for status in _STATUSES}
        # Any other status comes from a file that may hold anything, so it is not printed.
        ends = Counter(known.get(status, "of no known end") for status in self.runs.values())
        shown = ", ".join(f"{count} {name}" for name, count in sorted(ends.items()))
        torn = f", {self.torn} torn" if self.torn else ""
        runs = f"{len(self.runs)} run{'' if len(self.runs) == 1 else 's'}"
        return f"{self.lines} lines{torn}, {runs} ({shown or 'none'}); the last is {self.hash}"


def read_recorded_end(folder: Path) -> RecordedEnd | None:
    """Read from a batch's folder how its run ended in the log.

    Args:
        folder: the output folder of the batch.

    Returns:
        The recorded end; None if the folder only has a log, because the run was killed.

    Raises:
        InputError: the folder has no log.
        VerificationFailedError: the files are not those that ``SHA256SUMS`` names.
    """
    if not (folder / RESULT).exists():
        if (folder / LOG_NAME).exists():
            return None
        remedy = "give the output folder of a batch, or the log itself"
        problem = f"has no {RESULT} and no {LOG_NAME}"
        raise InputError("folder", str(folder), problem, remedy)
    if (folder / SUMS).exists():
        check_sums(folder)
    try:
        record: dict[str, Any] = read_json(folder, RESULT)
        said = record["audit"]
        if said is None:
            problem, remedy = "the run had no audit log", "give the log itself"
            raise InputError("folder", str(folder), problem, remedy)
        file, digest, run_id, status = texts = (
            *(said["file"], said["hash"]),
            *(record["run_id"], record["status"]),
        )
        if type(said["lines"]) is not int or not all(isinstance(text, str) for text in texts):
            raise TypeError("a field is of another type")
        if not visible(file).isprintable():  # a path with a null byte cannot even be looked for
            raise ValueError(f"{file!r} is no path")
        return RecordedEnd(
            folder, folder / path_of(file), Head(said["lines"], digest), run_id, status
        )
    except (ValueError, KeyError, TypeError) as error:
        reason = f"names no audit log ({type(error).__name__}: {error})"
        raise VerificationFailedError(RESULT, reason) from None


def check_log(path: Path, end: RecordedEnd | None = None, heads: Iterable[str] = ()) -> CheckedLog:
    """Check a log from its first line to its last.

    Args:
        path: the path of the log.
        end: the end of a run that the log must have, and whose folder must fit the log.
        heads: the hashes of lines that the log must have.

    Raises:
        AuditBrokenError: a line is bad; the error names the first one and the reason.
        InputError: the file cannot be read.
        VerificationFailedError: the log holds, but the folder does not fit it.
    """
    checked, missing = CheckedLog(), dict.fromkeys(heads)
    try:
        for line in read_log(path):
            checked.take(line)
            missing.pop(line.hash, None)
            if end is not None and line.seq == end.head.lines and line.hash != end.head.hash:
                raise AuditBrokenError(line.seq, _mismatch(end, f"is {line.hash[:16]}..."))
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise InputError("log", str(path), problem, "give an audit log") from None
    if end is not None and checked.lines < end.head.lines:
        raise AuditBrokenError(checked.lines + 1, _mismatch(end, "is missing"))
    for head in missing:
        raise AuditBrokenError(checked.lines, f"up to here no line is {head}, which was kept")
    if end is not None:
        _check_folder(end, checked)
    return checked


def _mismatch(end: RecordedEnd, what: str) -> str:
    said = f"says line {end.head.lines} is {end.head.hash[:16]}..."
    return f"{end.folder / RESULT} {said}, it {what}"


def _check_folder(end: RecordedEnd, checked: CheckedLog) -> None:
    found = checked.runs.get(end.run_id)
    if found != end.status:
        reason = f"{RESULT} says the run ended {end.status!r}, the log {found!r}"
        raise VerificationFailedError("audit log", reason)
    for name, digest in checked.submitted.get(end.run_id, {}).items():
        if name not in {LEAVES, ROOT}:
            raise VerificationFailedError("audit log", f"names a strange file {name!r}")
        if hashlib.sha256(read_file(end.folder, name)).hexdigest() != digest:
            raise VerificationFailedError(name, "is not what the audit log says was handed over")
