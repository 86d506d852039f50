"""The way from Hydra's config to plain, checked values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from runner.batch.settings import ExecutorSettings, Settings
from runner.cache.proof_cache import CacheSettings
from runner.cli.schema import (
    CacheConf,
    ExecutorConf,
    GuestConf,
    MetricsConf,
    ProverConf,
    PushgatewayConf,
    RetryConf,
    RunnerConf,
    SeriesConf,
    StrategyConf,
)
from runner.engines.retry import RetryPolicy
from runner.errors import InputError, RunnerError
from runner.executor import OnFailure  # noqa: TC001  # Settings' annotation
from runner.metrics import METRICS
from runner.model import ReceiptKind
from runner.monitoring.ledger import beside
from runner.monitoring.publish import MetricsSettings
from runner.plan.fields import FieldSpec
from runner.plan.inputs import InputSpec, RangeSeries, Series, TemplateSeries
from runner.plan.strategy import StrategySettings, Thresholds
from runner.provers.guests import default_folder
from runner.provers.machine import cores
from runner.provers.prover import ProverSpec

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from runner.monitoring.pushgateway import Gateway

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
    _choice("log_format", conf.log_format, ("text", "json"))
    if conf.progress == "bar" and conf.log_format == "json":
        raise InputError(
            "progress", "bar", "would draw over the lines of log_format=json", "use progress=lines"
        )
    executor = _executor(conf.executor)
    return Settings(
        guest=conf.guest.name,
        spec=_input_spec(conf.guest),
        journal=conf.guest.journal,
        inputs=conf.guest.inputs,
        count=_count(conf.guest),
        inputs_file=conf.guest.inputs_file,
        strategy=_strategy(conf.strategy),
        prover=_prover(conf.prover, conf.guests),
        executor=executor,
        cache=_cache(conf.cache),
        retry=_retry(conf.retry),
        metrics=_metrics(conf.metrics, output),
        guests=Path(conf.guests) if conf.guests else default_folder(conf.prover.adapter),
        output=output,
        progress=conf.progress,
        log_level=conf.log_level,
        log_format=conf.log_format,
        quiet=conf.quiet,
        config={str(key): value for key, value in plain.items()},
        make_engine=lambda: _make_engine(conf.executor, executor),
        audit=Path(conf.audit.file).expanduser() if conf.audit.file else None,
        dry_run=conf.dry_run,
        report=conf.report,
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


def _prover(conf: ProverConf, guests: str | None) -> ProverSpec:
    _choice("prover.kind", conf.kind, tuple(ReceiptKind))
    # The sizes the circuit knows; larger segments need more memory (2^20 about 10 GiB), smaller
    # ones cut a run in more pieces.
    if conf.segment_po2 is not None:
        _between("prover.segment_po2", conf.segment_po2, 15, 22)
    if conf.security_bits is not None:
        _between("prover.security_bits", conf.security_bits, 1, 128)
    return ProverSpec(
        conf.adapter, ReceiptKind(conf.kind), conf.segment_po2, conf.security_bits, guests
    )


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
    if conf.engine["_target_"] != "runner.engines.inline.InlineExecutor":
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


def _metrics(conf: MetricsConf, output: Path) -> MetricsSettings:
    textfile = Path(conf.textfile).expanduser() if conf.textfile else None
    ledger = Path(conf.ledger).expanduser() if conf.ledger else None
    if ledger is None and textfile is not None:
        ledger = beside(textfile)
    gateway = _gateway(conf.pushgateway)
    if gateway is not None and (ledger is None or _is_within(ledger, output)):
        # Every run would push totals that start at zero.
        raise InputError(
            "metrics.ledger",
            conf.ledger,
            "what is pushed must add up over runs, and this ledger would be each run's own",
            "give a file that stays, or use metrics=pushgateway",
        )
    return MetricsSettings(textfile, ledger, gateway)


def _is_within(path: Path, folder: Path) -> bool:
    return path.absolute().is_relative_to(folder.absolute())


def _gateway(conf: PushgatewayConf) -> Gateway | None:
    if not conf.url:
        return None
    _check_url("metrics.pushgateway.url", conf.url)
    if not conf.job:
        raise InputError("metrics.pushgateway.job", conf.job, "empty", "give a name")
    grouping = _grouping("metrics.pushgateway.grouping", conf.grouping)
    if not 0 < conf.timeout_s < float("inf"):
        raise InputError(
            "metrics.pushgateway.timeout_s", conf.timeout_s, "not a time limit", "give seconds"
        )
    from runner.monitoring.pushgateway import Gateway  # brings an HTTP client

    return Gateway(conf.url, conf.job, grouping, conf.timeout_s)


def _grouping(where: str, labels: object) -> dict[str, str]:
    if labels is None:
        return {}
    if not isinstance(labels, dict):
        raise InputError(where, labels, "not labels and values", "give {instance: host1}, or null")
    taken = {"job", "le"}.union(*(metric.labels for metric in METRICS))
    for label, value in labels.items():
        if label in taken or not re.fullmatch(r"(?!__)[A-Za-z_][A-Za-z0-9_]*", str(label)):
            raise InputError(
                where,
                label,
                "cannot be a label of the group",
                "use letters, digits and _, and no label that the metrics have",
            )
        if isinstance(value, dict | list) or value is None:
            raise InputError(f"{where}.{label}", value, "not a label's value", "give a text")
    return {str(label): str(value) for label, value in labels.items()}


def _check_url(where: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        usable = False
    else:
        usable = usable and not (parts.query or parts.fragment or "@" in parts.netloc)
    if not usable or not url.isprintable() or " " in url:
        raise InputError(
            where,
            re.sub(r"//.*@", "//...@", url),
            "not the address of a Pushgateway",
            "give http://HOST:PORT or https://HOST:PORT, without user and password",
        )


def _choice(where: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(where, value, "unknown", f"choose one of {', '.join(choices)}")


def _between(where: str, value: int, low: int, high: int | None) -> None:
    if value < low or (high is not None and value > high):
        wanted = f"{low} or more" if high is None else f"a number from {low} to {high}"
        raise InputError(where, value, "out of range", f"give {wanted}")
