"""Jobs that are in the cache, and look-ups that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.events import JobFinished, JobStarted
from runner.plan.strategy import make_plan
from tests.executor.bench import EIGHT, Bench, hits, no_overtaking, oldest

if TYPE_CHECKING:
    from runner.model import Outcome, ProofJob


def test_hits_skip_the_engine() -> None:
    bench = Bench(make_plan("single", range(4)), oldest, cached=True)
    hits(bench, 0, 1, 3)
    bench.run()
    assert bench.engine.submitted == [2, 4]
    assert sorted(bench.observer.ids(JobFinished)) == [0, 1, 2, 3, 4]
    assert bench.observer.ids(JobStarted) == [2, 4]
    assert [bench.jobs.outcomes[job].cached for job in range(5)] == [1, 1, 0, 1, 0]
    assert [bench.jobs.outcomes[job].attempts for job in range(5)] == [0, 0, 1, 0, 1]


def test_everything_in_the_cache() -> None:
    plan = make_plan("none", range(50))
    bench = Bench(plan, oldest, cached=True)
    hits(bench, *range(50))
    bench.run()
    assert bench.engine.submitted == []
    assert sorted(bench.jobs.accepted) == list(range(50))


def test_without_a_cache_nothing_is_looked_up() -> None:
    bench = Bench(make_plan("single", range(2)), oldest)
    hits(bench, 0)
    bench.run()
    assert bench.engine.submitted == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_leaves_looked_up_ahead_do_not_overtake_aggregations(workers: int) -> None:
    bench = Bench(EIGHT, oldest, cached=True, workers=workers)
    no_overtaking(bench)
    bench.run()
    assert sorted(bench.jobs.accepted) == list(range(15))


def test_a_failed_look_up_ends_the_run() -> None:
    bench = Bench(EIGHT, oldest, cached=True)

    def lookup(job: ProofJob) -> Outcome | None:
        raise OSError(5, "Input/output error")

    bench.jobs.lookup = lookup  # type: ignore[method-assign]
    with pytest.raises(OSError, match="Input/output"):
        bench.run()
