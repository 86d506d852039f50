"""Every shipped config composes, converts to plain settings, and starts its engine."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hydra import compose
from omegaconf import OmegaConf

from runner.cache.proof_cache import ProofCache
from runner.cli import config
from runner.errors import InputError
from runner.limits import cores
from runner.model import ReceiptKind
from runner.monitoring.pushgateway import Gateway
from runner.plan.inputs import leaves
from runner.plan.strategy import make_plan
from tests.cli.configs import choices, composed, settings

pytestmark = pytest.mark.usefixtures("hydra")


GROUPS = ["guest", "strategy", "prover", "executor", "cache", "retry", "metrics", "audit"]
GROUPS += ["l1", "store"]


@pytest.mark.parametrize(
    ("group", "choice"), [(group, c) for group in GROUPS for c in choices(group)]
)
def test_every_choice_of_every_group_makes_settings(group: str, choice: str) -> None:
    conf = composed(f"{group}={choice}")
    made = config.settings(conf, Path("unused"))
    named = {"program": ""}.get(choice, choice)  # its file has the name
    assert made.guest == (named if group == "guest" else "fibonacci")
    assert made.config[group] == OmegaConf.to_container(conf[group], resolve=True)


@pytest.mark.parametrize("group", ["preset", "experiment"])
def test_presets_and_experiments_make_settings(group: str) -> None:
    assert choices(group), f"no file in conf/{group}"
    for choice in choices(group):
        settings(f"{group}={choice}")


GUESTS = [name for name in choices("guest") if name != "program"]
"""The guests that come with the runner: ``guest=program`` is whichever a file holds."""


def test_guests_strategies_and_provers_go_together() -> None:
    guests = GUESTS
    # Every pair of choices is composed. All triples would take too long.
    pairs = product(enumerate(choices("strategy")), enumerate(choices("prover")))
    for (row, strategy), (column, prover) in pairs:
        guest = guests[(row + column) % len(guests)]
        made = settings(f"guest={guest}", f"strategy={strategy}", f"prover={prover}")
        assert (made.guest, made.strategy.name) == (guest, strategy)
        assert prover in (made.prover.kind, made.prover.adapter)


@pytest.mark.parametrize("guest", GUESTS)
def test_a_guests_own_inputs_make_a_default_batch_and_a_large_one(guest: str) -> None:
    made = settings(f"guest={guest}")
    assert len(leaves(made.spec, count=made.count)) == 6
    assert len(leaves(made.spec, count=1000)) == 1000


def test_the_default_batch_is_six_fibonacci_runs_aggregated_by_one() -> None:
    made = settings()
    batch = leaves(made.spec, inputs=made.inputs, count=made.count, inputs_file=made.inputs_file)
    plan = make_plan(made.strategy.name, range(len(batch)), made.strategy.thresholds)
    assert made.guest == "fibonacci"
    assert made.prover.kind is ReceiptKind.COMPOSITE
    assert (len(batch), plan.strategy, len(plan.aggregations)) == (6, "single", 1)


@pytest.mark.parametrize(
    ("preset", "workers", "minimum", "entries"),
    [("small", 8, 6, 10_000), ("medium", 32, 10, 100_000), ("large", 128, 20, 1_000_000)],
)
def test_presets_set_workers_minimum_and_cache(
    preset: str, workers: int, minimum: int, entries: int
) -> None:
    made = settings(f"preset={preset}")
    assert made.executor.workers == workers
    assert made.strategy.thresholds.minimum == minimum
    assert isinstance(made.cache, ProofCache)
    assert made.cache.max_entries == entries


def test_the_command_line_wins_over_a_preset() -> None:
    assert settings("preset=large", "executor.workers=3").executor.workers == 3


def test_inputs_on_the_command_line_replace_the_default_count() -> None:
    made = settings("guest.inputs=[10,20]")
    assert (made.inputs, made.count) == ([10, 20], None)


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_the_engine_of_a_config_runs_a_job(executor: str) -> None:
    with settings(f"executor={executor}", "executor.workers=1").make_engine() as engine:
        assert engine.submit(abs, -3).result(timeout=60) == 3


def test_the_ledger_is_beside_the_textfile_and_without_one_there_is_none() -> None:
    made = settings("metrics.textfile=/a/runner.prom").metrics
    assert (made.textfile, made.gateway) == (Path("/a/runner.prom"), None)
    assert made.ledger == Path("/a/runner.prom.ledger.json")
    made = settings("metrics.textfile=/a/x.prom", "metrics.ledger=/b/l.json").metrics
    assert (made.textfile, made.ledger) == (Path("/a/x.prom"), Path("/b/l.json"))
    made = settings("metrics=off").metrics
    assert (made.textfile, made.ledger, made.gateway) == (None, None, None)


def test_a_gateway_is_asked_for_by_its_url() -> None:
    made = settings(
        "metrics=pushgateway",
        "metrics.pushgateway.url='https://[::1]:9091/below'",
        "metrics.pushgateway.grouping={instance: host1}",
    ).metrics
    assert made.gateway == Gateway(
        "https://[::1]:9091/below", job="runner", grouping={"instance": "host1"}, timeout_s=5
    )
    assert made.textfile is None
    assert made.ledger is not None
    assert settings("metrics=pushgateway", "metrics.pushgateway.url=null").metrics.gateway is None


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        *[
            ([f"metrics.pushgateway.url='{url}'"], "url")
            for url in (
                *("gateway:9091", "ftp://gateway", "http://", "http://:9091", "http://h:99999"),
                *("http://h:x", "http://h/?a=b", "http://h#a", "http://[::1", "http://h h/"),
                "http://user:secret@h:9091",
            )
        ],
        (["metrics.pushgateway.job=''"], "job"),
        (["metrics.pushgateway.timeout_s=0"], "timeout_s"),
        (["metrics.pushgateway.timeout_s=inf"], "timeout_s"),
        (["metrics.pushgateway.timeout_s=nan"], "timeout_s"),
        (["metrics.pushgateway.grouping={job: x}"], "grouping"),
        (["metrics.pushgateway.grouping={strategy: x}"], "grouping"),
        (["metrics.pushgateway.grouping={__x: x}"], "grouping"),
        (["metrics.pushgateway.grouping={a-b: x}"], "grouping"),
        (["metrics.pushgateway.grouping=host1"], "grouping"),
        (["metrics.pushgateway.grouping={a: null}"], "grouping.a"),
    ],
)
def test_an_unusable_gateway_is_named(overrides: list[str], field: str) -> None:
    with pytest.raises(InputError) as caught:
        settings("metrics=pushgateway", *overrides)
    assert caught.value.field == f"metrics.pushgateway.{field}"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("ledger", ["null", "unused/l.json", "unused/a/../l.json"])
def test_each_runs_own_totals_are_not_pushed(ledger: str) -> None:
    with pytest.raises(InputError, match=r"add up over runs.*metrics=pushgateway") as caught:
        settings("metrics.pushgateway.url=http://h:9091", f"metrics.ledger={ledger}")
    assert caught.value.field == "metrics.ledger"


def test_the_record_of_the_config_is_plain_and_complete() -> None:
    made = settings("strategy.fan_in=[4,8]", "guest.inputs_file=x.csv")
    assert made.strategy.fan_in == (4, 8)
    assert made.config["strategy"]["fan_in"] == [4, 8]
    assert made.config["guest"]["inputs_file"] == "x.csv"
    assert set(made.config) >= set(GROUPS)


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("executor.workers=0", "executor.workers"),
        ("executor.workers=many", "executor.workers"),
        ("executor.timeout_s=0", "executor.timeout_s"),
        ("executor.on_failure=panic", "executor.on_failure"),
        ("retry.attempts=0", "retry.attempts"),
        ("retry.jitter_s=-1", "retry.jitter_s"),
        ("cache.max_entries=0", "cache.max_entries"),
        ("cache.folder=''", "cache.folder"),
        ("prover.kind=magic", "prover.kind"),
        ("prover.segment_po2=[1]", "prover.segment_po2"),
        ("progress=loud", "progress"),
        ("log_level=whisper", "log_level"),
        ("log_format=xml", "log_format"),
        ("strategy.minimum=0", "strategy.minimum"),
        ("strategy.two_level_from=6", "strategy.two_level_from"),
        ("strategy.three_level_from=7", "strategy.three_level_from"),
        ("guest.fields.0.type=float", "guest.fields.n.type"),
        ("guest.fields.0.name=m", "guest.series"),
        ("guest.series.n.kind=random", "guest.series.n.kind"),
        ("executor.engine._target_=3", "executor.engine"),
    ],
)
def test_an_unusable_value_is_named(override: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(override)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (["executor=inline", "executor.workers=2"], "executor.workers"),
        (["executor=inline", "executor.timeout_s=5"], "executor.timeout_s"),
        (["executor=dask", "executor.engine.lost_s=0"], "executor.engine.lost_s"),
        (["executor.engine._target_=builtins.dict"], "executor.engine"),
        (["executor.engine._target_=nowhere.Engine"], "executor.engine"),
    ],
)
def test_an_engine_says_what_it_cannot_do(overrides: list[str], field: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(*overrides).make_engine()
    assert caught.value.field == field


def test_the_workers_of_auto_are_the_engines_to_choose() -> None:
    made = settings()
    assert made.executor.workers is None
    with made.make_engine() as engine:
        assert [host.workers for host in engine.hosts()] == [cores()]


def test_a_preset_may_size_a_cache_that_keeps_nothing() -> None:
    assert not settings("preset=large", "cache=off").cache.keeps


def test_bars_are_not_drawn_over_json_lines() -> None:
    with pytest.raises(InputError, match="progress=lines"):
        settings("progress=bar", "log_format=json")


@pytest.mark.parametrize("name", choices("experiment"))
def test_an_experiment_that_names_a_sweep_is_one(name: str) -> None:
    conf = compose("config", [f"experiment={name}"], return_hydra_config=True)
    params = conf.hydra.sweeper.params
    assert (params is None) == (conf.hydra.mode is None)
    for setting, values in (params or {}).items():
        for value in values.split(","):
            settings(f"experiment={name}", f"{setting}={value}")


def test_options_of_a_store_are_given_on_the_command_line() -> None:
    made = settings(
        "store=shared", "store.url=memory://x", 'store.options={endpoint_url: "http://a:1"}'
    )
    assert made.store is not None
    assert made.store.place.options == '{"endpoint_url": "http://a:1"}'
    assert settings("store=shared", "store.url=here").store is not None
    assert settings().store is None


def test_resources_of_jobs_are_given_on_the_command_line() -> None:
    engine = settings("executor=dask", "executor.engine.resources={GPU: 2}").make_engine()
    assert engine._resources == {"GPU": 2}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("override", "field"),
    [
        ("store.options=3", "store.options"),
        ("store.options={secret: x}", "store.options.secret"),
        ("store.timeout_s=0", "store.timeout_s"),
        ("store.max_bytes=-1", "store.max_bytes"),
        ("store.protect_s=-1", "store.protect_s"),
        ("store.url=nosuch://x", "store.url"),
    ],
)
def test_a_store_that_cannot_be_used_is_named(override: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        settings("store=shared", override)
    assert caught.value.field == field
