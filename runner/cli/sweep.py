"""A sweep as plain values: which of its jobs are done, which folder each gets, how each ended."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from runner.batch.identity import MadeFrom
from runner.errors import InputError, RunnerError, VerificationFailedError
from runner.folder import MAX_JSON_BYTES, RESULT, check_sums, read_record, write_json
from runner.text import one_line
from runner.untrusted import parse_json, read_regular

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "FILE",
    "AssignedFolder",
    "ExistingFolder",
    "FolderRequest",
    "SweepFolders",
    "SweepJob",
    "SweepRecord",
    "inspect_folder",
]

FILE = "sweep.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class ExistingFolder:
    """A job's folder that is there before the sweep starts.

    Attributes:
        name: the folder's name.
        done: whether it holds a finished batch, with every file as ``SHA256SUMS`` says.
        made_from: what its result was made from; None where that is not known.
        wall_s: the seconds that the batch took; None where there is no finished one.
    """

    name: str
    done: bool = False
    made_from: MadeFrom | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class FolderRequest:
    """What decides which folder a job gets.

    Attributes:
        name: the name of the folder that the job would have by itself.
        made_from: what the job's result is made from. None means that the job's settings are not
            usable; such a job gets a folder and fails there.
    """

    name: str
    made_from: MadeFrom | None


@dataclass(frozen=True, slots=True)
class AssignedFolder:
    """The folder that a job gets.

    Attributes:
        name: the folder's name.
        finished: what is already in the folder, if that is this job's finished result.
    """

    name: str
    finished: ExistingFolder | None = None


class SweepFolders:
    """Gives each job of a sweep its folder, so that no finished result of another one is lost.

    Args:
        sweep: the folder of the sweep, which need not exist yet.

    Raises:
        OSError: The folder of the sweep cannot be read.
    """

    def __init__(self, sweep: Path) -> None:
        found = [path for path in sweep.iterdir() if path.is_dir()] if sweep.is_dir() else []
        found.sort(key=lambda path: (len(path.name), path.name))  # 2 before 10
        self._existing = {path.name: inspect_folder(path) for path in found}
        self._taken = set(self._existing)

    def __bool__(self) -> bool:
        """Whether an earlier sweep left a folder that no job has got yet."""
        return bool(self._existing)

    def assign(self, requests: Sequence[FolderRequest]) -> list[AssignedFolder]:
        """Give each job a folder, in order. No folder is given twice in this object's life.

        Jobs are matched by what they are made from, never by number. A job whose result is there
        keeps that folder. A job that is there and failed, or was made from the same settings and
        other programs, is redone in its folder. All other jobs get the folder of their own number,
        or the next free one where that folder holds something else.
        """
        assigned: dict[int, AssignedFolder] = {}
        for index, request in enumerate(requests):
            for one in self._existing.values():
                if one.done and one.made_from and one.made_from == request.made_from:
                    assigned[index] = AssignedFolder(one.name, one)
                    del self._existing[one.name]
                    break
        for index, request in enumerate(requests):
            if index not in assigned and request.made_from:
                for one in self._existing.values():
                    if one.made_from and one.made_from.config == request.made_from.config:
                        assigned[index] = AssignedFolder(one.name)
                        del self._existing[one.name]
                        break
        for index, request in enumerate(requests):
            if index not in assigned:
                assigned[index] = AssignedFolder(self._free(request.name))
        return [assigned[index] for index in range(len(requests))]

    def _free(self, name: str) -> str:
        """The folder of this name, or another where this one is taken."""
        left = self._existing.get(name)
        if left is not None and not left.done and left.made_from is None:
            del self._existing[name]  # the job in it ended before it had a result
            return name
        if name in self._taken:
            numbers = [int(one) for one in self._taken if one.isdecimal()]
            name = str(max(numbers, default=-1) + 1)
        self._taken.add(name)
        return name


def inspect_folder(path: Path) -> ExistingFolder:
    """Read what an earlier run left in a job's folder."""
    try:
        check_sums(path)
        record, done = read_record(path), True
    except (VerificationFailedError, InputError):
        done = False
        try:
            record = parse_json(read_regular(path / RESULT, MAX_JSON_BYTES), names=True)
        except (OSError, ValueError):
            return ExistingFolder(path.name)
        if not isinstance(record, dict):
            return ExistingFolder(path.name)
    summary = record.get("summary")
    wall_s = summary.get("wall_s") if isinstance(summary, dict) else None
    if type(wall_s) not in (int, float):
        wall_s, done = None, False
    return ExistingFolder(path.name, done, MadeFrom.from_json(record.get("made_from")), wall_s)


