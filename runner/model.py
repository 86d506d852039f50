"""Frozen values that pass between the rooms and between processes.

They have no behaviour beyond what follows from their fields, do no I/O and can all be pickled.
Image ids and digests are 32 raw bytes here, and lower-case hex in files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path  # noqa: TC003  # dataclasses resolve their annotations at run time
from typing import Protocol, TypeAlias

Scalar: TypeAlias = "int | str | bool"
"""One value of a setting, as the user writes it."""


class ReceiptKind(StrEnum):
    """The kind of receipt that a prover makes for a job. ``EXECUTE`` makes no receipt at all."""

    EXECUTE = "execute"
    COMPOSITE = "composite"
    SUCCINCT = "succinct"
    GROTH16 = "groth16"


@dataclass(frozen=True, slots=True)
class Guest:
    """A compiled guest program, pinned by a manifest or named by its file.

    Attributes:
        name: the guest's name, e.g. ``fibonacci``.
        image_id: the 32-byte image id that its receipts are verified against.
        elf_path: the file of the program, in a form that the zkVM's adapter takes.
        elf_sha256: the SHA-256 of that file in lower-case hex. It is checked on every load.
        pinned: whether a manifest has this image id under this name.
        max_cycles: the cycles after which a run of it is given up; 0 leaves that to the prover.
    """

    name: str
    image_id: bytes
    elf_path: Path
    elf_sha256: str
    pinned: bool = True
    max_cycles: int = 0


@dataclass(frozen=True, slots=True)
class Leaf:
    """One guest run that the user asks for.

    Attributes:
        index: the leaf's position in the batch, from 0.
        value: the input by field name, as JSON and as the leaf list records it.
        stdin: the same input as the guest reads it.
        guest: the name of the guest that runs; empty where the batch has only one.
        assumptions: what the input names as assumptions of its own, as JSON; empty for none.
    """

    index: int
    value: dict[str, object]
    stdin: bytes
    guest: str = ""
    assumptions: str = ""


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One run of the aggregator guest over earlier jobs.

    Attributes:
        id: the aggregation's job id, which is larger than the id of every child.
        level: 1 for an aggregation of leaves only, and otherwise one more than the highest level
            among its children.
        children: the children's job ids in order. An id stands there more than once where identical
            runs share a job.
    """

    id: int
    level: int
    children: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A receipt or a segment that is in the store of artifacts, and not here.

    Attributes:
        sha256: the SHA-256 of its bytes in lower-case hex.
        size: the number of its bytes.
        host: the name of the machine that made it or last had it, which may still keep it; empty if
            no worker's machine has it.
    """

    sha256: str
    size: int
    host: str = ""


@dataclass(frozen=True, slots=True)
class Child:
    """A proved run, as a job needs it whose guest verifies it.

    Attributes:
        image_id: the image id of the child's guest, 32 bytes.
        journal: the journal that the child committed.
        receipt: the encoded receipt, or None in execute mode and where it is stored.
        stored: where the receipt is, if it is in the store of artifacts.
    """

    image_id: bytes
    journal: bytes
    receipt: bytes | None
    stored: Stored | None = None


@dataclass(frozen=True, slots=True)
class LongRun:
    """A run of several segments that was executed and not proved.

    Attributes:
        journal: what the guest committed.
        cycles: the cycles of the run.
        segment_po2: the limit that it is cut with, as a power of two of cycles.
        sizes: the size of each segment, as a power of two of cycles.
        log: what the guest printed.
        joins: whether the receipts of its segments are lifted and joined to one of constant size.
            Otherwise the receipt of the run carries them all.
    """

    journal: bytes
    cycles: Cycles
    segment_po2: int
    sizes: tuple[int, ...]
    log: str = ""
    joins: bool = False

    @property
    def lifts_and_joins(self) -> int:
        """How often receipts of its segments are lifted or joined. A tree has one join less."""
        return 2 * len(self.sizes) - 1 if self.joins else 0


class Step(StrEnum):
    """What a part of a run of several segments makes.

    ``SEGMENT`` proves a segment. ``ASSEMBLE`` makes the receipt of the run from those of all its
    segments. Where receipts are joined, ``LIFT`` makes the receipt of a segment one of constant
    size, ``JOIN`` makes one of two that follow each other, and ``RESOLVE`` makes the receipt of the
    run from the last of them and those of the run's assumptions.
    """

    SEGMENT = "segment"
    LIFT = "lift"
    JOIN = "join"
    ASSEMBLE = "assemble"
    RESOLVE = "resolve"


@dataclass(frozen=True, slots=True)
class Span:
    """Segments of one run that follow each other.

    Attributes:
        first: the position of the first one, from 0.
        count: the number of them.
    """

    first: int
    count: int

    @property
    def end(self) -> int:
        """The position after the last one."""
        return self.first + self.count

    @property
    def halves(self) -> tuple[Span, Span]:
        """The two spans whose receipts are joined to that of this one, which has two or more.

        The first is the largest power of two of segments that leaves one over.
        """
        left = 1 << ((self.count - 1).bit_length() - 1)
        return Span(self.first, left), Span(self.first + left, self.count - left)


@dataclass(frozen=True, slots=True)
class Part:
    """What a job makes of a run of several segments.

    Attributes:
        step: what it makes.
        span: the segments that its receipt is of.
        of: the number of segments of the run.
        po2: the size of the segment, as a power of two of cycles; 0 for all but ``SEGMENT``.
        digest: the SHA-256 of the segment's bytes. That of a lifted or joined receipt is made from
            those of its segments, and stands for what it proves; empty for the receipt of the run.
        data: the segment's bytes alone, or the receipts of the spans that are taken, in order. It
            is empty until the job starts.
        stored: for each of these bytes, where in the store of artifacts they are, and None where
            they are in ``data``, which is empty at the others; empty if none is in the store.
    """

    step: Step
    span: Span
    of: int
    po2: int = 0
    digest: bytes = b""
    data: tuple[bytes, ...] = ()
    stored: tuple[Stored | None, ...] = ()

    @property
    def last(self) -> bool:
        """Whether it makes the receipt of the run."""
        return self.step in {Step.ASSEMBLE, Step.RESOLVE}

    @property
    def takes(self) -> tuple[Span, ...]:
        """The spans whose receipts, or for ``SEGMENT`` whose segment, the part is made from."""
        if self.step is Step.JOIN:
            return self.span.halves
        if self.step is Step.ASSEMBLE:
            return tuple(Span(index, 1) for index in range(self.of))
        return (self.span,)

    @property
    def number(self) -> int:
        """What tells the part from all others of its run. That of a segment is its position."""
        if self.last:
            return self.of
        if self.step is Step.JOIN:
            # Of all joins of a run, one alone has its second half begin at this segment.
            return 2 * self.of + self.span.halves[1].first
        return self.span.first + (self.of + 1 if self.step is Step.LIFT else 0)


@dataclass(frozen=True, slots=True)
class ProofJob:
    """All that a worker needs to make one proof, or one part of it.

    Attributes:
        id: the job's id in the plan.
        name: the job's name for people, e.g. ``leaf 3``.
        guest: the guest to run.
        stdin: the guest's input.
        children: the children, each distinct one once: those of an aggregation, or what a leaf's
            guest verifies itself. The worker verifies their receipts and then gives them to the
            prover as assumptions.
        kind: the kind of receipt to make.
        threads: the number of CPU threads that the job may use, or 0 to leave it to the prover.
        expected: the journal that the run must commit, where it is known beforehand. That of an
            aggregation follows from its children's journals; a leaf's is None.
        beside: the number of jobs that may run side by side with this one, itself included. A
            worker on another machine shares its own cores by it. 0 leaves it to ``threads``.
        seed: what the guest's random numbers come from where its run is cut into segments. It is
            secret, because it keeps the digests of the guest's memory from telling what is in it.
            A job without a seed is proved as a whole.
        part: the part of the run that the job makes; None for a whole run.
        halvings: how many times the largest segment of the run is to be half as large as the
            prover's settings make it, because workers did not have the memory for it.
        host: the machine that had best run it, because it makes what is aggregated together with
            it; empty if it is all the same.
        most_po2: the largest segment that the run may have, as a power of two of cycles, because
            workers did not have the memory for larger ones of any run; 0 for no such limit.
    """

    id: int
    name: str
    guest: Guest
    stdin: bytes
    children: tuple[Child, ...]
    kind: ReceiptKind
    threads: int = 0
    expected: bytes | None = None
    beside: int = 0
    seed: bytes = b""
    part: Part | None = None
    halvings: int = 0
    host: str = ""
    most_po2: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """What tells the job from all others: its id in the plan, and the number of its part."""
        return self.id, -1 if self.part is None else self.part.number


@dataclass(frozen=True, slots=True)
class Cycles:
    """The cycle counts of one run, as the zkVM's executor reports them.

    Attributes:
        user: the cycles of the guest's own instructions.
        paging: the cycles spent on page-in and page-out.
        total: all cycles after each segment is padded to a power of two, which decide what a proof
            costs.
        segments: the number of segments.
    """

    user: int = 0
    paging: int = 0
    total: int = 0
    segments: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one job that succeeded.

    Attributes:
        job_id: the job's id in the plan.
        image_id: the image id of the guest that ran.
        journal: the journal that the run committed.
        receipt: the encoded receipt, or None in execute mode and where it is stored.
        kind: the kind of the receipt.
        cycles: the cycle counts of the run. They are zeros for a receipt from the cache whose entry
            does not record them.
        prove_s: the wall seconds in the prover, or in the zkVM's executor in execute mode.
        verify_s: the wall seconds spent on verifying this receipt and its children's.
        verifications: the number of receipts verified in that time.
        worker: the id of the process that ran the job.
        started: the Unix time at which the job began, in seconds.
        finished: the Unix time at which the job ended, in seconds.
        cached: whether the receipt came from the cache. It was verified before it was used.
        attempts: the number of attempts that were started; 0 for a receipt from the cache.
        gpu: the part that a GPU had in the proof; None if it had none.
        stored: where the receipt is, if it is in the store of artifacts.
        visit: what a worker on another machine says of itself and of its way to the store; None for
            a worker on this one.
        printed: what the guest printed, bounded; empty for a receipt from the cache.
        long: the run, if it has several segments and was executed only; None for any other outcome.
        parts: the number of segments that were proved one by one; 0 for a run proved as a whole.
        halvings: those of the job.
        joins: how often receipts of its segments were lifted or joined by jobs of their own.
        peak_memory_mib: the most memory in MiB that the worker has had in use up to the job's end,
            in this job and those before it; 0 for a receipt from the cache.
    """

    job_id: int
    image_id: bytes
    journal: bytes
    receipt: bytes | None
    kind: ReceiptKind
    cycles: Cycles
    prove_s: float
    verify_s: float
    verifications: int
    worker: int
    started: float
    finished: float
    cached: bool = False
    attempts: int = 1
    gpu: GpuUse | None = None
    stored: Stored | None = None
    visit: Visit | None = None
    printed: str = ""
    long: LongRun | None = None
    parts: int = 0
    halvings: int = 0
    joins: int = 0
    peak_memory_mib: int = 0


