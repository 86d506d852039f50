"""One run of a batch on an engine, from its jobs to a verified root."""

from __future__ import annotations

import functools
import hashlib
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.audit.observer import AuditObserver, rejected, verified
from runner.audit.trail import NoTrail
from runner.batch.batch import Batch, Root
from runner.batch.counters import RunCounters
from runner.batch.lookup import Lookup
from runner.batch.outcomes import Outcomes
from runner.batch.printed import Printed, printed_by
from runner.batch.seed import seed_for
from runner.batch.segment_stream import RunStream
from runner.engines.engine import jobs_at_once
from runner.errors import ReceiptRejectedError, VerificationFailedError
from runner.events import JobFailed, JobSplit
from runner.executor import OnFailure, PlanExecutor
from runner.jobs.elsewhere import perform_elsewhere
from runner.jobs.entries import job_key
from runner.limits import cores
from runner.long_runs import most_ahead
from runner.model import Child, ProofJob, ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult
from runner.provers.segments import SegmentProver
from runner.provers.verifying import verify_receipt
from runner.provers.worker import perform

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from runner.audit.trail import Trail
    from runner.batch.partial import Rest
    from runner.batch.segment_store import SegmentStore
    from runner.batch.spool import Spool
    from runner.cache.cache import Cache
    from runner.engines.engine import Engine, Host
    from runner.engines.retry import RetryPolicy
    from runner.errors import JobFailedError
    from runner.events import Event, Observer
    from runner.jobs.site import Site
    from runner.metrics import Recorder
    from runner.model import LongRun, Outcome, Visit
    from runner.provers.prover import Prover

__all__ = ["BatchRun"]

log = logging.getLogger(__name__)

MUCH_PADDING = 1.5
"""How many times its own cycles a run may have when they are padded, without a warning. Segments of
2^17 cycles and more stay below, and a last one that is half empty adds a third at most."""


