"""Turns Hydra's config into plain, checked settings."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.batch.settings import ExecutorSettings, Program, Settings, StoreSettings
from runner.cli import paths
from runner.cli.errors import explain
from runner.cli.metrics_config import metrics_settings
from runner.cli.piped import spooled
from runner.cli.schema import (
    ExecutorConf,
    GuestConf,
    RetryConf,
    RunnerConf,
    SeriesConf,
    StoreConf,
    StrategyConf,
)
from runner.cli.targets import make_cache, make_engine
from runner.cli.unknown import refuse_unknown
from runner.codec.own_program import own_encoder
from runner.codec.reads import journal_layout, read_layout, word_field
from runner.codec.schema import Types
from runner.codec.work import unit_of
from runner.engines.retry import RetryPolicy
from runner.errors import InputError
from runner.model import ReceiptKind
from runner.plan.inputs import InputSpec, RangeSeries, Series, TemplateSeries
from runner.plan.strategy import StrategySettings, Thresholds
from runner.provers.guests import default_folder
from runner.provers.prover import ProverSpec
from runner.store.place import PlaceSettings, UrlPlace
from runner.store.sweep import Bound

if TYPE_CHECKING:
    from runner.executor import OnFailure
    from runner.l1.settings import L1Settings

__all__ = ["l1_settings", "settings"]


def settings(config: DictConfig, output: Path) -> Settings:
    """Plain, checked settings for one run.

    Args:
        config: The config that Hydra composed.
        output: The output folder of the run.

    Raises:
        InputError: A setting is unknown, or a value cannot be used by any run.
    """
    refuse_unknown(config)
    try:
        plain = OmegaConf.to_container(config, resolve=True)
        conf = OmegaConf.to_object(config)
    except OmegaConfBaseException as error:  # e.g. an interpolation of something that is not there
        raise explain(error, sys.argv[1:]) or error from None
    if not isinstance(conf, RunnerConf) or not isinstance(plain, dict):
        raise TypeError("config is not composed on the schema runner_schema")
    paths.expand_all(conf)
    if conf.dry_run_executes and not conf.dry_run:
        raise InputError("dry_run_executes", True, "is of a dry run only", "give dry_run=true")
    _check_choice("aggregate", conf.aggregate, ("all", "succeeded"))
    if conf.aggregate == "succeeded" and conf.executor.on_failure != "continue":
        problem = "stops at the first failure, and aggregate=succeeded goes on"
        raise InputError(
            "executor.on_failure", conf.executor.on_failure, problem, "give on_failure=continue"
        )
    _check_choice("progress", conf.progress, ("auto", "bar", "lines", "none"))
    _check_choice("log_level", conf.log_level, ("debug", "info", "warning", "error"))
    _check_choice("log_format", conf.log_format, ("text", "json"))
    if conf.progress == "bar" and conf.log_format == "json":
        raise InputError(
            "progress", "bar", "would draw over the lines of log_format=json", "use progress=lines"
        )
    # The record names the guest also where the config leaves that to the file.
    guest = _guest_name(conf.guest)
    plain["guest"]["name"] = guest or None
    executor = _executor(conf.executor)
    journal = journal_layout(vars(conf.guest))
    limit = _max_cycles("executor.max_cycles", conf.executor.max_cycles)
    prover = replace(_prover(conf.prover, conf.guests), max_cycles=limit)
    return Settings(
        guest=guest,
        elf=Path(conf.guest.elf) if conf.guest.elf else None,
        spec=_input_spec(conf.guest),
        journal=journal,
        inputs=conf.guest.inputs,
        count=_count(conf.guest),
        inputs_file=_inputs_file(conf.guest),
        strategy=_strategy(conf.strategy),
        prover=prover,
        executor=executor,
        cache=make_cache(conf.cache),
        retry=_retry(conf.retry),
        metrics=metrics_settings(conf.metrics, output),
        guests=Path(conf.guests) if conf.guests else default_folder(prover.adapter),
        output=output,
        progress=conf.progress,
        log_level=conf.log_level,
        log_format=conf.log_format,
        quiet=conf.quiet,
        config={str(key): value for key, value in plain.items()},
        make_engine=lambda: make_engine(conf.executor.engine, executor),
        audit=Path(conf.audit.file) if conf.audit.file else None,
        dry_run=conf.dry_run,
        report=conf.report,
        store=_store(conf.store),
        dry_run_executes=conf.dry_run_executes,
        aggregate=conf.aggregate,
        programs=_programs(conf),
        assumptions=conf.guest.assumptions,
        max_cycles=_max_cycles("guest.max_cycles", conf.guest.max_cycles),
        unit=unit_of(conf.guest.work, journal, "guest.work"),
    )


def _guest_name(guest: GuestConf) -> str:
    """The guest's name, which may be that of its file. It is empty if there is neither."""
    if guest.name is None and guest.elf is None:
        return ""
    name = guest.name if guest.name is not None else Path(str(guest.elf)).stem
    # A name that is not in a manifest stands in file names and labels.
    if guest.elf is not None and re.fullmatch(r"[\w.+-]{1,100}", name) is None:
        problem = "not a name of up to 100 letters, digits and . _ + -"
        raise InputError("guest.name", name, problem, "give guest.name=NAME")
    return name


def l1_settings(config: DictConfig) -> L1Settings | None:
    """Plain, checked settings of the submission to an L1; None if there is to be none.

    Args:
        config: The config that Hydra composed, of which :func:`settings` has found nothing wrong.

    Raises:
        InputError: A value cannot be used.
    """
    conf = OmegaConf.to_object(config)
    if not isinstance(conf, RunnerConf):
        raise TypeError("config is not composed on the schema runner_schema")
    if conf.l1.mode is None:
        return None
    from runner.l1.settings import from_mapping

    paths.expand_all(conf)
    return from_mapping(vars(conf.l1))


