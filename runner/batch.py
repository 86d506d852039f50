"""One batch from leaves to a verified result, over the protocols of its parts."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runner import audit_events, merkle
from runner.audit_trail import NoTrail
from runner.cache import NoCache
from runner.errors import ReceiptRejectedError, VerificationFailedError
from runner.executor import OnFailure, PlanExecutor
from runner.journal import AggregationResult, aggregator_stdin
from runner.lookup import Lookup
from runner.model import Child, ProofJob, ReceiptKind
from runner.recording import Recording, RecordingObserver
from runner.worker import perform, verify_receipt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    from runner.audit_trail import Trail
    from runner.cache import Cache
    from runner.executor import Observer
    from runner.metrics import Recorder
    from runner.model import Guest, Leaf, Outcome
    from runner.plan import Plan
    from runner.prover import Prover, ProverSpec
    from runner.retry import RetryPolicy
    from runner.spool import Spool

__all__ = ["Batch", "BatchRun", "Root"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be done.

    Attributes:
        guest: runs at every leaf.
        aggregator: runs at every inner node.
        leaves: by position.
        plan: over the leaves' distinct runs.
        prover: makes the receipts.
    """

    guest: Guest
    aggregator: Guest
    leaves: Sequence[Leaf]
    plan: Plan
    prover: ProverSpec

    def kind(self, job_id: int) -> ReceiptKind:
        """The receipt a job makes: only the batch's results are wrapped in Groth16.

        A Groth16 receipt cannot be an assumption, so what lies below the root is succinct.
        """
        wanted = self.prover.kind
        if wanted is ReceiptKind.GROTH16 and self.plan.root not in (None, job_id):
            return ReceiptKind.SUCCINCT
        return wanted

    def program(self, job_id: int) -> Guest:
        """What a job runs."""
        return self.guest if job_id < self.plan.leaf_jobs else self.aggregator

    def job(
        self, job_id: int, positions: Sequence[int], journal: Callable[[int], bytes]
    ) -> ProofJob:
        """A job without its children's receipts: one that is in the cache never needs them.

        Args:
            job_id: of the plan.
            positions: for each leaf job, a batch position that asks for it.
            journal: of a child, by its job id.
        """
        name, guest, kind = self.name(job_id), self.program(job_id), self.kind(job_id)
        if job_id < self.plan.leaf_jobs:
            stdin = self.leaves[positions[job_id]].stdin
            return ProofJob(job_id, name, guest, stdin, (), kind)
        children = self.plan.aggregation(job_id).children
        claims = [(self.program(child).image_id, journal(child)) for child in children]
        stdin = aggregator_stdin(guest.image_id, claims)
        bare = tuple(Child(*claim, None) for claim in dict.fromkeys(claims))
        # A cached receipt of another aggregation, or a machine that computes wrongly, shows here
        # and not only at the root.
        expected = merkle.aggregate(guest.image_id, claims).encode()
        return ProofJob(job_id, name, guest, stdin, bare, kind, expected=expected)

    def name(self, job_id: int) -> str:
        """A job's name for people."""
        if job_id < self.plan.leaf_jobs:
            return f"leaf {job_id}"
        return f"aggregation {job_id} (level {self.plan.aggregation(job_id).level})"


@dataclass(frozen=True, slots=True)
class Root:
    """The verified result of an aggregated batch.

    Attributes:
        result: what the root's journal says.
        journal: its bytes.
        receipt_bytes: size of the encoded root receipt; 0 in execute mode.
        verify_s: seconds its verification took; 0.0 in execute mode.
    """

    result: AggregationResult
    journal: bytes
    receipt_bytes: int
    verify_s: float


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
        self.recording = Recording(recorder, batch.plan.strategy, prover.versions.zkvm)
        self._trail = trail if trail is not None else NoTrail()
        self._lookup = Lookup(cache, prover, self.recording, self._trail)
        self._positions = batch.plan.first_positions()
        self.outcomes: dict[int, Outcome] = {}
        self.receipt_bytes: dict[int, int] = {}

    # -- the run ------------------------------------------------------------------------------

    def run(  # noqa: PLR0913  # the wiring of one run, all by keyword
        self,
        *,
        engine: Executor,
        observer: Observer,
        policy: RetryPolicy,
        workers: int,
        cores: int,
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
        PlanExecutor(
            self._batch.plan,
            engine=engine,
            task=functools.partial(perform, self._batch.prover),
            jobs=self,
            observer=RecordingObserver(
                self.recording, audit_events.observing(self._trail, observer)
            ),
            policy=policy,
            # A run of milliseconds would leave its worker idle while the next one is handed over.
            workers=workers * 4 if executes else workers,
            cores=cores,
            cached=not executes and not isinstance(self._cache, NoCache),
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
        aggregates = job_id >= self._batch.plan.leaf_jobs
        self.recording.outcome(outcome, self._batch.program(job_id), aggregates=aggregates)

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
            audit_events.rejected(self._trail, error)
            raise
        seconds = time.perf_counter() - clock
        self.recording.verified(1, seconds)
        audit_events.verified(
            self._trail,
            what,
            image_id=image_id,
            journal=done.journal,
            receipt=receipt,
            job=job_id,
            by="runner",
            receipts=1,
            verify_s=seconds,
        )
        return len(receipt), seconds


def _same(what: str, expected: object, found: object) -> None:
    if expected != found:
        raise VerificationFailedError(what, f"expected {expected}, the root says {found}")
