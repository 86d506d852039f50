"""The search for the least wall time, over times that the tests give."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from runner.cli.search import Choice, IntRange, Search
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

Point = tuple[str, ...]

SMALL: list[Choice | IntRange] = [
    Choice("strategy", ("single", "two_level")),
    IntRange("workers", 1, 3),
]
LARGE: list[Choice | IntRange] = [IntRange("fan_in", 2, 64), IntRange("workers", 1, 16)]


def valley(point: Point) -> float:
    """A wall time that is least at fan_in=20 and workers=5."""
    fan_in, workers = (int(part.partition("=")[2]) for part in point)
    return 1 + abs(fan_in - 20) / 10 + abs(workers - 5)


def search(
    measure: Callable[[Point], float],
    space: list[Choice | IntRange] | None = None,
    *,
    n_trials: int = 20,
    repeats: int = 1,
    seed: int = 1,
) -> Search:
    made = Search(space or LARGE, n_trials=n_trials, repeats=repeats, seed=seed)
    for _ in made.run(measure):
        pass
    return made


def test_a_small_space_is_tried_in_full_and_no_point_twice() -> None:
    runs: Counter[Point] = Counter()

    def measure(point: Point) -> float:
        runs[point] += 1
        return 2.0 if "workers=2" in point else 3.0

    done = search(measure, SMALL, n_trials=50)
    every = {
        (f"strategy={s}", f"workers={w}")
        for s, w in itertools.product(["single", "two_level"], [1, 2, 3])
    }
    assert set(runs) == every
    assert set(runs.values()) == {1}
    assert done.best is not None
    assert "workers=2" in done.best.overrides


def test_a_large_space_is_searched_better_than_by_the_first_guesses() -> None:
    done = search(valley, n_trials=40)
    assert len(done.trials) == 40
    assert len({trial.overrides for trial in done.trials}) == 40
    assert done.best is not None
    assert done.best.wall_s is not None
    first = min(trial.wall_s or math.inf for trial in done.trials[:10])
    assert done.best.wall_s < first


def test_a_point_is_judged_by_the_median_of_its_repeats() -> None:
    noise = itertools.cycle([0.0, 100.0, 0.5])
    done = search(lambda point: valley(point) + next(noise), SMALL_WHOLE, repeats=3, n_trials=3)
    for trial in done.trials:
        assert len(trial.runs) == 3
        assert trial.wall_s == valley(trial.overrides) + 0.5


SMALL_WHOLE: list[Choice | IntRange] = [IntRange("fan_in", 2, 8, step=2), IntRange("workers", 1, 2)]


def test_a_slow_point_is_not_repeated() -> None:
    def measure(point: Point) -> float:
        return 9.0 if seen.setdefault(point, len(seen)) >= 5 else 1.0

    seen: dict[Point, int] = {}
    done = search(measure, repeats=3, n_trials=8)
    states = [(trial.state, len(trial.runs)) for trial in done.trials]
    assert states == [("complete", 3)] * 5 + [("pruned", 1)] * 3
    assert done.best is not None
    assert done.best.wall_s == 1.0


def test_failed_points_are_left_out_and_the_search_goes_on() -> None:
    def measure(point: Point) -> float:
        return math.nan if int(point[1].partition("=")[2]) > 8 else valley(point)

    done = search(measure, n_trials=25)
    states = Counter(trial.state for trial in done.trials)
    assert states["failed"]
    assert states["complete"] + states["failed"] == 25
    assert all(trial.wall_s is None for trial in done.trials if trial.state == "failed")
    assert done.best is not None
    assert done.best.state == "complete"


def test_a_search_in_which_all_fails_has_no_best_point() -> None:
    done = search(lambda _: math.nan, SMALL)
    assert done.best is None
    assert done.to_json()["best"] is None
    assert [trial["state"] for trial in done.to_json()["trials"]] == ["failed"] * 6


def test_the_same_seed_and_times_give_the_same_points() -> None:
    short, long = search(valley, n_trials=12), search(valley, n_trials=18)
    assert long.trials[:12] == short.trials
    other = search(valley, n_trials=12, seed=2)
    assert [t.overrides for t in other.trials] != [t.overrides for t in short.trials]


@pytest.mark.parametrize(
    ("name", "value"), [("n_trials", 0), ("repeats", 0), ("repeats", 1.5), ("seed", -1)]
)
def test_unusable_numbers_are_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"hydra.sweeper.{name} = {value}"):
        Search(SMALL, **({"n_trials": 1, "repeats": 1, "seed": 1} | {name: value}))  # type: ignore[arg-type]
