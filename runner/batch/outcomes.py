"""The outcomes of a run's finished jobs, which stay on disk until somebody asks for one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from runner.model import Cycles, GpuUse, Outcome, ReceiptKind
from runner.records import Numbers, Records

__all__ = ["Outcomes"]


class Outcomes(Mapping[int, Outcome]):
    """Outcomes by job id, in ascending order. Each is made anew whenever it is asked for.

    What has a place of its own is left out: the receipt and where it is stored, what the guest
    printed, and what was said of the way to the store.

    Attributes:
        receipt_bytes: the sizes of the jobs' receipts, by job id, where they have one.
    """

    def __init__(self) -> None:
        self._records = Records()
        self._numbers = Numbers()  # of the records, by job id
        self.receipt_bytes = Numbers()

    def __len__(self) -> int:
        """The number of jobs that have finished."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[int]:
        """The ids of the jobs that have finished, in ascending order."""
        return iter(self._numbers)

    def __contains__(self, job_id: object) -> bool:
        """Whether a job has finished."""
        return job_id in self._numbers

    def __getitem__(self, job_id: int) -> Outcome:
        """The outcome of a job. Raises KeyError, and OSError if the disk fails."""
        return _decoded(job_id, self._records[self._numbers[job_id]])

    def put(self, outcome: Outcome) -> None:
        """Keep an outcome. Raises OSError."""
        self._numbers[outcome.job_id] = self._records.append(_encoded(outcome))

    def only(self, jobs: Mapping[int, int]) -> Outcomes:
        """The outcomes of some jobs under new ids.

        Args:
            jobs: the new id of each job, by its earlier one.
        """
        found = Outcomes()
        for old, new in jobs.items():
            found.put(replace(self[old], job_id=new))
            if old in self.receipt_bytes:
                found.receipt_bytes[new] = self.receipt_bytes[old]
        return found


def _encoded(outcome: Outcome) -> bytes:
    cycles, gpu = outcome.cycles, outcome.gpu
    head = [
        outcome.image_id.hex(),
        outcome.kind.value,
        [cycles.user, cycles.paging, cycles.total, cycles.segments],
        outcome.prove_s,
        outcome.verify_s,
        outcome.verifications,
        outcome.worker,
        outcome.started,
        outcome.finished,
        outcome.cached,
        outcome.attempts,
        None if gpu is None else [gpu.uuid, gpu.seconds, gpu.error],
        outcome.parts,
        outcome.halvings,
        outcome.joins,
        outcome.peak_memory_mib,
    ]
    return json.dumps(head).encode() + b"\n" + outcome.journal


def _decoded(job_id: int, record: bytes) -> Outcome:
    head, _, journal = record.partition(b"\n")
    image_id, kind, cycles, *numbers, gpu, parts, halvings, joins, memory = json.loads(head)
    prove_s, verify_s, verifications, worker, started, finished, cached, attempts = numbers
    return Outcome(
        job_id=job_id,
        image_id=bytes.fromhex(image_id),
        journal=journal,
        receipt=None,
        kind=ReceiptKind(kind),
        cycles=Cycles(*cycles),
        prove_s=prove_s,
        verify_s=verify_s,
        verifications=verifications,
        worker=worker,
        started=started,
        finished=finished,
        cached=cached,
        attempts=attempts,
        gpu=None if gpu is None else GpuUse(*gpu),
        parts=parts,
        halvings=halvings,
        joins=joins,
        peak_memory_mib=memory,
    )
