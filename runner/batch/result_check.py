"""The check of what a run has made: the root's receipt and journal, or else each leaf's receipt."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING

from runner.audit.observer import rejected, verified
from runner.batch.batch import Root
from runner.errors import ReceiptRejectedError, VerificationFailedError
from runner.model import ReceiptKind
from runner.plan import merkle
from runner.plan.journal import AggregationResult
from runner.provers.verifying import verify_receipt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.audit.trail import Trail
    from runner.batch.batch import Batch
    from runner.batch.counters import RunCounters
    from runner.batch.spool import Spool
    from runner.model import Outcome
    from runner.plan.plan import Plan
    from runner.provers.prover import Prover

__all__ = ["ResultCheck"]


class ResultCheck:
    """Verifies the result of a run in this process.

    Args:
        prover: the prover that verifies receipts.
        spool: the receipts of the run.
        counters: the counters of the run, which are told of each verification.
        trail: the audit trail of the run, which is told too.
    """

    def __init__(self, prover: Prover, spool: Spool, counters: RunCounters, trail: Trail) -> None:
        self._prover = prover
        self._spool = spool
        self._counters = counters
        self._trail = trail

    def root(self, batch: Batch, outcomes: Mapping[int, Outcome], root: int) -> Root:
        """Verify the root's receipt and compare its journal with the plan and the leaves.

        Args:
            batch: the batch.
            outcomes: the outcomes of all jobs, by job id.
            root: the job id of the root.

        Raises:
            VerificationFailedError: the journal is not what the plan and the leaves say.
            ReceiptRejectedError: the receipt does not verify.
        """
        done = outcomes[root]
        seconds, size = 0.0, 0
        if done.kind is not ReceiptKind.EXECUTE:
            size, seconds = self._verify(batch, done, "root")
        try:
            result = AggregationResult.decode(done.journal)
        except ValueError as error:
            raise VerificationFailedError("root journal", str(error)) from None
        _same("self_image_id", batch.aggregator.image_id.hex(), result.self_image_id.hex())
        _same("verified_count", len(batch.leaves), result.verified_count)
        expected = _expected_hash(batch.plan, outcomes)
        _same("combined_hash", expected.hex(), result.combined_hash.hex())
        return Root(result, done.journal, size, seconds)

    def leaves(self, batch: Batch, outcomes: Mapping[int, Outcome]) -> None:
        """Verify the leaves' receipts, which no aggregation has verified.

        Those from the cache were verified in this process when they were looked up.

        Args:
            batch: the batch.
            outcomes: the outcomes of all jobs, by job id.

        Raises:
            ReceiptRejectedError: a receipt does not verify.
        """
        for job_id, done in outcomes.items():
            if done.kind is not ReceiptKind.EXECUTE and not done.cached:
                self._verify(batch, done, batch.name(job_id))

    def _verify(self, batch: Batch, done: Outcome, what: str) -> tuple[int, float]:
        """Verify a receipt of this run in this process.

        Args:
            batch: the batch.
            done: the outcome of the job that made the receipt.
            what: the name of the receipt for people.

        Returns:
            The size of the receipt in bytes, and the seconds that its verification took.
        """
        receipt, image_id = self._spool.get(done.job_id), batch.program(done.job_id).image_id
        clock = time.perf_counter()
        try:
            verify_receipt(self._prover, receipt, image_id, done.journal, what)
        except ReceiptRejectedError as error:
            self._trail.add(rejected(error))
            raise
        seconds = time.perf_counter() - clock
        self._counters.verified(1, seconds)
        self._trail.add(
            verified(
                what,
                image_id=image_id,
                journal=done.journal,
                receipt_sha256=hashlib.sha256(receipt).hexdigest(),
                job=done.job_id,
                by="runner",
                receipts=1,
                verify_s=seconds,
            )
        )
        return len(receipt), seconds


def _expected_hash(plan: Plan, outcomes: Mapping[int, Outcome]) -> bytes:
    """The combined hash that the root must show, by the plan and the leaves' journals."""
    leaves = (outcomes[job] for job in range(plan.leaf_jobs))
    hashes = (merkle.leaf_hash(leaf.image_id, leaf.journal) for leaf in leaves)
    return merkle.combined_hash(plan, hashes)


def _same(what: str, expected: object, found: object) -> None:
    """Refuse a root whose journal says something else than it must.

    Args:
        what: the name of the journal's field.
        expected: the value that the plan and the leaves demand.
        found: the value in the journal.
    """
    if expected != found:
        raise VerificationFailedError(what, f"expected {expected}, the root says {found}")