@dataclass(frozen=True, slots=True)
class GpuUse:
    """The part that a GPU had in a proof.

    Attributes:
        uuid: the id of the GPU.
        seconds: the wall seconds for which the proof had the GPU.
        error: why the GPU failed, and the CPU made the proof; empty if the GPU made it.
    """

    uuid: str
    seconds: float = 0.0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A job on a worker that may be on another machine.

    Attributes:
        host: the name of the machine.
        fetched: the bytes that it took from the store for the job.
        kept: the bytes that the job needed and the machine's own disk had.
        sent: the bytes that it gave to the store.
        trouble: what went wrong with the store and cost nothing but time; empty if nothing did.
    """

    host: str
    fetched: int = 0
    kept: int = 0
    sent: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptInfo:
    """The facts that can be read from an encoded receipt without verifying it.

    Attributes:
        kind: the kind of receipt: composite, succinct or groth16.
        seal_bytes: the size of all seals in the receipt in bytes, the children's included.
        segments: the number of segments of the run itself, without its children's.
        assumptions: the number of receipts that are carried inside this one.
        journal: the journal that the receipt claims.
    """

    kind: str
    seal_bytes: int
    segments: int
    assumptions: int
    journal: bytes


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions that decide whether one receipt can be used in place of another.

    Attributes:
        zkvm: the name of the zkVM, e.g. ``risc0``.
        zkvm_version: the version of the prover library, e.g. ``3.0.6``.
        extra: further versions that are worth recording, by name.
    """

    zkvm: str
    zkvm_version: str
    extra: dict[str, str] = field(default_factory=dict)


