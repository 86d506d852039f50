"""One attempt at a batch: from jobs to a verified root."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from runner.audit.observer import AuditObserver, rejected, verified
from runner.audit.trail import NoTrail
from runner.batch.batch import Batch, Root
from runner.batch.lookup import Lookup
from runner.batch.recording import Recording
from runner.engines.machine import cores
from runner.errors import ReceiptRejectedError, VerificationFailedError
from runner.executor import OnFailure, PlanExecutor
from runner.model import Child, ProofJob, ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult
from runner.provers.worker import perform, verify_receipt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.audit.trail import Trail
    from runner.batch.spool import Spool
    from runner.cache.cache import Cache
    from runner.engines.engine import Engine, Host
    from runner.engines.retry import RetryPolicy
    from runner.events import Observer
    from runner.metrics import Recorder
    from runner.model import Outcome
    from runner.provers.prover import Prover

__all__ = ["BatchRun"]


class BatchRun:
    """One attempt at a batch; keeps what is finished also when it fails.

    Args:
        batch: what is to be done.
        cache: finished proofs of earlier runs; NoCache in execute mode.
        spool: keeps this run's receipts until the end.
        recorder: this run's metrics.
        prover: for verification in this process.
        trail: for the audit log; None for none.
    """

    def __init__(  # noqa: PLR0913  # the wiring of one run, all by keyword
        self,
        batch: Batch,
        *,
        cache: Cache,
        spool: Spool,
        recorder: Recorder,
        prover: Prover,
        trail: Trail | None = None,
    ) -> None:
        self._batch = batch
        self._cache = cache
        self._spool = spool
        self._prover = prover
        self.recording = Recording(recorder, batch.plan, prover.versions.zkvm)
        self._trail = trail if trail is not None else NoTrail()
        self._lookup = Lookup(cache, prover, self.recording, self._trail)
        self._positions = batch.plan.first_positions()
        self.outcomes: dict[int, Outcome] = {}
        self.receipt_bytes: dict[int, int] = {}

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

        Returns:
            The verified root; None for strategy ``none``, whose receipts were each verified.

        Raises:
            JobFailedError: a proof could not be made.
            VerificationFailedError: the result is not what the plan and the leaves say.
            KeyboardInterrupt: passed on.
        """
        executes = self._batch.prover.kind is ReceiptKind.EXECUTE
        audit = () if isinstance(self._trail, NoTrail) else (AuditObserver(self._trail),)
        PlanExecutor(
            self._batch.plan,
            engine=engine,
            task=functools.partial(perform, self._batch.prover),
            jobs=self,
            # What is kept of an event, as metrics and in the audit log, is kept before it is shown.
            observers=(self.recording, *audit, *observers),
            policy=policy,
            hosts=hosts,
            # A run of milliseconds would leave its worker idle while the next one is handed over.
            per_worker=4 if executes else 1,
            lookups=min(cores(), 8),
            cached=not executes and self._cache.keeps,
            on_failure=on_failure,
        ).run()
        if self._batch.plan.root is not None:
            return self._check_root(self._batch.plan.root)
        self._check_leaves()
        return None

    # -- source and sink of the executor ------------------------------------------------------

    def build(self, job_id: int) -> ProofJob:
        """See :class:`runner.executor.Jobs`."""
        return self._batch.job(job_id, self._positions, lambda child: self.outcomes[child].journal)

    def load(self, job: ProofJob) -> ProofJob:
        """See :class:`runner.executor.Jobs`."""
        if not job.children or job.kind is ReceiptKind.EXECUTE:
            return job
        children = {}
        for child in self._batch.plan.aggregation(job.id).children:
            done = self.outcomes[child]
            claim = (done.image_id, done.journal)
            if claim not in children:
                children[claim] = Child(*claim, self._spool.get(child))
        return replace(job, children=tuple(children.values()))

    def lookup(self, job: ProofJob) -> Outcome | None:
        """See :class:`runner.executor.Jobs`."""
        return self._lookup.find(job)

    def accept(self, outcome: Outcome) -> None:
        """See :class:`runner.executor.Jobs`."""
        job_id = outcome.job_id
        if outcome.receipt is not None:
            # The cache first: whoever stops this run now still has the proof in the next one.
            if not outcome.cached:
                self._lookup.keep(self.build(job_id), outcome, outcome.receipt)
            self._spool.put(job_id, outcome.receipt)
            self.receipt_bytes[job_id] = len(outcome.receipt)
            outcome = replace(outcome, receipt=None)
        self.outcomes[job_id] = outcome

    # -- the result ---------------------------------------------------------------------------

    def expected_hash(self) -> bytes:
        """The combined hash the plan and the leaves' journals demand."""
        plan = self._batch.plan
        hashes = [
            merkle.leaf_hash(self.outcomes[job].image_id, self.outcomes[job].journal)
            for job in range(plan.leaf_jobs)
        ]
        return merkle.combined_hash(plan, hashes)

    def _check_root(self, root: int) -> Root:
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
        """Without a root nobody else has verified the leaves in this process."""
        for job_id, done in self.outcomes.items():
            if done.kind is ReceiptKind.EXECUTE or done.cached:
                continue
            self._verify(job_id, self._batch.name(job_id))

    def _verify(self, job_id: int, what: str) -> tuple[int, float]:
        """Verify a receipt of this run in this process; its bytes, and the seconds it took."""
        receipt, done = self._spool.get(job_id), self.outcomes[job_id]
        image_id = self._batch.program(job_id).image_id
        clock = time.perf_counter()
        try:
            verify_receipt(self._prover, receipt, image_id, done.journal, what)
        except ReceiptRejectedError as error:
            self._trail.add(rejected(error))
            raise
        seconds = time.perf_counter() - clock
        self.recording.verified(1, seconds)
        self._trail.add(
            verified(
                what,
                image_id=image_id,
                journal=done.journal,
                receipt=receipt,
                job=job_id,
                by="runner",
                receipts=1,
                verify_s=seconds,
            )
        )
        return len(receipt), seconds


def _same(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise VerificationFailedError(what, f"expected {expected}, the root says {found}")
