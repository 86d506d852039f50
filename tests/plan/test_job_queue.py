"""The order in which the jobs of a plan start."""

from __future__ import annotations

from runner.model import ProofJob, ReceiptKind
from runner.plan.job_queue import JobQueue
from runner.plan.strategy import make_plan
from tests.fakes.guests import sample_guest

PLAN = make_plan("two_level", range(4), fan_in=2)
"""Leaves 0 to 3, aggregations 4 and 5 over two leaves each, and the root 6."""


def job(job_id: int) -> ProofJob:
    return ProofJob(job_id, f"job {job_id}", sample_guest(), b"", (), ReceiptKind.COMPOSITE)


def test_an_aggregation_can_be_made_once_its_children_have_finished_and_goes_first() -> None:
    queue = JobQueue(PLAN)
    assert [queue.take(), queue.take(), queue.take()] == [0, 1, 2]
    queue.finished(1)
    before = queue.has_near
    queue.finished(0)
    assert (before, queue.has_near) == (False, True)
    assert [queue.take(), queue.take(), queue.take()] == [4, 3, None]


def test_of_the_jobs_that_have_to_run_aggregations_go_first_and_then_the_lowest_id() -> None:
    queue = JobQueue(PLAN)
    for job_id in (3, 5, 2, 4):
        queue.put(job(job_id))
    order = []
    while queue.to_run:
        leaf = queue.runs_leaf_next
        order.append((queue.pop().id, leaf))
    assert order == [(4, False), (5, False), (2, True), (3, True)]


def test_a_delayed_job_may_run_when_it_is_due() -> None:
    queue = JobQueue(PLAN)
    seen = [(queue.to_run, queue.due)]
    queue.delay(job(1), 7.0)
    queue.delay(job(0), 5.0)
    for now in (4.9, 5.0, 6.0):
        queue.end_delays(now)
        seen.append((queue.to_run, queue.due))
    assert seen == [(0, None), (0, 5.0), (1, 7.0), (1, 7.0)]
    assert queue.pop().id == 0


def test_all_jobs_that_wait_are_counted_until_they_are_dropped() -> None:
    queue = JobQueue(PLAN)
    assert len(queue) == 4
    queue.take()
    queue.take()
    queue.finished(0)
    queue.finished(1)
    queue.put(job(2))
    queue.delay(job(3), 1.0)
    assert len(queue) == 2 + 1 + 1 + 1
    queue.clear()
    assert (len(queue), queue.take(), queue.to_run, queue.due) == (0, None, 0, None)
