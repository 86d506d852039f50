"""A sweep as plain values: which jobs are done, where the others go, what became of them."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from runner.batch.identity import MadeFrom
from runner.errors import InputError, RunnerError, VerificationFailedError
from runner.folder import RESULT, check_sums, read_record, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["FILE", "Earlier", "Folders", "Place", "SweepJob", "SweepRecord", "Wanted", "look"]

FILE = "sweep.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Earlier:
    """A job's folder that is there before the sweep starts.

    Attributes:
        folder: its name.
        done: it holds a finished batch, every file as ``SHA256SUMS`` says.
        made_from: what its result was made from; None where that is not known.
        wall_s: seconds the batch took, where it is done.
    """

    folder: str
    done: bool = False
    made_from: MadeFrom | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A job to find a place for: the folder it would have by itself, and what it is made from.

    ``made_from`` is None for one whose settings are not usable: it is left to fail.
    """

    folder: str
    made_from: MadeFrom | None


@dataclass(frozen=True, slots=True)
class Place:
    """A job's folder; ``done`` is the result that is already in it, if it answers this job."""

    folder: str
    done: Earlier | None = None


class Folders:
    """Gives each job of a sweep its folder, so that no finished result of another one is lost.

    Args:
        sweep: folder of the sweep; may not be there yet.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, sweep: Path) -> None:
        found = [path for path in sweep.iterdir() if path.is_dir()] if sweep.is_dir() else []
        found.sort(key=lambda path: (len(path.name), path.name))  # 2 before 10
        self._earlier = {path.name: look(path) for path in found}
        self._taken = set(self._earlier)

    def __bool__(self) -> bool:
        """Whether there was any before."""
        return bool(self._earlier)

    def place(self, wanted: Sequence[Wanted]) -> list[Place]:
        """A place for each job, in order; no folder is given twice in this object's life.

        Jobs are matched by what they are made from, never by number. One whose result is there
        keeps it. One that is there and failed, or was made from the same settings and other
        programs, is redone in its folder. All others get the folder of their own number, or the
        next free one where that holds something else.
        """
        places: dict[int, Place] = {}
        for index, job in enumerate(wanted):
            for one in self._earlier.values():
                if one.done and one.made_from and one.made_from == job.made_from:
                    places[index] = Place(one.folder, one)
                    del self._earlier[one.folder]
                    break
        for index, job in enumerate(wanted):
            if index not in places and job.made_from:
                for one in self._earlier.values():
                    if one.made_from and one.made_from.config == job.made_from.config:
                        places[index] = Place(one.folder)
                        del self._earlier[one.folder]
                        break
        for index, job in enumerate(wanted):
            if index not in places:
                places[index] = Place(self._free(job.folder))
        return [places[index] for index in range(len(wanted))]

    def _free(self, name: str) -> str:
        left = self._earlier.get(name)
        if left is not None and not left.done and left.made_from is None:
            del self._earlier[name]  # ended before it had a result
            return name
        if name in self._taken:
            numbers = [int(one) for one in self._taken if one.isdecimal()]
            name = str(max(numbers, default=-1) + 1)
        self._taken.add(name)
        return name


def look(path: Path) -> Earlier:
    """What is in a job's folder."""
    try:
        check_sums(path)
        record, done = read_record(path), True
    except (VerificationFailedError, InputError):
        done = False
        try:
            record = json.loads((path / RESULT).read_bytes())
        except (OSError, ValueError, RecursionError):
            return Earlier(path.name)
        if not isinstance(record, dict):
            return Earlier(path.name)
    summary = record.get("summary")
    wall_s = summary.get("wall_s") if isinstance(summary, dict) else None
    if type(wall_s) not in (int, float):
        wall_s, done = None, False
    return Earlier(path.name, done, MadeFrom.from_json(record.get("made_from")), wall_s)


@dataclass(frozen=True, slots=True)
class SweepJob:
    """What became of one job.

    Attributes:
        number: in the sweep, from 0.
        folder: its folder's name in the sweep's.
        overrides: that make it this job.
        status: ``ok``, ``skipped`` (done by an earlier sweep), ``failed``, or ``unfinished``.
        wall_s: seconds the batch took; None without a result.
        exit_code: what it would have ended with as a run of its own; None while unfinished.
        error: why it failed, one line.
    """

    number: int
    folder: str
    overrides: tuple[str, ...]
    status: str = "unfinished"
    wall_s: float | None = None
    exit_code: int | None = None
    error: str | None = None

    def ended(self, result: float | Exception) -> SweepJob:
        """The same job with its wall seconds, or why it has none."""
        started = (self.number, self.folder, self.overrides)
        if not isinstance(result, Exception):
            return SweepJob(*started, "ok", result, 0)
        code = result.exit_code if isinstance(result, RunnerError) else 1
        words = " ".join(str(result).split()) or type(result).__name__
        return SweepJob(*started, "failed", None, code, words)


@dataclass(slots=True)
class SweepRecord:
    """All jobs of a sweep; what ``sweep.json`` says.

    Attributes:
        folder: of the sweep.
        command: that started it.
        jobs: so far.
        interrupted: someone stopped it.
    """

    folder: Path
    command: list[str]
    jobs: list[SweepJob] = field(default_factory=list)
    interrupted: bool = False
    started: float = field(default_factory=time.time)

    @property
    def exit_code(self) -> int:
        """0 when all jobs have a result, 2 when only unusable input is at fault, or else 1."""
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
        """What to tell the user at the end: a line in all, and one for each job that failed."""
        count = dict.fromkeys(("ok", "skipped", "failed", "unfinished"), 0)
        for job in self.jobs:
            count[job.status] += 1
        told = [f"{count['ok'] + count['skipped']} of {len(self.jobs)} jobs are done"]
        if count["skipped"]:
            told.append(f"{count['skipped']} of them were done before")
        told += [f"{count[name]} {name}" for name in ("failed", "unfinished") if count[name]]
        if self.interrupted:
            told.append("stopped")
        lines = [f"sweep: {', '.join(told)}; outputs in {self.folder}"]
        for job in self.jobs:
            if job.status == "failed":
                which = f"job {job.number}{self.named(job)}, folder {job.folder}"
                lines.append(f"error: {which}: {job.error} (exit code {job.exit_code})")
        return lines

    def named(self, job: SweepJob) -> str:
        """The overrides that tell a job from the others, with a space before them."""
        shared = set.intersection(*(set(one.overrides) for one in self.jobs))
        return "".join(f" {text}" for text in job.overrides if text not in shared)
