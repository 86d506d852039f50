"""The schedule of batches with long runs, in virtual time, against what no schedule can beat."""

from __future__ import annotations

import pytest

from benchmarks.studies.schedule import Times, mixed, simulate


@pytest.mark.parametrize(
    ("segments", "workers"),
    [
        (mixed(3_000), 30),
        ([1] * 300 + [300], 20),  # the long run comes last
        ([300] + [1] * 300, 20),
        ([40] * 15, 20),
    ],
    ids=["mixed", "long last", "long first", "all long"],
)
def test_the_makespan_is_close_to_the_bound(segments: list[int], workers: int) -> None:
    # The jobs that only one worker can do are short here, as they are in large batches, where they
    # come to 2 % of the makespan.
    times = Times(execute=0.001, segment=20.0, assemble=0.001, aggregate=1.0)
    found = simulate(segments, workers, times)
    assert found.over < 0.06
    assert found.makespan >= max(found.by_work, found.by_chain)


def test_one_long_run_takes_as_long_as_its_chain_where_there_are_workers_enough() -> None:
    found = simulate([50], 200, Times())
    assert found.over == pytest.approx(0.0, abs=1e-9)
    assert found.by_chain > found.by_work
