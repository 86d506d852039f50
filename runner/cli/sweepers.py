"""The sweepers: ``hydra/sweeper=grid`` (the default) and ``optuna``; see docs/sweeps.md.

Hydra takes plugins from the namespace ``hydra_plugins`` only: they are subclassed there.
"""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import IntervalSweep, RangeSweep
from hydra.plugins.sweeper import Sweeper

from runner.cli.search import Choice, Dimension, Search, Trial, Whole
from runner.cli.sweep_jobs import Jobs, say
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
    """Every combination of the values given: Hydra's basic sweep, which can be gone on with.

    Args:
        params: overrides of every sweep, from a config file; see ``conf/experiment``.
    """

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self._params = params or {}

    def setup(  # noqa: D102
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self._jobs = Jobs(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> list[SweepJob]:
        """Run the sweep; nothing is started when one of its jobs has no config."""
        overrides = self._jobs.parse(arguments, self._params)
        (batch,) = BasicSweeper.split_arguments(overrides, None)
        wanted = self._jobs.plan(batch)
        with self._jobs.open():
            return self._jobs.run(batch, wanted)


class OptunaSweeper(Sweeper):
    """A search for the settings with the least wall time; see :class:`runner.cli.search.Search`.

    Args:
        n_trials: distinct points to try.
        repeats: runs of each.
        seed: of the sampler.
        params: overrides of every search, from a config file.
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
        """Run the search; nothing is started when a value at its edge has no config."""
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
                say(f"trial {len(search.trials)}: {_told(trial)}")
                self._keep(search, fixed)
        best = search.best
        if best is not None:
            say(f"best of {len(search.trials)}: {_told(best)}; all in {self._jobs.folder / BEST}")
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
        # Hydra makes both ends floats; nothing here is worth searching that is not a whole number.
        low, high = float(sweep.start or 0), float(sweep.end or 0)
        log = "log" in sweep.tags
        if not (low.is_integer() and high.is_integer() and log <= low <= high):
            raise InputError(
                name,
                override.get_value_string(),
                "not a range of whole numbers",
                "give the least first, from 1 up with tag(log, ...)",
            )
        return Whole(name, int(low), int(high), log=log)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle:
        whole = sweep.range()
        if isinstance(whole, range) and whole.step > 0 and whole:
            return Whole(name, whole[0], whole[-1], whole.step)
    values = tuple(dict.fromkeys(override.sweep_string_iterator()))
    if not values:
        raise InputError(name, override.get_value_string(), "no value", "give at least one")
    return Choice(name, values)


def _probes(space: Sequence[Dimension]) -> Iterator[list[str]]:
    """Every choice and both ends of every range, the others at their first value."""
    sides = [
        one.values if isinstance(one, Choice) else (str(one.low), str(one.high)) for one in space
    ]
    first = [f"{one.name}={side[0]}" for one, side in zip(space, sides, strict=True)]
    for at, (one, side) in enumerate(zip(space, sides, strict=True)):
        for value in side:
            yield [*first[:at], f"{one.name}={value}", *first[at + 1 :]]


def _refuse_cache(composed: DictConfig) -> None:
    """A proof taken from the cache says nothing of the time it takes."""
    executes = composed.prover.kind == ReceiptKind.EXECUTE.value
    if composed.cache.enabled and not executes:
        raise InputError(
            "cache.enabled",
            True,
            "each trial would find the proofs of the trials before it, and take no time",
            "add cache=off",
        )


def _told(trial: Trial) -> str:
    point = " ".join(trial.overrides)
    if trial.wall_s is None:
        return f"{point}: failed"
    runs = "1 run" if len(trial.runs) == 1 else f"median of {len(trial.runs)} runs"
    note = "" if trial.state == "complete" else f", {trial.state}"
    return f"{point}: {trial.wall_s:.3g} s ({runs}{note})"


def _command(fixed: Sequence[str], best: Trial) -> str:
    kept = [one for one in fixed if not one.startswith("output=")]
    return shlex.join(["python", "-m", "runner", *kept, *best.overrides])
