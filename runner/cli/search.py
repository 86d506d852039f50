"""A search for the settings with the least wall time, by Optuna's ask-and-tell interface.

A point of the space is tried by running it, which takes seconds to hours. So no point is run again
because the sampler asks for it twice, and a point that is clearly slow is not repeated.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from optuna import Study
    from optuna.distributions import BaseDistribution

__all__ = ["Choice", "Dimension", "IntRange", "Search", "Trial"]

_ASKED_AGAIN = 20
"""How many points that were tried before the sampler may give until one is chosen without it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting that takes one of a few values.

    Attributes:
        name: the name of the setting.
        values: the values, each as it stands on the command line.
    """

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IntRange:
    """A setting that takes a whole number.

    Attributes:
        name: the name of the setting.
        low: the least number.
        high: the greatest number.
        step: the distance between two numbers.
        log: whether the sampler draws the number by its magnitude.
    """

    name: str
    low: int
    high: int
    step: int = 1
    log: bool = False


Dimension: TypeAlias = "Choice | IntRange"


@dataclass(slots=True)
class Trial:
    """One point of the space, and all runs of it.

    Attributes:
        overrides: the point, as it stands on the command line.
        runs: the wall seconds of each run.
        state: ``complete``, ``failed``, or ``pruned``. A pruned point was slower than half of the
            points before it, so it was not repeated.
    """

    overrides: tuple[str, ...]
    runs: list[float] = field(default_factory=list)
    state: str = "failed"

    @property
    def wall_s(self) -> float | None:
        """The median of the runs, in seconds; None when there is no run."""
        return statistics.median(self.runs) if self.runs else None


class Search:
    """A search over a space of settings.

    Args:
        space: the settings that vary.
        n_trials: the number of distinct points to try.
        repeats: the number of runs of each point, which is judged by their median.
        seed: the seed of the sampler. The same seed and the same times give the same points, which
            is how a search that is started again finds its earlier runs.

    Attributes:
        trials: the trials so far, in order.

    Raises:
        InputError: Optuna is not installed, or a number is not usable.
    """

    def __init__(
        self, space: Sequence[Dimension], *, n_trials: int, repeats: int, seed: int
    ) -> None:
        for name, value in (("n_trials", n_trials), ("repeats", repeats)):
            if type(value) is not int or value < 1:
                raise InputError(
                    f"hydra.sweeper.{name}", value, "not a number of runs", "give 1 or more"
                )
        if type(seed) is not int or seed < 0:
            raise InputError("hydra.sweeper.seed", seed, "not a seed", "give 0 or more")
        try:
            import optuna
        except ModuleNotFoundError:
            raise InputError(
                "hydra/sweeper", "optuna", "optuna is not installed", "pip install '.[optuna]'"
            ) from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._distributions = {one.name: _distribution(one) for one in space}
        self._grid = _grid(space)
        self._n_trials = min(n_trials, len(self._grid)) if self._grid else n_trials
        self._repeats = repeats
        self._random = random.Random(seed)  # noqa: S311  # no secret
        self._study: Study = optuna.create_study(
            direction="minimize",
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4),
        )
        self.trials: list[Trial] = []

    @property
    def best(self) -> Trial | None:
        """The trial with the least median so far, of those that were repeated in full."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return min(complete, key=lambda trial: trial.wall_s or math.inf, default=None)

    def run(self, measure: Callable[[tuple[str, ...]], float]) -> Iterator[Trial]:
        """Try points until there are enough; yields each trial when it has ended.

        Args:
            measure: a function that runs a point once and returns the wall seconds, or NaN when the
                run failed.
        """
        from optuna.trial import TrialState

        known: dict[tuple[str, ...], Trial] = {}
        again = 0
        while len(known) < self._n_trials:
            asked = self._study.ask(self._distributions)
            point = tuple(f"{name}={_shown(value)}" for name, value in asked.params.items())
            if point in known:
                # The sampler leaves failed trials out of its model.
                self._study.tell(asked, state=TrialState.FAIL)
                again += 1
                if again % _ASKED_AGAIN == 0:
                    if not self._grid:
                        return
                    self._study.enqueue_trial(self._untried(known))
                continue
            trial = known[point] = Trial(point)
            self.trials.append(trial)
            for repeat in range(self._repeats):
                seconds = measure(point)
                if not math.isfinite(seconds):
                    trial.state = "failed"
                    break
                trial.runs.append(seconds)
                trial.state = "complete"
                asked.report(statistics.median(trial.runs), repeat)
                if repeat + 1 < self._repeats and asked.should_prune():
                    trial.state = "pruned"
                    break
            if trial.state == "complete":
                self._study.tell(asked, trial.wall_s)
            else:
                failed = trial.state == "failed"
                self._study.tell(asked, state=TrialState.FAIL if failed else TrialState.PRUNED)
            yield trial

    def to_json(self) -> dict[str, Any]:
        """All trials, and under ``best`` the best one, or None when every trial failed."""
        trials = [{**asdict(trial), "wall_s": trial.wall_s} for trial in self.trials]
        best = self.best
        return {
            "objective": f"wall_s, median of {self._repeats}",
            "best": None if best is None else trials[self.trials.index(best)],
            "trials": trials,
        }

    def _untried(self, known: dict[tuple[str, ...], Trial]) -> dict[str, Any]:
        left = [
            params
            for params in self._grid
            if tuple(f"{name}={_shown(value)}" for name, value in params.items()) not in known
        ]
        return self._random.choice(left)


def _distribution(dimension: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, IntDistribution

    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    return IntDistribution(dimension.low, dimension.high, log=dimension.log, step=dimension.step)


def _grid(space: Sequence[Dimension], most: int = 100_000) -> list[dict[str, Any]]:
    """Every point of a space, or none if there are more than ``most``."""
    sides: list[Sequence[Any]] = [
        one.values if isinstance(one, Choice) else range(one.low, one.high + 1, one.step)
        for one in space
    ]
    if math.prod(len(side) for side in sides) > most:
        return []
    names = [one.name for one in space]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*sides)]


def _shown(value: object) -> str:
    return value if isinstance(value, str) else repr(value)
