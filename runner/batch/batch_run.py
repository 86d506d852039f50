"""One run of a batch on an engine, from its jobs to a verified root."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from runner.audit.observer import AuditObserver
from runner.audit.trail import NoTrail
from runner.batch.batch_jobs import BatchJobs
from runner.batch.counters import RunCounters
from runner.batch.lookup import Lookup
from runner.batch.printed import printed_by
from runner.batch.remarks import Remarks
from runner.batch.result_check import ResultCheck
from runner.batch.segment_jobs import SegmentJobs
from runner.engines.engine import jobs_at_once
from runner.events import JobFailed, JobSplit
from runner.executor import OnFailure, PlanExecutor
from runner.jobs.elsewhere import perform_elsewhere
from runner.limits import cores
from runner.long_runs import most_ahead
from runner.model import ReceiptKind
from runner.provers.worker import perform

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.audit.trail import Trail
    from runner.batch.batch import Batch, Root
    from runner.batch.outcomes import Outcomes
    from runner.batch.partial import Rest
    from runner.batch.printed import Printed
    from runner.batch.segment_store import SegmentStore
    from runner.batch.spool import Spool
    from runner.cache.cache import Cache
    from runner.engines.engine import Engine, Host
    from runner.engines.retry import RetryPolicy
    from runner.errors import JobFailedError
    from runner.events import Event, Observer
    from runner.jobs.site import Site
    from runner.metrics import Recorder
    from runner.provers.prover import Prover

__all__ = ["BatchRun"]


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
        self._site = site
        # With a store, receipts go by their digests, and workers look jobs up themselves.
        self._by_digest = site is not None and site.store is not None
        self._cache = cache
        self.counters = RunCounters(
            recorder,
            batch.plan,
            zkvm=prover.versions.zkvm,
            kind=batch.prover.kind,
            guests=[guest.name for guest in batch.guests],
        )
        self._trail = trail if trail is not None else NoTrail()
        lookup = Lookup(cache, prover, self.counters, self._trail)
        self._remarks = Remarks(
            self.counters,
            printed,
            wrote,
            looks_up=self._by_digest and site is not None and site.caches,
        )
        # Without a store, every segment for a worker elsewhere would go through this process.
        cuts = site is None or self._by_digest
        self._parts = SegmentJobs(prover, segments, lookup, secret if cuts else None)
        self._jobs = BatchJobs(batch, spool, lookup, self._parts, self._remarks)
        self._check = ResultCheck(prover, spool, self.counters, self._trail)
        self.failures: dict[int, JobFailedError] = {}
        self._leaves_done = False

    @property
    def outcomes(self) -> Outcomes:
        """The outcomes of the finished jobs."""
        return self._jobs.outcomes

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
        batch = self._jobs.batch
        executes = batch.prover.kind is ReceiptKind.EXECUTE
        lookups = min(cores(), 8)
        self._parts.ahead = most_ahead(jobs_at_once(hosts), lookups)
        audit = () if isinstance(self._trail, NoTrail) else (AuditObserver(self._trail),)
        PlanExecutor(
            batch.plan,
            engine=engine,
            task=functools.partial(perform, batch.prover)
            if self._site is None
            else functools.partial(perform_elsewhere, self._site),
            jobs=self._jobs,
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
        if batch.plan.root is not None:
            return self._check.root(batch, self.outcomes, batch.plan.root)
        self._check.leaves(batch, self.outcomes)
        return None

    def go_on(self, rest: Rest) -> None:
        """Go on with what is left of the batch, of which all leaves have finished.

        Raises:
            OSError: a receipt of this run cannot be renamed.
        """
        self._jobs.go_on(rest)
        self.failures, self._leaves_done = {}, True
        self.counters.go_on(rest.batch.plan)

    def notice(self, event: Event) -> None:
        """Keep failures, and what is worth a remark; see :class:`runner.events.Observer`."""
        if isinstance(event, JobSplit):
            self._parts.split(event.run, event.outcome)
            self._remarks.cut(event.job, event.run, event.outcome)
        if isinstance(event, JobFailed):
            job = event.job.id
            self.failures[job] = event.error
            self._remarks.printed(
                self._jobs.batch.name(job),
                self._jobs.leaf_number(job),
                printed_by(event.error.__cause__),
                failed=True,
            )
