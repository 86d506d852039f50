"""The work that is left of runs of several segments, over measured times.

Each part takes the mean time of the parts of its kind: of the segments of its size, of the lifts,
or of the joins. A size that was not measured takes as long for each cycle as those that were.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from runner.model import Step

if TYPE_CHECKING:
    from runner.model import LongRun, Part

__all__ = ["PartsLeft"]

_Kind: TypeAlias = tuple[Step, int]
"""A step, and the size of a segment as a power of two of cycles, or 0."""


class PartsLeft:
    """Counts the parts of runs of several segments, while it is told of every one."""

    def __init__(self) -> None:
        self._all: Counter[_Kind] = Counter()
        self._of: dict[int, Counter[_Kind]] = {}
        self._measured: dict[_Kind, tuple[float, int]] = {}

    def has(self, job: int) -> bool:
        """Whether a job is a run of several segments that is not done."""
        return job in self._of

    def split(self, job: int, run: LongRun) -> None:
        """Note that a job is such a run."""
        parts = Counter((Step.SEGMENT, po2) for po2 in run.sizes)
        if run.joins:
            parts[Step.LIFT, 0] = len(run.sizes)
            parts[Step.JOIN, 0] = len(run.sizes) - 1
        self._of[job] = parts
        self._all.update(parts)

    def drop(self, job: int) -> None:
        """Note that a run is done, or that nothing of it will be of use."""
        self._all.subtract(self._of.pop(job, Counter()))

    def finished(self, job: int, part: Part, took: float | None) -> None:
        """Note that a part of a run is done.

        Args:
            job: the id of the run's job.
            part: the part.
            took: the seconds that it took; None for a receipt from the cache.
        """
        if part.last:
            return
        kind = (part.step, part.po2)
        if took is not None:
            spent, count = self._measured.get(kind, (0.0, 0))
            self._measured[kind] = (spent + max(0.0, took), count + 1)
        if self._of.get(job, Counter())[kind] > 0:
            self._of[job][kind] -= 1
            self._all[kind] -= 1

    def work(self) -> tuple[float, bool]:
        """The seconds that the parts take that are left, and whether all of them are known."""
        work, known = 0.0, True
        for kind, count in (+self._all).items():
            each = self._mean(kind)
            if each is None:
                known = False
            else:
                work += count * each
        return work, known

    def _mean(self, kind: _Kind) -> float | None:
        """The seconds that a part of a kind takes; None if nothing like it was measured."""
        if kind in self._measured:
            spent, count = self._measured[kind]
            return spent / count
        step, size = kind
        alike = {po2: seen for (of, po2), seen in self._measured.items() if of is step}
        cycles = sum(count << po2 for po2, (_, count) in alike.items())
        if not cycles:
            return None
        return sum(spent for spent, _ in alike.values()) / cycles * (1 << size)
