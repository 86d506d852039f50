"""The way from Hydra's config to plain, checked values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from runner.errors import InputError, RunnerError
from runner.executor import OnFailure  # noqa: TC001  # Settings' annotation
from runner.fields import FieldSpec
from runner.guests import DEFAULT_FOLDER
from runner.inputs import InputSpec, RangeSeries, Series, TemplateSeries
from runner.machine import cores
from runner.model import ReceiptKind
from runner.prover import ProverSpec
from runner.retry import RetryPolicy
from runner.schema import (
    CacheConf,
    ExecutorConf,
    GuestConf,
    ProverConf,
    RetryConf,
    RunnerConf,
    SeriesConf,
    StrategyConf,
)
from runner.settings import CacheSettings, ExecutorSettings, Settings, StrategySettings
from runner.strategy import Thresholds

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["settings"]


def settings(config: DictConfig, output: Path) -> Settings:
    """Plain, checked settings for one run.

    Args:
        config: composed by Hydra.
        output: the run's folder.

    Raises:
        InputError: a value no run could use.
    """
    plain = OmegaConf.to_container(config, resolve=True)
    conf = OmegaConf.to_object(config)
    if not isinstance(conf, RunnerConf) or not isinstance(plain, dict):
        raise TypeError("config is not composed on the schema runner_schema")
    _choice("progress", conf.progress, ("auto", "bar", "lines", "none"))
    _choice("log_level", conf.log_level, ("debug", "info", "warning", "error"))
    executor = _executor(conf.executor)
    return Settings(
        guest=conf.guest.name,
        spec=_input_spec(conf.guest),
        journal=conf.guest.journal,
        inputs=conf.guest.inputs,
        count=_count(conf.guest),
        inputs_file=conf.guest.inputs_file,
        strategy=_strategy(conf.strategy),
        prover=_prover(conf.prover),
        executor=executor,
        cache=_cache(conf.cache),
        retry=_retry(conf.retry),
        textfile=Path(conf.metrics.textfile) if conf.metrics.textfile else None,
        guests=Path(conf.guests) if conf.guests else DEFAULT_FOLDER,
        output=output,
        progress=conf.progress,
        log_level=conf.log_level,
        config={str(key): value for key, value in plain.items()},
        make_engine=lambda: _make_engine(conf.executor, executor),
    )


def _count(guest: GuestConf) -> object:
    if guest.inputs is None and guest.count is None and guest.inputs_file is None:
        return guest.default_count
    return guest.count


def _input_spec(guest: GuestConf) -> InputSpec:
    fields = tuple(
        FieldSpec(conf.name, conf.type, conf.min, conf.max, conf.reason) for conf in guest.fields
    )
    names = [conf.name for conf in guest.fields]
    strange = sorted(guest.series.keys() - set(names))
    if strange:
        raise InputError(
            "guest.series", strange[0], "no such field", f"the fields are {', '.join(names)}"
        )
    # A guest has its own series for all of its fields, or for none.
    series = tuple(_series(name, guest.series[name]) for name in names if name in guest.series)
    return InputSpec(fields, series)


def _series(name: str, conf: SeriesConf) -> Series:
    _choice(f"guest.series.{name}.kind", conf.kind, ("range", "template"))
    if conf.kind == "range":
        return RangeSeries(conf.start, conf.step, conf.modulo)
    return TemplateSeries(conf.template)


def _strategy(conf: StrategyConf) -> StrategySettings:
    thresholds = Thresholds(conf.minimum, conf.two_level_from, conf.three_level_from)
    fan_in = conf.fan_in
    return StrategySettings(
        conf.name, thresholds, tuple(fan_in) if isinstance(fan_in, list) else fan_in
    )


def _prover(conf: ProverConf) -> ProverSpec:
    _choice("prover.kind", conf.kind, tuple(ReceiptKind))
    # The sizes the circuit knows; larger segments need more memory (2^20 about 10 GiB), smaller
    # ones cut a run in more pieces.
    _between("prover.segment_po2", conf.segment_po2, 15, 22)
    return ProverSpec(conf.adapter, ReceiptKind(conf.kind), conf.segment_po2)


def _executor(conf: ExecutorConf) -> ExecutorSettings:
    workers = conf.workers
    if workers == "auto":
        workers = cores()
    if type(workers) is not int or workers < 1:
        raise InputError(
            "executor.workers", workers, "not a number of workers", "give 1 or more, or auto"
        )
    if conf.timeout_s is not None and conf.timeout_s <= 0:
        raise InputError(
            "executor.timeout_s", conf.timeout_s, "not a time limit", "give seconds, or null"
        )
    _choice("executor.on_failure", conf.on_failure, ("stop", "continue"))
    on_failure: OnFailure = "continue" if conf.on_failure == "continue" else "stop"
    if not isinstance(conf.engine.get("_target_"), str):
        raise InputError(
            "executor.engine", conf.engine, "names no _target_", "use executor=processes"
        )
    return ExecutorSettings(workers, conf.timeout_s, on_failure)


def _make_engine(conf: ExecutorConf, executor: ExecutorSettings) -> Executor:
    target = {**conf.engine}
    if conf.engine["_target_"] != "runner.engines.InlineExecutor":
        target |= {"workers": executor.workers, "timeout_s": executor.timeout_s}
    try:
        engine: Executor = instantiate(target)
    except InstantiationException as error:
        if isinstance(error.__cause__, RunnerError):
            raise error.__cause__ from None
        raise InputError(
            "executor.engine",
            conf.engine["_target_"],
            f"cannot be started: {error.__cause__ or error}",
            "use executor=processes",
        ) from None
    return engine


def _cache(conf: CacheConf) -> CacheSettings | None:
    if not conf.enabled:
        return None
    _between("cache.max_entries", conf.max_entries, 1, None)
    _between("cache.max_bytes", conf.max_bytes, 1, None)
    if not conf.folder:
        raise InputError("cache.folder", conf.folder, "empty", "give a folder, or use cache=off")
    return CacheSettings(Path(conf.folder).expanduser(), conf.max_entries, conf.max_bytes)


def _retry(conf: RetryConf) -> RetryPolicy:
    _between("retry.attempts", conf.attempts, 1, None)
    for name in ("wait_initial_s", "wait_max_s", "jitter_s"):
        value = getattr(conf, name)
        if value < 0:
            raise InputError(f"retry.{name}", value, "negative", "give seconds, 0 or more")
    return RetryPolicy(conf.attempts, conf.wait_initial_s, conf.wait_max_s, conf.jitter_s)


def _choice(where: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(where, value, "unknown", f"choose one of {', '.join(choices)}")


def _between(where: str, value: int, low: int, high: int | None) -> None:
    if value < low or (high is not None and value > high):
        wanted = f"{low} or more" if high is None else f"a number from {low} to {high}"
        raise InputError(where, value, "out of range", f"give {wanted}")
