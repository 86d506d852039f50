"""The way from Hydra's config to plain, checked values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from runner.batch.settings import ExecutorSettings, Settings
from runner.cli.schema import (
    ExecutorConf,
    GuestConf,
    MetricsConf,
    PushgatewayConf,
    RetryConf,
    RunnerConf,
    SeriesConf,
    StrategyConf,
)
from runner.engines.engine import Engine
from runner.engines.retry import RetryPolicy
from runner.errors import InputError, RunnerError
from runner.executor import OnFailure  # noqa: TC001  # Settings' annotation
from runner.metrics import METRICS
from runner.model import ReceiptKind
from runner.monitoring.ledger import ledger_path
from runner.monitoring.publish import MetricsSettings
from runner.plan.fields import FieldSpec
from runner.plan.inputs import InputSpec, RangeSeries, Series, TemplateSeries
from runner.plan.strategy import StrategySettings, Thresholds
from runner.provers.guests import default_folder
from runner.provers.prover import ProverSpec

if TYPE_CHECKING:
    from runner.cache.cache import Cache
    from runner.monitoring.pushgateway import Gateway

__all__ = ["make_cache", "settings"]


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
    executor, prover = _executor(conf.executor), _prover(conf.prover, conf.guests)
    return Settings(
        guest=conf.guest.name,
        spec=_input_spec(conf.guest),
        journal=conf.guest.journal,
        inputs=conf.guest.inputs,
        count=_count(conf.guest),
        inputs_file=conf.guest.inputs_file,
        strategy=_strategy(conf.strategy),
        prover=prover,
        executor=executor,
        cache=make_cache(conf.cache),
        retry=_retry(conf.retry),
        metrics=_metrics(conf.metrics, output),
        guests=Path(conf.guests) if conf.guests else default_folder(prover.adapter),
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


def _prover(conf: dict[str, Any], guests: str | None) -> ProverSpec:
    for name in ("adapter", "kind"):
        if not isinstance(conf.get(name), str):
            raise InputError(
                f"prover.{name}", conf.get(name), "not a name", "choose one of conf/prover"
            )
    _choice("prover.kind", conf["kind"], tuple(ReceiptKind))
    own = {name: value for name, value in conf.items() if name not in ("adapter", "kind")}
    for name, value in own.items():
        if not isinstance(value, int | str | None):
            raise InputError(f"prover.{name}", value, "not a single value", "give one, or null")
    return ProverSpec(conf["adapter"], ReceiptKind(conf["kind"]), tuple(own.items()), guests)


def _executor(conf: ExecutorConf) -> ExecutorSettings:
    workers = None if conf.workers == "auto" else conf.workers
    if workers is not None and (type(workers) is not int or workers < 1):
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


def _make_engine(conf: ExecutorConf, executor: ExecutorSettings) -> Engine:
    engine = _made(
        "executor.engine",
        {**conf.engine, "workers": executor.workers, "timeout_s": executor.timeout_s},
        "use executor=processes",
    )
    if not isinstance(engine, Engine):
        raise InputError(
            "executor.engine",
            conf.engine["_target_"],
            "is no engine: it does not derive from runner.engines.engine.Engine",
            "use executor=processes",
        )
    if executor.timeout_s is not None and not engine.ends_jobs:
        raise InputError(
            "executor.timeout_s",
            executor.timeout_s,
            f"{type(engine).__name__} cannot end a job that runs",
            "set executor.timeout_s=null, or use executor=processes",
        )
    return engine


def _made(field: str, target: dict[str, Any], remedy: str) -> object:
    """What a config's ``_target_`` makes.

    Raises:
        InputError: It cannot be made; with the target's own words where it raised an InputError.
    """
    try:
        return instantiate(target)
    except InstantiationException as error:
        if isinstance(error.__cause__, RunnerError):
            raise error.__cause__ from None
        problem = f"cannot be made: {error.__cause__ or error}"
        raise InputError(field, target["_target_"], problem, remedy) from None


def make_cache(conf: dict[str, Any]) -> Cache:
    """The cache that a config names. Nothing of it is opened yet.

    Raises:
        InputError: There is no such cache, or it refuses its settings.
    """
    if not isinstance(conf.get("_target_"), str):
        raise InputError("cache", conf, "names no _target_", "use cache=disk or cache=off")
    cache = _made("cache", conf, "use cache=disk or cache=off")
    if not hasattr(cache, "view"):
        raise InputError(
            "cache",
            conf["_target_"],
            "is no cache: it does not follow runner.cache.cache.Cache",
            "use cache=disk or cache=off",
        )
    return cast("Cache", cache)


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
        ledger = ledger_path(textfile)
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