class BatchRun:
    """One run of a batch. A run that fails keeps what is finished.

    Args:
        batch: the batch that is run.
        cache: the open proof cache; NoCache in execute mode.
        spool: the folder that keeps the receipts of this run until its end.
        segments: the folder that keeps the segments of long runs until they are proved.
        secret: what the seeds of long runs are made from.
        recorder: the metrics of this run.
        prover: the prover that verifies receipts in this process.
        trail: the audit trail of this run; None for a run without an audit log.
        site: what workers elsewhere need for the jobs, or None if the workers are on this machine.
        printed: the keeper of what guests print; None to keep nothing of it.
        wrote: a function that is told how many bytes a worker elsewhere has given to the store;
            None if nobody keeps its bound.

    Attributes:
        counters: the counters of this run.
        outcomes: the outcomes of the finished jobs.
        failures: the failures of the jobs that have failed for good, by job id.
    """

    def __init__(  # noqa: PLR0913  # the wiring of one run, all by keyword
        self,
        batch: Batch,
        *,
        cache: Cache,
        spool: Spool,
        segments: SegmentStore,
        secret: bytes,
        recorder: Recorder,
        prover: Prover,
        trail: Trail | None = None,
        site: Site | None = None,
        printed: Printed | None = None,
        wrote: Callable[[int], object] | None = None,
    ) -> None:
        self._batch = batch
        self._site = site
        # With a store, receipts go by their digests, and workers look jobs up themselves.
        self._by_digest = site is not None and site.store is not None
        self._cache = cache
        self._spool = spool
        self._segments = segments
        self._secret = secret
        self._ahead = 0
        self._prover = prover
        self._printed = printed
        self._wrote = wrote
        self.counters = RunCounters(
            recorder,
            batch.plan,
            zkvm=prover.versions.zkvm,
            kind=batch.prover.kind,
            guests=[guest.name for guest in batch.guests],
        )
        self._trail = trail if trail is not None else NoTrail()
        self._lookup = Lookup(cache, prover, self.counters, self._trail)
        self._positions = batch.plan.first_positions()
        self.outcomes = Outcomes()
        self.failures: dict[int, JobFailedError] = {}
        self._leaves_done = False
        self._padded: set[str] = set()  # the guests that were warned of

    # -- the run ------------------------------------------------------------------------------

    def run(
        self,
        *,
        engine: Engine,
        hosts: Sequence[Host],
        observers: Sequence[Observer],
        policy: RetryPolicy,
        on_failure: OnFailure,
    ) -> Root | None:
        """Make all proofs and check the result.

        Args:
            engine: the engine that runs the jobs.
            hosts: the machines that the engine's workers run on.
            observers: the observers that are told of every event.
            policy: how a job that failed is tried again.
            on_failure: what happens to the other jobs when one has failed for good.

        Returns:
            The verified root; None for strategy ``none``, where each leaf's receipt was verified.

        Raises:
            JobFailedError: a proof could not be made.
            VerificationFailedError: the result is not what the plan and the leaves say.
            ReceiptRejectedError: a receipt of this run does not verify in this process.
            KeyboardInterrupt: someone has stopped the run.
        """
        executes = self._batch.prover.kind is ReceiptKind.EXECUTE
        lookups = min(cores(), 8)
        self._ahead = most_ahead(jobs_at_once(hosts), lookups)
        audit = () if isinstance(self._trail, NoTrail) else (AuditObserver(self._trail),)
        PlanExecutor(
            self._batch.plan,
            engine=engine,
            task=functools.partial(perform, self._batch.prover)
            if self._site is None
            else functools.partial(perform_elsewhere, self._site),
            jobs=self,
            # An event is counted and written into the audit log before it is shown.
            observers=(self, self.counters, *audit, *observers),
            policy=policy,
            hosts=hosts,
            # An execution may take milliseconds. Its worker would be idle while the next job is
            # handed over, so it is given some in advance.
            per_worker=4 if executes else 1,
            lookups=lookups,
            cached=not executes and self._cache.keeps and not self._by_digest,
            on_failure=on_failure,
            leaves_done=self._leaves_done,
        ).run()
        if self._batch.plan.root is not None:
            return self._check_root(self._batch.plan.root)
        self._check_leaves()
        return None

    def go_on(self, rest: Rest) -> None:
        """Go on with what is left of the batch, of which all leaves have finished.

        Raises:
            OSError: a receipt of this run cannot be renamed.
        """
        self._spool.keep_only(rest.jobs)
        self.outcomes = self.outcomes.only({old: new for new, old in enumerate(rest.jobs)})
        self._batch, self._positions = rest.batch, rest.batch.plan.first_positions()
        self.failures, self._leaves_done = {}, True
        self.counters.go_on(rest.batch.plan)

    def notice(self, event: Event) -> None:
        """Keep failures, and count executions elsewhere; see :class:`runner.events.Observer`."""
        if isinstance(event, JobSplit):
            self._warn_of_padding(event.job, event.run)
            if event.outcome.visit is not None:
                self._visited(event.job.name, event.outcome.visit)
                self._looked_up(found=False)
        if isinstance(event, JobFailed):
            self.failures[event.job.id] = event.error
            self._keep_printed(event.job.id, printed_by(event.error.__cause__), failed=True)

    # -- source and sink of the executor ------------------------------------------------------

    def build(self, job_id: int) -> ProofJob:
        """Make a job; see :meth:`runner.executor.Jobs.build`."""
        job = self._batch.job(job_id, self._positions, lambda child: self.outcomes[child].journal)
        if job.kind is ReceiptKind.EXECUTE or not isinstance(self._prover, SegmentProver):
            return job
        if self._site is not None and not self._by_digest:
            return job  # without a store, every segment would go through this process
        return replace(job, seed=seed_for(self._secret, job_key(self._prover, job)))

    def load(self, job: ProofJob) -> ProofJob:
        """Add the data of a job; see :meth:`runner.executor.Jobs.load`."""
        if (part := job.part) is not None and part.index is not None:
            stored = self._segments.stored(part.digest)
            segment = b""
            if stored is None:
                segment = self._segments.segment(job.id, part.index, part.digest)
            part = replace(part, data=(segment,), stored=(stored,) if stored is not None else ())
            return replace(job, part=part, stdin=b"", children=())
        if part is not None:
            kept, there = self._segments.receipts(job.id), self._segments.stored_receipts(job.id)
            part = replace(part, data=kept, stored=there if any(there) else ())
            job = replace(job, part=part)
        if not job.children or job.kind is ReceiptKind.EXECUTE:
            return job
        elsewhere = self._batch.assumptions.get(job.id, ())
        children = {(one.image_id, one.journal): one for one in elsewhere}
        for child in self._batch.plan.children(job.id):
            done = self.outcomes[child]
            claim = (done.image_id, done.journal)
            if claim not in children:
                stored = self._spool.stored(child)
                receipt = self._spool.get(child) if stored is None else None
                children[claim] = Child(*claim, receipt, stored)
        return replace(job, children=tuple(children.values()))

    def lookup(self, job: ProofJob) -> Outcome | None:
        """Look a job up in the cache; see :meth:`runner.executor.Jobs.lookup`."""
        if job.part is None or not isinstance(self._prover, SegmentProver):
            return self._lookup.find(job)
        return self._lookup.find_segment(job, job.part, self._prover, self._segments)

    def cut(self, job: ProofJob, run: LongRun, wanted: Container[int]) -> RunStream:
        """Begin to cut a run; see :meth:`runner.executor.Jobs.cut`."""
        assert isinstance(self._prover, SegmentProver)  # noqa: S101  # it has executed the run
        # A page of memory has 1024 bytes and takes more than 1024 cycles to load, so that a segment
        # has fewer bytes than cycles.
        most = self._ahead << max(run.sizes)
        log.info(
            "%s: at most %d segments wait on the disk, with at most %d MiB together",
            job.name,
            self._ahead,
            -(-most // 2**20),
        )
        keep = functools.partial(self._segments.put_segment, job.id)
        return RunStream(self._prover, job, run, wanted, keep)

    def smaller(self, job: ProofJob) -> ProofJob | None:
        """The run of a job with smaller segments; see :meth:`runner.executor.Jobs.smaller`."""
        if not job.seed or not isinstance(self._prover, SegmentProver):
            return None
        sizes = self._prover.segment_sizes
        now = sizes[-1] - job.halvings if job.part is None else job.part.po2
        if now <= sizes[0]:
            return None
        return replace(self.build(job.id), halvings=job.halvings + 1)

    def forget(self, job_id: int) -> None:
        """Remove what is kept of a run; see :meth:`runner.executor.Jobs.forget`."""
        self._segments.drop(job_id)

    def accept_segment(self, job: ProofJob, outcome: Outcome) -> None:
        """Keep the receipt of a segment; see :meth:`runner.executor.Jobs.accept_segment`."""
        self._warn_of_gpu(job.name, outcome)
        if outcome.visit is not None:
            self._visited(job.name, outcome.visit)
            self._looked_up(found=outcome.cached)
        if outcome.stored is not None:
            self._segments.refer(job, outcome.stored)
            return
        assert outcome.receipt is not None  # noqa: S101  # the worker has verified it
        # The cache comes first. If this run is stopped here, the next one still has the receipt.
        if not outcome.cached:
            self._lookup.keep_segment(job, outcome, outcome.receipt)
        self._segments.put_receipt(job, outcome.receipt)

    def accept(self, outcome: Outcome) -> None:
        """Keep an outcome; see :meth:`runner.executor.Jobs.accept`."""
        job_id = outcome.job_id
        self._warn_of_gpu(self._batch.name(job_id), outcome)
        self._keep_printed(job_id, outcome.printed)
        if outcome.visit is not None:
            self._visited(self._batch.name(job_id), outcome.visit)
            if not outcome.parts:  # a run of several segments was looked up before it was cut
                self._looked_up(found=outcome.cached)
        if outcome.stored is not None:
            self._spool.refer(job_id, outcome.stored)
            self.outcomes.receipt_bytes[job_id] = outcome.stored.size
        elif outcome.receipt is not None:
            # The cache comes first. If this run is stopped here, the next one still has the proof.
            if not outcome.cached:
                self._lookup.keep(self.build(job_id), outcome, outcome.receipt)
            self._spool.put(job_id, outcome.receipt)
            self.outcomes.receipt_bytes[job_id] = len(outcome.receipt)
        self._segments.drop(job_id)
        self.outcomes.put(outcome)

    def _looked_up(self, *, found: bool) -> None:
        """Count that a worker elsewhere has looked a proof up, if it does."""
        if self._by_digest and self._site is not None and self._site.caches:
            (self.counters.hit if found else self.counters.missed)()

    def _visited(self, name: str, visit: Visit) -> None:
        """Count what a worker elsewhere says of its way to the store."""
        self.counters.visited(visit)
        if self._wrote is not None:
            self._wrote(visit.sent)
        if visit.trouble:
            log.warning(
                "%s: the store failed on %s, which cost no proof: %s",
                name,
                visit.host,
                visit.trouble,
            )

    def _keep_printed(self, job_id: int, text: str, *, failed: bool = False) -> None:
        if self._printed is None or not text:
            return
        name = self._batch.name(job_id)
        file = name.partition(" (")[0].replace(" ", "-")
        if job_id < self._batch.plan.leaf_jobs:
            # A leaf keeps its number in the batch where its job's id changes.
            file = f"leaf-{self._batch.leaves[self._positions[job_id]].index}"
        self._printed.keep(file, name, text, failed=failed)

    def _warn_of_padding(self, job: ProofJob, run: LongRun) -> None:
        """Warn once of each guest of segments that are so small that they are mostly padding."""
        own = run.cycles.user + run.cycles.paging
        times = run.cycles.total / own if own else 0.0
        if times < MUCH_PADDING or job.guest.name in self._padded:
            return
        self._padded.add(job.guest.name)
        log.warning(
            "%s: %d segments of at most 2^%d are padded from %s cycles to %s, %.1f times as many,"
            " which the proof takes longer by; larger segments (prover.segment_po2) have less"
            " padding and take more memory",
            job.name,
            len(run.sizes),
            run.segment_po2,
            f"{own:,}",
            f"{run.cycles.total:,}",
            times,
        )

    def _warn_of_gpu(self, name: str, outcome: Outcome) -> None:
        if outcome.gpu is not None and outcome.gpu.error:
            log.warning(
                "%s: the CPU proved it, because %s failed and is set aside: %s",
                name,
                outcome.gpu.uuid,
                outcome.gpu.error,
            )

    # -- the result ---------------------------------------------------------------------------

    def expected_hash(self) -> bytes:
        """The combined hash that the root must show, by the plan and the leaves' journals."""
        plan = self._batch.plan
        leaves = (self.outcomes[job] for job in range(plan.leaf_jobs))
        hashes = (merkle.leaf_hash(leaf.image_id, leaf.journal) for leaf in leaves)
        return merkle.combined_hash(plan, hashes)

    def _check_root(self, root: int) -> Root:
        """Verify the root's receipt and compare its journal with the plan and the leaves.

        Args:
            root: the job id of the root.
        """
        done = self.outcomes[root]
        seconds, size = 0.0, 0
        if done.kind is not ReceiptKind.EXECUTE:
            size, seconds = self._verify(root, "root")
        try:
            result = AggregationResult.decode(done.journal)
        except ValueError as error:
            raise VerificationFailedError("root journal", str(error)) from None
        _same("self_image_id", self._batch.aggregator.image_id.hex(), result.self_image_id.hex())
        _same("verified_count", len(self._batch.leaves), result.verified_count)
        _same("combined_hash", self.expected_hash().hex(), result.combined_hash.hex())
        return Root(result, done.journal, size, seconds)

    def _check_leaves(self) -> None:
        """Verify the leaves' receipts, which no aggregation has verified.

        Those from the cache were verified in this process when they were looked up.
        """
        for job_id, done in self.outcomes.items():
            if done.kind is ReceiptKind.EXECUTE or done.cached:
                continue
            self._verify(job_id, self._batch.name(job_id))

    def _verify(self, job_id: int, what: str) -> tuple[int, float]:
        """Verify a receipt of this run in this process.

        Args:
            job_id: the id of the job that made the receipt.
            what: the name of the receipt for people.

        Returns:
            The size of the receipt in bytes, and the seconds that its verification took.
        """
        receipt, done = self._spool.get(job_id), self.outcomes[job_id]
        image_id = self._batch.program(job_id).image_id
        clock = time.perf_counter()
        try:
            verify_receipt(self._prover, receipt, image_id, done.journal, what)
        except ReceiptRejectedError as error:
            self._trail.add(rejected(error))
            raise
        seconds = time.perf_counter() - clock
        self.counters.verified(1, seconds)
        self._trail.add(
            verified(
                what,
                image_id=image_id,
                journal=done.journal,
                receipt_sha256=hashlib.sha256(receipt).hexdigest(),
                job=job_id,
                by="runner",
                receipts=1,
                verify_s=seconds,
            )
        )
        return len(receipt), seconds


def _same(what: str, expected: object, found: object) -> None:
    """Refuse a root whose journal says something else than it must.

    Args:
        what: the name of the journal's field.
        expected: the value that the plan and the leaves demand.
        found: the value in the journal.
    """
    if expected != found:
        raise VerificationFailedError(what, f"expected {expected}, the root says {found}")