def _count(guest: GuestConf) -> object:
    if guest.inputs is None and guest.count is None and guest.inputs_file is None:
        return guest.default_count
    return guest.count


def _programs(conf: RunnerConf) -> dict[str, Program]:
    """The further guests of the batch, by their names."""
    found: dict[str, Program] = {}
    for key, guest in conf.programs.items():
        name = _guest_name(guest)
        if not name:
            remedy = "give the guest's name, or the file of its program as elf"
            raise InputError(f"programs.{key}.name", None, "is missing", remedy)
        if name in (_guest_name(conf.guest), *found):
            remedy = "name each guest once"
            raise InputError(f"programs.{key}.name", name, "stands twice", remedy)
        given = [
            one for one in ("inputs", "count", "inputs_file") if getattr(guest, one) is not None
        ]
        if given:
            remedy = f"give guest.{given[0]}, where each input names its guest"
            value = getattr(guest, given[0])
            raise InputError(f"programs.{key}.{given[0]}", value, "belongs to the batch", remedy)
        elf = Path(guest.elf) if guest.elf else None
        journal = journal_layout(vars(guest))
        found[name] = Program(
            _input_spec(guest),
            journal,
            elf,
            guest.assumptions,
            _max_cycles(f"programs.{key}.max_cycles", guest.max_cycles),
            unit_of(guest.work, journal, f"programs.{key}.work"),
        )
    return found


def _inputs_file(guest: GuestConf) -> str | None:
    if guest.inputs_file is None:
        return None
    return spooled(guest.inputs_file, guest.inputs_format)


def _input_spec(guest: GuestConf) -> InputSpec:
    ways = {"fields": guest.fields, "input": guest.input, "encode": guest.encode}
    given = [f"guest.{name}" for name, way in ways.items() if way]
    if len(given) > 1:
        problem, remedy = f"given beside {given[0]}", "describe the input in one way"
        raise InputError(given[1], ways[given[1].partition(".")[2]], problem, remedy)
    types = Types(guest.types)
    types.check()
    fields = read_layout(guest.input, types, guest.codec, "guest.input", "input") or tuple(
        word_field(one.name, one.type, min=one.min, max=one.max, reason=one.reason or "")
        for one in (guest.fields if given else guest.default_fields)
    )
    names = [one.name for one in fields]
    strange = sorted(guest.series.keys() - set(names))
    if strange:
        raise InputError(
            "guest.series", strange[0], "no such field", f"the fields are {', '.join(names)}"
        )
    # A guest has its own series either for all of its fields or for none.
    series = tuple(_series(name, guest.series[name]) for name in names if name in guest.series)
    return InputSpec(fields, series, own_encoder(guest.encode) if guest.encode else None)


def _series(name: str, conf: SeriesConf) -> Series:
    _check_choice(f"guest.series.{name}.kind", conf.kind, ("range", "template"))
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
    _check_choice("prover.kind", conf["kind"], tuple(ReceiptKind))
    own = {name: value for name, value in conf.items() if name not in ("adapter", "kind")}
    for name, value in own.items():
        if not isinstance(value, int | str | None):
            raise InputError(f"prover.{name}", value, "not a single value", "give one, or null")
    return ProverSpec(conf["adapter"], ReceiptKind(conf["kind"]), tuple(own.items()), guests)


def _max_cycles(field: str, given: int | None) -> int:
    if given is None:
        return 0
    if not 1 <= given < 1 << 63:
        raise InputError(field, given, "out of range", "give 1 or more, or null")
    return given


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
    _check_choice("executor.on_failure", conf.on_failure, ("stop", "continue"))
    on_failure: OnFailure = "continue" if conf.on_failure == "continue" else "stop"
    if not isinstance(conf.engine.get("_target_"), str):
        raise InputError(
            "executor.engine", conf.engine, "names no _target_", "use executor=processes"
        )
    return ExecutorSettings(workers, conf.timeout_s, on_failure)


def _store(conf: StoreConf) -> StoreSettings | None:
    if not conf.url:
        return None
    for name in ("timeout_s", "max_bytes"):
        if getattr(conf, name) <= 0:
            raise InputError(f"store.{name}", getattr(conf, name), "not positive", "give more")
    if conf.protect_s < 0:
        raise InputError("store.protect_s", conf.protect_s, "negative", "give seconds, 0 or more")
    if not isinstance(conf.options, dict | None):
        raise InputError("store.options", conf.options, "no options", "give {NAME: VALUE}, or null")
    url = conf.url if "://" in conf.url else f"file://{Path(conf.url).expanduser().absolute()}"
    place = PlaceSettings(url, json.dumps(conf.options or {}, sort_keys=True), conf.timeout_s)
    UrlPlace(place)  # what is wrong with the settings themselves is told at once
    return StoreSettings(place, Bound(conf.max_bytes, conf.protect_s))


def _retry(conf: RetryConf) -> RetryPolicy:
    if conf.attempts < 1:
        raise InputError("retry.attempts", conf.attempts, "out of range", "give 1 or more")
    for name in ("wait_initial_s", "wait_max_s", "jitter_s"):
        value = getattr(conf, name)
        if value < 0:
            raise InputError(f"retry.{name}", value, "negative", "give seconds, 0 or more")
    return RetryPolicy(conf.attempts, conf.wait_initial_s, conf.wait_max_s, conf.jitter_s)


def _check_choice(field: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(field, value, "unknown", f"choose one of {', '.join(choices)}")
