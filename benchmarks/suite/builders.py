"""Makes what is measured: plans, guest runs, receipts, caches, metrics and batches.

Nothing is timed here, and everything comes out the same each time: inputs follow from their place
in a batch, and nothing is random.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from runner.cache.proof_cache import ProofCache
from runner.engines.engine import Engine, Host
from runner.engines.retry import RetryPolicy
from runner.executor import PlanExecutor
from runner.metric_table import BUILD_INFO, GUEST_CYCLES
from runner.metrics import Recorder
from runner.model import Cycles, Guest, ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult, aggregator_stdin, padded
from runner.plan.strategy import make_plan
from runner.provers.guests import AGGREGATOR, DEFAULT_FOLDER, Manifest, read_elf
from runner.provers.prover import ProverSpec
from runner.provers.worker import perform

if TYPE_CHECKING:
    from runner.plan.plan import Plan
    from tests.fakes.jobs import MemoryJobs

ROOT = Path(__file__).resolve().parents[2]

LEAF_RECEIPT_BYTES = 198_897
"""The size of what the proof cache stores most: a composite receipt of a segment of 2^14 cycles."""

WALL = time.perf_counter
"""The clock for benchmarks that wait for a disk or for other processes, and for real proofs, whose
wall time is what people wait for. A comparison takes processor time for all the others."""

KEPT = 20
"""The number of proofs in :func:`full_cache`."""


def plan(strategy: str, leaves: int) -> Plan:
    """Make a plan over that many distinct leaves."""
    return make_plan(strategy, range(leaves))


# -- guests -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class GuestRun:
    """One run of a real guest.

    Attributes:
        guest: the guest, from the manifest of the runner that is measured.
        stdin: the input of the run.
        claims: the image id and journal of each child that the guest verifies, each child once.
    """

    guest: Guest
    stdin: bytes
    claims: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def elf(self) -> bytes:
        """The program binary."""
        return read_elf(self.guest)


@cache
def manifest() -> Manifest:
    """The guests of the runner that is measured."""
    return Manifest.load(DEFAULT_FOLDER)


def fibonacci_run(n: int) -> GuestRun:
    """The n-th Fibonacci number."""
    return GuestRun(manifest().get("fibonacci"), struct.pack("<I", n))


def sha256_run(size: int) -> GuestRun:
    """The digest of ``size`` zero bytes."""
    return GuestRun(manifest().get("sha256"), padded(bytes(size)))


def aggregation_run(children: int) -> GuestRun:
    """The aggregator over fibonacci(2), fibonacci(3) and so on.

    It does not begin with n = 1, which commits the same journal as n = 2.
    """
    guest = manifest().get("fibonacci")
    journals, a, b = [], 1, 2
    for _ in range(children):
        journals.append(a.to_bytes(8, "little"))
        a, b = b, a + b
    return aggregation_of([(guest.image_id, journal) for journal in journals])


def second_level_run(children: int) -> GuestRun:
    """The aggregator over that many aggregates, each of two leaves."""
    own = manifest().get(AGGREGATOR).image_id
    hashes = [merkle.leaf_hash(own, bytes([number])) for number in range(children)]
    journals = [AggregationResult(own, 2, digest).encode() for digest in hashes]
    return aggregation_of([(own, journal) for journal in journals])


def aggregation_of(claims: list[tuple[bytes, bytes]]) -> GuestRun:
    """The aggregator over the given children."""
    aggregator = manifest().get(AGGREGATOR)
    return GuestRun(aggregator, aggregator_stdin(aggregator.image_id, claims), tuple(claims))


def kept_receipt() -> tuple[bytes, bytes]:
    """A leaf's receipt that was proved earlier, and the image id that it verifies against."""
    folder = ROOT / "tests" / "native" / "data"
    image_id = bytes.fromhex((folder / "fibonacci-10.image_id").read_text().strip())
    return (folder / "fibonacci-10.receipt").read_bytes(), image_id


# -- the proof cache --------------------------------------------------------------------------


def key(number: int) -> str:
    """A key of the form that ``runner.cache.keys`` makes."""
    return f"{number:064x}"


def put(cache: ProofCache, number: int) -> int:
    """Keep as many bytes as a leaf receipt has, and return how many entries were evicted."""
    return cache.put(
        key(number),
        bytes(LEAF_RECEIPT_BYTES),
        image_id=bytes(32),
        kind=ReceiptKind.COMPOSITE,
        cycles=Cycles(1244, 7447, 16384, 1),
        prove_s=6.5,
    )


def full_cache(folder: Path) -> ProofCache:
    """A cache with proofs 0 to ``KEPT - 1``; every further one evicts the oldest."""
    cache = ProofCache(folder, max_entries=KEPT, max_bytes=2**30)
    for number in range(KEPT):
        put(cache, number)
    return cache


# -- metrics ----------------------------------------------------------------------------------


def busy_recorder() -> Recorder:
    """A recorder as it is after a batch: all known series, those of two guests and of the build."""
    recorder = Recorder()
    for guest in ("sha256", "aggregator"):
        recorder.inc(GUEST_CYCLES, 1e6, guest=guest, type="user")
    labels = {"version": "0", "zkvm": "z", "zkvm_version": "0", "receipt_kind": "k"}
    recorder.set(BUILD_INFO, 1, **labels)
    return recorder


# -- batches ----------------------------------------------------------------------------------


class FakeBatch:
    """A plan that can be run again and again on an engine, with the fake prover of the tests.

    Args:
        folder: the folder for the fake guests' files; it must not exist yet.
        leaves: the number of leaves in the plan.
    """

    def __init__(self, folder: Path, leaves: int) -> None:
        from tests.fakes.guests import write_guests
        from tests.fakes.prover import ADAPTER

        self.plan = plan("two_level", leaves)
        self._guests = write_guests(folder)
        self._stdins = [struct.pack("<I", number) for number in range(leaves)]
        self._task = partial(perform, ProverSpec(ADAPTER, ReceiptKind.COMPOSITE))

    def run(self, engine: Engine, workers: int) -> MemoryJobs:
        """Run all jobs and return what they made."""
        from tests.fakes.jobs import MemoryJobs, RecordingObserver

        guest, aggregator = self._guests.get("sha256"), self._guests.get(AGGREGATOR)
        jobs = MemoryJobs(self.plan, guest, aggregator, self._stdins)
        PlanExecutor(
            self.plan,
            engine=engine,
            task=self._task,
            jobs=jobs,
            observers=[RecordingObserver()],
            policy=RetryPolicy(attempts=1),
            hosts=[Host("here", workers, workers)],
            cached=False,
        ).run()
        return jobs