@dataclass(frozen=True, slots=True)
class SweepJob:
    """One job of a sweep, and how it ended.

    Attributes:
        number: the job's number in the sweep, from 0.
        folder: the name of the job's folder, which is in the sweep's folder.
        overrides: the overrides that make it this job.
        status: ``ok``, ``skipped`` (done by an earlier sweep), ``failed``, or ``unfinished``.
        wall_s: the seconds that the batch took; None where there is no result.
        exit_code: the exit code that the job would have had as a run of its own; None while it is
            unfinished.
        error: why the job failed, in one line.
    """

    number: int
    folder: str
    overrides: tuple[str, ...]
    status: str = "unfinished"
    wall_s: float | None = None
    exit_code: int | None = None
    error: str | None = None

    def ended(self, result: float | Exception) -> SweepJob:
        """The same job, ended.

        Args:
            result: the wall seconds of the batch, or the error that ended it.
        """
        started = (self.number, self.folder, self.overrides)
        if not isinstance(result, Exception):
            return SweepJob(*started, "ok", result, 0)
        code = result.exit_code if isinstance(result, RunnerError) else 1
        return SweepJob(*started, "failed", None, code, one_line(result))


@dataclass(slots=True)
class SweepRecord:
    """The record of a sweep, which ``sweep.json`` holds.

    Attributes:
        folder: the folder of the sweep.
        command: the command line that started the sweep.
        jobs: the jobs that the sweep has had so far.
        interrupted: whether someone stopped the sweep.
        started: when the sweep started, in seconds since the epoch.
    """

    folder: Path
    command: list[str]
    jobs: list[SweepJob] = field(default_factory=list)
    interrupted: bool = False
    started: float = field(default_factory=time.time)

    @property
    def exit_code(self) -> int:
        """The exit code of the sweep.

        It is 130 when the sweep was stopped, 0 when all jobs have a result, 2 when unusable input
        is the only fault, and 1 otherwise.
        """
        if self.interrupted:
            return 130
        codes = {job.exit_code for job in self.jobs if job.status not in ("ok", "skipped")}
        return 0 if not codes else 2 if codes == {2} else 1

    def write(self) -> None:
        """Write ``sweep.json`` into the sweep's folder. Raises OSError."""
        data: dict[str, Any] = {
            "format": FORMAT,
            "command": self.command,
            "started": self.started,
            "finished": time.time(),
            "exit_code": self.exit_code,
            "jobs": [asdict(job) for job in self.jobs],
        }
        write_json(self.folder / FILE, data)

    def lines(self) -> list[str]:
        """The lines to print at the end: one on the whole sweep, and one for each failed job."""
        count = dict.fromkeys(("ok", "skipped", "failed", "unfinished"), 0)
        for job in self.jobs:
            count[job.status] += 1
        parts = [f"{count['ok'] + count['skipped']} of {len(self.jobs)} jobs are done"]
        if count["skipped"]:
            parts.append(f"{count['skipped']} of them were done before")
        parts += [f"{count[name]} {name}" for name in ("failed", "unfinished") if count[name]]
        if self.interrupted:
            parts.append("stopped")
        lines = [f"sweep: {', '.join(parts)}; outputs in {self.folder}"]
        for job in self.jobs:
            if job.status == "failed":
                which = f"job {job.number}{self.label(job)}, folder {job.folder}"
                lines.append(f"error: {which}: {job.error} (exit code {job.exit_code})")
        return lines

    def label(self, job: SweepJob) -> str:
        """The overrides that tell a job from the others, with a space before each of them."""
        shared = set.intersection(*(set(one.overrides) for one in self.jobs))
        return "".join(f" {text}" for text in job.overrides if text not in shared)