class AggregationCost(Protocol):
    """What aggregations cost a zkVM, in units of its own that can be added up.

    An adapter models its own cost (:attr:`runner.provers.prover.Prover.aggregation_cost`), and
    ``fan_in=auto`` takes the grouping that is the cheapest by it.
    """

    @property
    def aggregate(self) -> int:
        """What a child costs that is an aggregate itself."""
        ...

    def leaf(self, journal_bytes: int) -> int:
        """What a leaf costs as a child."""
        ...

    def aggregation(self, children: int) -> int:
        """What an aggregation costs whose children cost ``children`` together."""
        ...

    def good_sizes(self, child: int) -> list[int]:
        """The sizes of groups that are good in themselves, where one child costs ``child``."""
        ...

    def largest(self, child: int) -> int:
        """The largest group that is worth a look, where one child costs ``child``."""
        ...


PLACEMENT = (
    *(
        "output",
        "progress",
        "log_level",
        "log_format",
        "quiet",
        "report",
        "dry_run",
        "dry_run_executes",
    ),
    *("metrics", "audit", "l1", "guests", "cache.folder"),
    *("executor.timeout_s", "executor.max_cycles", "executor.on_failure"),
    *("executor.engine.address", "retry", "store"),
    *(f"executor.engine.{name}" for name in ("tls", "wait_s", "heartbeat_s", "lost_s")),
    *("prover.gpus", "prover.gpu_proofs"),
)
"""The settings that say where a run happens, what it shows, and how it meets failures.

Everything else in the configuration (``runner/cli/schema.py``) says what is done: two runs that
differ in nothing but these make the same result. A name stands for all settings below it. The
folder of the guests is here because the programs in it are compared themselves.
"""


def is_placement(name: str) -> bool:
    """Whether a setting, by its dotted name, is one of :data:`PLACEMENT`."""
    return any(name == place or name.startswith(f"{place}.") for place in PLACEMENT)


def flat(config: object, prefix: str = "") -> dict[str, str]:
    """Nested settings by their dotted names, each value as a text: its own, or else its JSON."""
    if not isinstance(config, dict) or (prefix and not config):
        return {prefix: config if isinstance(config, str) else json.dumps(config, default=str)}
    found: dict[str, str] = {}
    for key, value in config.items():
        found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found
