"""Frozen values that pass between the layers and between processes.

No behaviour beyond what follows from the fields, no I/O, everything picklable.
Image ids and digests are raw 32-byte strings here and lower-case hex in files.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path  # noqa: TC003  # dataclasses resolve their annotations at run time
from typing import TypeAlias

Scalar: TypeAlias = "int | str | bool"
"""One input value of a guest as the user writes it."""


class ReceiptKind(StrEnum):
    """What a prover leaves behind for one job. ``EXECUTE`` leaves no receipt at all."""

    EXECUTE = "execute"
    COMPOSITE = "composite"
    SUCCINCT = "succinct"
    GROTH16 = "groth16"


@dataclass(frozen=True, slots=True)
class Guest:
    """A compiled guest program, pinned by the manifest.

    Attributes:
        name: e.g. ``fibonacci``.
        image_id: 32 bytes; what a receipt is verified against.
        elf_path: the program binary (user ELF and kernel) on disk.
        elf_sha256: lower-case hex of the file's SHA-256, checked on every load.
    """

    name: str
    image_id: bytes
    elf_path: Path
    elf_sha256: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One guest run asked for by the user.

    Attributes:
        index: position in the batch, from 0.
        value: the input by field name, as recorded in the leaf list.
        stdin: the same input as the guest reads it.
    """

    index: int
    value: dict[str, Scalar]
    stdin: bytes


@dataclass(frozen=True, slots=True)
class Aggregation:
    """One run of the aggregator guest over earlier jobs.

    Attributes:
        id: job id, larger than every child's.
        level: 1 for an aggregation of leaves, 2 above it, and so on.
        children: job ids in order; one id may stand more than once (identical runs).
    """

    id: int
    level: int
    children: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Child:
    """A finished job as the aggregator needs it.

    Attributes:
        image_id: 32 bytes.
        journal: what the child committed.
        receipt: encoded receipt, or None in execute mode.
    """

    image_id: bytes
    journal: bytes
    receipt: bytes | None


@dataclass(frozen=True, slots=True)
class ProofJob:
    """What a worker needs to make one proof, nothing else.

    Attributes:
        id: job id in the plan.
        name: for people, e.g. ``leaf 3``.
        guest: the program to run.
        stdin: its input.
        children: verified by the worker, then given as assumptions; each distinct one once.
        kind: the receipt to make.
        threads: CPU threads this job may use; 0 leaves it to the prover.
        expected: the journal that must come out, where it is known beforehand: an aggregation's
            follows from its children's.
    """

    id: int
    name: str
    guest: Guest
    stdin: bytes
    children: tuple[Child, ...]
    kind: ReceiptKind
    threads: int = 0
    expected: bytes | None = None


@dataclass(frozen=True, slots=True)
class Cycles:
    """Cycle counts of one execution, as the zkVM's executor reports them.

    Attributes:
        user: instructions of the guest.
        paging: cycles spent on page-in and page-out.
        total: after padding every segment to a power of two; what a proof costs.
        segments: number of segments.
    """

    user: int = 0
    paging: int = 0
    total: int = 0
    segments: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job.

    Attributes:
        job_id: the plan's id.
        image_id: the guest that ran.
        journal: bytes it committed.
        receipt: encoded receipt; None in execute mode.
        kind: of the receipt.
        cycles: of the run; zeros when it came from the cache and is not recorded there.
        prove_s: wall seconds in the prover (or executor in execute mode).
        verify_s: wall seconds verifying this receipt and its children's.
        verifications: how many receipts that was.
        worker: process id that did it.
        started: Unix time in seconds; ``finished`` likewise.
        cached: the receipt came from the cache, verified.
        attempts: how often the job was started, 0 when cached.
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


@dataclass(frozen=True, slots=True)
class ReceiptInfo:
    """What can be read off an encoded receipt without verifying it.

    Attributes:
        kind: composite, succinct or groth16.
        seal_bytes: of all seals in it, children included.
        segments: of the run itself, children not included.
        assumptions: number of receipts carried inside.
        journal: bytes.
    """

    kind: str
    seal_bytes: int
    segments: int
    assumptions: int
    journal: bytes


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions that decide whether two receipts can stand for each other.

    Attributes:
        zkvm: ``risc0``.
        zkvm_version: of the prover library, e.g. ``3.0.6``.
        extra: anything else worth recording, by name.
    """

    zkvm: str
    zkvm_version: str
    extra: dict[str, str] = field(default_factory=dict)
