"""A run of several segments: which of its parts are made, and which can be made now.

Where receipts are joined, each segment's is lifted as soon as it is there, and two that follow each
other are joined as soon as both are there. The joins are a tree of equal depth over the segments.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from runner.model import Part, Span, Step

if TYPE_CHECKING:
    from runner.model import LongRun, Outcome, ProofJob

__all__ = ["RunParts"]


@dataclass(eq=False)
class RunParts:
    """A run of which some parts are missing.

    Attributes:
        job: the job, without its children's receipts.
        executed: the outcome of its execution.
        run: the run.
        made: the outcomes of its parts, without the receipts, by the part and its number.
        joinable: the digests of the lifted and joined receipts that are in no join yet.
    """

    job: ProofJob
    executed: Outcome
    run: LongRun
    made: dict[int, tuple[Part, Outcome]] = field(default_factory=dict)
    joinable: dict[Span, bytes] = field(default_factory=dict)

    def segment(self, index: int, digest: bytes) -> ProofJob:
        """The job of a segment that was cut."""
        of, po2 = len(self.run.sizes), self.run.sizes[index]
        return self._job(Part(Step.SEGMENT, Span(index, 1), of, po2, digest))

    def finished(self, part: Part, outcome: Outcome) -> ProofJob | None:
        """Note that a part is there, and return the job that can be done now, if there is one."""
        self.made[part.number] = (part, replace(outcome, receipt=None))
        following = self._joined(part) if self.run.joins else self._assembled()
        return None if following is None else self._job(following)

    def lost(self, span: Span) -> None:
        """Forget the parts of some segments."""
        for number, (part, _) in list(self.made.items()):
            if span.first <= part.span.first and part.span.end <= span.end:
                del self.made[number]
                self.joinable.pop(part.span, None)

    def whole(self, outcome: Outcome) -> Outcome:
        """The outcome of the whole run, whose times are sums over all parts.

        Args:
            outcome: the outcome of the job that made the receipt of the run.
        """
        parts = [self.executed, *(made for _, made in self.made.values()), outcome]
        return replace(
            outcome,
            cycles=self.run.cycles,
            prove_s=sum(part.prove_s for part in parts),
            verify_s=sum(part.verify_s for part in parts),
            verifications=sum(part.verifications for part in parts),
            started=min(part.started for part in parts),
            attempts=self.executed.attempts,
            parts=len(self.run.sizes),
            joins=self.run.lifts_and_joins,
            peak_memory_mib=max(part.peak_memory_mib for part in parts),
        )

    def _assembled(self) -> Part | None:
        """The receipt of a run that carries all others, once these are there."""
        of = len(self.run.sizes)
        return Part(Step.ASSEMBLE, Span(0, of), of) if len(self.made) == of else None

    def _joined(self, part: Part) -> Part | None:
        """What can be made of the receipt of a part that is lifted or joined next."""
        if part.step is Step.SEGMENT:
            return Part(Step.LIFT, part.span, part.of, digest=_digest(Step.LIFT, part.digest))
        if part.step is Step.JOIN:
            for half in part.takes:
                self.joinable.pop(half, None)
        self.joinable[part.span] = part.digest
        if (above := _above(part.span, part.of)) is None:
            return Part(Step.RESOLVE, part.span, part.of)
        left, right = (self.joinable.get(half, b"") for half in above.halves)
        if not (left and right):
            return None
        return Part(Step.JOIN, above, part.of, digest=_digest(Step.JOIN, left, right))

    def _job(self, part: Part) -> ProofJob:
        """The job of a part, without its data."""
        first, of = part.span.first + 1, part.of
        match part.step:
            case Step.SEGMENT:
                what = f"segment {first} of {of}"
            case Step.LIFT:
                what = f"lift of segment {first} of {of}"
            case Step.JOIN:
                what = f"join of segments {first} to {part.span.end} of {of}"
            case _:
                what = "all segments"
        expected = self.run.journal if part.last else None
        return replace(self.job, name=f"{self.job.name}, {what}", part=part, expected=expected)


def _above(span: Span, of: int) -> Span | None:
    """The span whose receipt is joined from that of this one and another; None for a whole run."""
    above = Span(0, of)
    if span == above:
        return None
    while span not in above.halves:
        left, right = above.halves
        above = left if span.first < right.first else right
    return above


def _digest(step: Step, *digests: bytes) -> bytes:
    """The digest that stands for what a lifted or joined receipt proves."""
    return hashlib.sha256(step.value.encode() + b"".join(digests)).digest()
