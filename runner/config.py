"""The schema of ``conf/`` and the way from Hydra's config to plain values.

Only this module and :mod:`runner.cli` know Hydra and OmegaConf.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import MISSING, DictConfig, OmegaConf

from runner.errors import InputError, RunnerError
from runner.executor import OnFailure  # noqa: TC001  # Settings' annotation
from runner.guests import DEFAULT_FOLDER
from runner.inputs import FieldSpec, InputSpec, RangeSeries, Series, TemplateSeries
from runner.machine import cores
from runner.model import ReceiptKind
from runner.prover import ProverSpec
from runner.retry import RetryPolicy
from runner.settings import CacheSettings, ExecutorSettings, Settings, StrategySettings
from runner.strategy import Thresholds

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["RunnerConf", "register", "settings"]

# OmegaConf reads these annotations itself and knows Optional, not ``X | None``.
# ruff: noqa: UP045


@dataclass
class FieldConf:
    """One input field of a guest; see :class:`runner.inputs.FieldSpec`."""

    name: str = MISSING
    type: str = MISSING
    min: Optional[int] = None
    max: Optional[int] = None
    reason: Optional[str] = None


@dataclass
class SeriesConf:
    """The guest's own inputs for one field; ``kind`` is range or template."""

    kind: str = MISSING
    start: int = 0
    step: int = 1
    modulo: Optional[int] = None
    template: str = "{i}"


@dataclass
class GuestConf:
    """What a guest reads, and the inputs of this batch."""

    name: str = MISSING
    fields: list[FieldConf] = field(default_factory=list)
    series: dict[str, SeriesConf] = field(default_factory=dict)
    journal: str = "hex"
    default_count: int = 6
    inputs: Any = None
    count: Any = None
    inputs_file: Optional[str] = None


@dataclass
class StrategyConf:
    """Which plan is made; thresholds count leaves."""

    name: str = MISSING
    minimum: int = 6
    two_level_from: int = 51
    three_level_from: int = 501
    fan_in: Any = "auto"


@dataclass
class ProverConf:
    """Which zkVM makes which receipts; ``segment_po2`` bounds memory, not speed."""

    adapter: str = MISSING
    kind: str = MISSING
    segment_po2: int = 20


@dataclass
class ExecutorConf:
    """Who does the work; ``engine`` is any concurrent.futures.Executor, by ``_target_``."""

    workers: Any = "auto"
    timeout_s: Optional[float] = None
    on_failure: str = "stop"
    engine: dict[str, Any] = field(default_factory=dict)


@dataclass
class CacheConf:
    """Finished proofs kept between runs."""

    enabled: bool = True
    folder: str = ""
    max_entries: int = 10000
    max_bytes: int = 20_000_000_000


@dataclass
class RetryConf:
    """See :class:`runner.retry.RetryPolicy`."""

    attempts: int = 3
    wait_initial_s: float = 0.5
    wait_max_s: float = 30.0
    jitter_s: float = 0.5


@dataclass
class MetricsConf:
    """Where the figures for Prometheus go."""

    textfile: Optional[str] = None


@dataclass
class RunnerConf:
    """The whole configuration; field by field what ``conf/`` fills in."""

    guest: GuestConf = field(default_factory=GuestConf)
    strategy: StrategyConf = field(default_factory=StrategyConf)
    prover: ProverConf = field(default_factory=ProverConf)
    executor: ExecutorConf = field(default_factory=ExecutorConf)
    cache: CacheConf = field(default_factory=CacheConf)
    retry: RetryConf = field(default_factory=RetryConf)
    metrics: MetricsConf = field(default_factory=MetricsConf)
    guests: Optional[str] = None
    output: str = MISSING
    progress: str = "auto"
    log_level: str = "info"


def register() -> None:
    """Make the schema known to Hydra under the name ``conf/config.yaml`` uses."""
    ConfigStore.instance().store(name="runner_schema", node=RunnerConf)


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
