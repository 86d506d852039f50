"""The sweepers ``hydra/sweeper=grid``, which is the default, and ``optuna``; see docs/sweeps.md.

Hydra takes plugins only from the namespace ``hydra_plugins``, whose sweepers make and call these.
"""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import IntervalSweep, RangeSweep
from hydra.plugins.sweeper import Sweeper

from runner.cli.search import Choice, Dimension, IntRange, Search, Trial
from runner.cli.sweep_jobs import Jobs, say
from runner.cli.targets import make_cache
from runner.errors import InputError
from runner.folder import write_json
from runner.model import ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hydra.core.override_parser.types import Override
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

    from runner.cli.sweep import SweepJob

__all__ = ["BEST", "GridSweeper", "OptunaSweeper"]

BEST = "best.json"


class GridSweeper(Sweeper):
    """A sweep over every combination of the given values, which can be continued later.

    The combinations and their order are those of Hydra's basic sweeper.

    Args:
        params: the overrides of every sweep that a config file gives; see ``conf/experiment``.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self._params = params or {}

    def setup(  # noqa: D102
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._jobs = Jobs(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[SweepJob]:
        """Run the sweep. Nothing is started if the config of one of its jobs cannot be composed."""
        overrides = self._jobs.parse(arguments, self._params)
        (batch,) = BasicSweeper.split_arguments(overrides, None)
        requests = self._jobs.requests(batch)
        with self._jobs.open():
            return self._jobs.run(batch, requests)


class OptunaSweeper(Sweeper):
    """A search for the settings with the least wall time; see :class:`runner.cli.search.Search`.

    Args:
        n_trials: the number of distinct points to try.
        repeats: the number of runs of each point.
        seed: the seed of the sampler.
        params: the overrides of every search that a config file gives.
    """

    def __init__(
        self, n_trials: int, repeats: int, seed: int, params: Mapping[str, Any] | None = None
    ) -> None:
        self._numbers = {"n_trials": n_trials, "repeats": repeats, "seed": seed}
        self._params = params or {}

    def setup(  # noqa: D102
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._jobs = Jobs(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[Trial]:
        """Run the search. Nothing is started if a value at its edge cannot be composed."""
        overrides = self._jobs.parse(arguments, self._params)
        space = [_dimension(one) for one in overrides if one.is_sweep_override()]
        fixed = [str(one.input_line) for one in overrides if not one.is_sweep_override()]
        if not space:
            raise InputError(
                "command line",
                " ".join(arguments),
                "nothing to search over",
                "give a setting several values, e.g. strategy.fan_in=2,4,8",
            )
        search = Search(space, **self._numbers)
        for probe in _probes(space):
            _refuse_cache(self._jobs.compose([*fixed, *probe]))

        def measure(point: tuple[str, ...]) -> float:
            (job,) = self._jobs.run([[*fixed, *point]])
            return math.nan if job.wall_s is None else job.wall_s

        with self._jobs.open():
            for trial in search.run(measure):
                say(f"trial {len(search.trials)}: {_text(trial)}")
                self._keep(search, fixed)
        best = search.best
        if best is not None:
            say(f"best of {len(search.trials)}: {_text(best)}; all in {self._jobs.folder / BEST}")
            say(f"run it with: {_command(fixed, best)}")
        return search.trials

    def _keep(self, search: Search, fixed: Sequence[str]) -> None:
        best = search.best
        command = None if best is None else _command(fixed, best)
        data = {"command": command, **self._numbers, **search.to_json()}
        write_json(self._jobs.folder / BEST, data)


def _dimension(override: Override) -> Dimension:
    name, sweep = override.get_key_element(), override.value()
    if isinstance(sweep, IntervalSweep):
        # Hydra makes both ends floats, but no setting with fractions is worth a search.
        low, high = float(sweep.start or 0), float(sweep.end or 0)
        log = "log" in sweep.tags
        if not (low.is_integer() and high.is_integer() and log <= low <= high):
            raise InputError(
                name,
                override.get_value_string(),
                "not a range of whole numbers",
                "give the least first, from 1 up with tag(log, ...)",
            )
        return IntRange(name, int(low), int(high), log=log)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle:
        numbers = sweep.range()
        if isinstance(numbers, range) and numbers.step > 0 and numbers:
            return IntRange(name, numbers[0], numbers[-1], numbers.step)
    values = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not values:
        raise InputError(name, override.get_value_string(), "no value", "give at least one")
    return Choice(name, values)


def _probes(space: Sequence[Dimension]) -> Iterator[list[str]]:
    """Yield points that together have every choice and both ends of every range.

    Each point differs from the first values of the space in one setting at most.
    """
    sides = [
        one.values if isinstance(one, Choice) else (str(one.low), str(one.high)) for one in space
    ]
    first = [f"{one.name}={side[0]}" for one, side in zip(space, sides, strict=True)]
    for index, (one, side) in enumerate(zip(space, sides, strict=True)):
        for value in side:
            yield [*first[:index], f"{one.name}={value}", *first[index + 1 :]]


def _refuse_cache(composed: DictConfig) -> None:
    """A proof taken from the cache says nothing of the time it takes."""
    executes = composed.prover.kind == ReceiptKind.EXECUTE.value
    if make_cache(dict(composed.cache)).keeps and not executes:
        raise InputError(
            "cache",
            composed.cache["_target_"],
            "each trial would find the proofs of the trials before it, and take no time",
            "add cache=off",
        )


def _text(trial: Trial) -> str:
    """A trial in one line, as it is printed."""
    point = " ".join(trial.overrides)
    if trial.wall_s is None:
        return f"{point}: failed"
    runs = "1 run" if len(trial.runs) == 1 else f"median of {len(trial.runs)} runs"
    note = "" if trial.state == "complete" else f", {trial.state}"
    return f"{point}: {trial.wall_s:.3g} s ({runs}{note})"


def _command(fixed: Sequence[str], best: Trial) -> str:
    kept = [one for one in fixed if not one.startswith("output=")]
    return shlex.join(["python", "-m", "runner", *kept, *best.overrides])
