"""Real batches through the real tools: textfile, node_exporter, Prometheus, rules, Alertmanager.

Everything runs on loopback, with the configuration in ``deploy/``. Only ports, folders and the
scrape interval differ from it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from runner.files import SHIPPED
from runner.metric_table import EXECUTED_AGGREGATION_RUNS
from runner.metrics import METRICS
from runner.monitoring.ledger import Ledger
from runner.monitoring.live import read_live
from runner.server import exposition
from tests.monitoring import tools as mt
from tests.monitoring.count import aggregations, assert_counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


pytestmark = pytest.mark.monitoring


# The aggregator runs of a two-level batch in groups of two, by its leaves: the groups and a root.
RUNS = {8: 5, 14: 8, 4: 3}
FOUR = (8, 8, 14, 4)
TREE = ("strategy=two_level", "strategy.fan_in=2")


@dataclass
class World:
    """Two hosts, the stack that watches them, and every batch's own record.

    Attributes:
        base: The folder of everything that is written.
        stack: The tools that run.
        prometheus: The Prometheus among them.
        webhooks: What Alertmanager has sent, in order.
        records: The ``result.json`` of every batch of host a, in order.
    """

    base: Path
    stack: mt.tools.Stack
    prometheus: mt.Prometheus
    webhooks: list[tuple[str, dict[str, Any]]]
    records: list[dict[str, Any]] = field(default_factory=list)

    @property
    def a(self) -> str:
        """The instance label of host a."""
        return f'instance="127.0.0.1:{self.stack.node_ports[0]}"'

    @property
    def textfile(self) -> Path:
        """The textfile of host a."""
        return self.base / "state" / "runner.prom"

    def run(self, *arguments: str, umask: int = -1, expect: int = 0) -> dict[str, Any]:
        """Run a batch on host a."""
        textfile = f"metrics.textfile={self.textfile}"
        record = mt.batch(self.base / "a", textfile, *arguments, umask=umask, expect=expect)
        self.records.append(record)
        return record

    def alerts(self) -> dict[str, dict[str, str]]:
        """The labels of the alerts that Alertmanager has, by the alert's name."""
        found = json.loads(mt.get(self.stack.url("alertmanager", "/api/v2/alerts")))
        return {one["labels"]["alertname"]: one["labels"] for one in found}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    mt.require()
    base = tmp_path_factory.mktemp("world")
    folders = [base / "textfile-a", base / "textfile-b"]
    for folder in folders:
        folder.mkdir()
    (base / "stack").mkdir()
    # As in docs/monitoring.md, node_exporter's folder has a link to the file in the runner's.
    (base / "state").mkdir()
    (folders[0] / "runner.prom").symlink_to(base / "state" / "runner.prom")
    options = mt.tools.Options(
        folders, base / "state" / "runner.prom", scrape="1s", group_wait="1s"
    )
    with (
        mt.tools.Stack(base / "stack", options) as stack,
        mt.receiver(stack.ports["receiver"]) as webhooks,
    ):
        yield World(base, stack, mt.Prometheus(stack.url("prometheus")), webhooks)


def values(text: str) -> dict[str, float]:
    """The values of all series that have no labels."""
    return exposition.values(text.encode())


# Each of the tests below goes on from the one before it.


def test_four_runs_add_up(world: World) -> None:
    prometheus, series = world.prometheus, f"l2_executed_aggregation_runs_total{{{world.a}}}"
    # The first run aggregates nothing: increase() misses what a counter had when it was first seen.
    world.run("strategy=none", "guest.count=1")
    prometheus.wait(series, 0)
    total = 0
    for leaves in FOUR:
        record = world.run(*TREE, f"guest.count={leaves}", umask=0o077)
        assert record["summary"]["aggregations"] == RUNS[leaves]
        total += RUNS[leaves]
        prometheus.wait(series, total)
    assert total == 21

    ledger = Ledger(world.textfile.with_name("runner.prom.ledger.json"))
    assert ledger.read().value(EXECUTED_AGGREGATION_RUNS) == 21
    last = prometheus.value(f"timestamp({series})")
    assert last is not None
    # Nothing is extrapolated beyond the last sample, or to values below 0.
    assert prometheus.value(f"increase({series}[5m])", last) == pytest.approx(21, abs=1e-9)
    assert prometheus.value(f"resets({series}[5m])") == 0
    # Each batch is one aggregation, and nothing was proved.
    assert prometheus.value(f"l2_executed_aggregations_total{{{world.a}}}") == 4
    assert prometheus.value(f"l2_aggregation_total{{{world.a}}}") == 0
    assert prometheus.value(f"sum(l2_aggregation_strategy_total{{{world.a}}})") == 0


ELSEWHERE = {
    *("l2_host_jobs", "l2_l1_batches", "l2_l1_failures_total", "l2_l1_rpc_errors_total"),
    "l2_last_run_work_per_second",
}
"""Metrics that have no series without a cluster, an L1 or a unit of work."""

L1_TIMES = {
    f"l2_l1_{name}_timestamp_seconds" for name in ("last_confirmation", "oldest_open", "last_look")
}
"""Metrics that are 0 without an L1."""


def test_node_exporter_takes_the_file_as_it_is_meant(world: World) -> None:
    assert world.textfile.stat().st_mode & 0o777 == 0o644
    text = mt.get(f"http://127.0.0.1:{world.stack.node_ports[0]}/metrics")
    assert "\nnode_textfile_scrape_error 0\n" in text
    for metric in METRICS:
        if "gpu" in metric.labels or metric.name in ELSEWHERE:
            continue  # no series, and node_exporter shows no metric without any
        assert f"\n# TYPE {metric.name} {metric.type}\n" in text
    served, own = values(text), values(world.textfile.read_bytes().decode())
    assert own
    assert {name: served[name] for name in own} == own


def test_prometheus_knows_the_types_and_takes_every_target(world: World) -> None:
    prometheus = world.prometheus
    known = prometheus.api("metadata")
    for metric in METRICS:
        if "gpu" in metric.labels or metric.name in ELSEWHERE:
            continue
        # Most as node_exporter shows them, and some as the runner's own page does in OpenMetrics.
        assert metric.type in {one["type"] for one in known[metric.name]}, metric.name
    up = {labels["job"]: value for labels, value in prometheus.query("min by (job) (up)")}
    assert up == {"node": 1, "runner": 1, "pushgateway": 1}
    for group in prometheus.api("rules")["groups"]:
        assert [rule["name"] for rule in group["rules"] if rule["health"] == "err"] == []


def test_hosts_and_pushed_groups_add_up(world: World) -> None:
    prometheus = world.prometheus
    textfile = world.base / "textfile-b" / "runner.prom"
    mt.batch(world.base / "b", *TREE, "guest.count=4", f"metrics.textfile={textfile}")
    for name, leaves in (("ci-1", 8), ("ci-2", 14)):
        mt.batch(
            world.base / name,
            *(*TREE, f"guest.count={leaves}", "metrics=pushgateway"),
            f"metrics.pushgateway.url={world.stack.url('pushgateway')}",
            f"metrics.pushgateway.grouping={{instance:{name}}}",
            RUNNER_LEDGER=str(world.base / name / "ledger.json"),
        )
    # 21 on host a, and 3, 5 and 8. The runner's own page shows host a's again, and must not count.
    prometheus.wait("fleet:l2_executed_aggregation_runs_total:sum", 21 + 3 + 5 + 8)
    by_instance = prometheus.query("sum by (instance) (l2_executed_aggregation_runs_total)")
    assert sorted(value for _, value in by_instance) == [3, 5, 8, 21]
    assert {"ci-1", "ci-2"} < {labels["instance"] for labels, _ in by_instance}


def test_every_dashboard_query_is_answered(world: World) -> None:
    folder = SHIPPED / "deploy" / "grafana"
    queries = [
        query
        for path in sorted(folder.glob("*.json"))
        for query in mt.expressions(json.loads(path.read_text()))
    ]
    # No GPU, no cluster, no L1 and no unit of work have a part in these runs, so their series are
    # missing, and those alone.
    missing = {*ELSEWHERE, *(metric.name for metric in METRICS if "gpu" in metric.labels)}
    missing |= {f"time() - ({name}" for name in L1_TIMES}  # they show a time that is not 0
    queries = [query for query in queries if not any(name in query for name in missing)]
    assert queries
    empty = [query for query in queries if not world.prometheus.query(query)]
    # Where nothing was proved or looked up, the average is there, and is NaN.
    assert empty == []


def test_a_failed_run_reaches_alertmanager(world: World) -> None:
    record = world.run("guest.count=1", "executor.timeout_s=0.0001", "retry=never", expect=1)
    assert record["status"] == "failed"
    began = time.monotonic()
    while "BatchFailed" not in world.alerts() or not world.webhooks:
        assert time.monotonic() - began < 30, world.prometheus.query("ALERTS")
        time.sleep(0.2)
    labels = world.alerts()["BatchFailed"]
    assert labels["instance"] == f"127.0.0.1:{world.stack.node_ports[0]}"
    names = {
        alert["labels"]["alertname"]: (path, alert["annotations"])
        for path, content in world.webhooks
        for alert in content["alerts"]
    }
    path, annotations = names["BatchFailed"]
    assert path == f"/{labels['severity']}"
    assert annotations.keys() >= {"summary", "description", "runbook_url"}
    assert json.loads(mt.get(world.stack.url("server", "/health")))["status"] == "failed"

    world.run("guest.count=2", "strategy=none")
    world.prometheus.wait('count(ALERTS{alertname="BatchFailed"}) or vector(0)', 0)
    assert json.loads(mt.get(world.stack.url("server", "/health")))["status"] == "ok"


def test_hundreds_of_runs_of_the_aggregator_are_counted_and_watched(world: World) -> None:
    prometheus = world.prometheus
    command = [
        *(sys.executable, "-m", "runner", "prover=execute", "guest=sha256", "guest.count=600"),
        *(*TREE, "progress=none", "executor.workers=2", f"output={world.base / 'stress'}"),
        f"metrics.textfile={world.textfile}",
    ]
    busy = f'l2_parallel_workers_active{{{world.a},job="node"}}'
    with subprocess.Popen(
        command, cwd=world.base, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while read_live(world.textfile) is None:
            assert process.poll() is None
            time.sleep(0.02)
        prometheus.wait(busy, lambda value: value is not None and value > 0)
        running = json.loads(mt.get(world.stack.url("server", "/health")))["running"]
        assert running["leaves"] == 600
        assert process.wait() == 0
    assert read_live(world.textfile) is None
    record = json.loads((world.base / "stress" / "result.json").read_text())
    assert record["summary"]["aggregations"] == 301
    world.records.append(record)
    total = sum(len(aggregations(record)) for record in world.records)
    prometheus.wait(f"l2_executed_aggregation_runs_total{{{world.a}}}", total)
    assert_counted(world.textfile, world.records)


@pytest.mark.real
def test_real_proofs_and_then_the_same_from_the_cache(tmp_path: Path) -> None:
    textfile = tmp_path / "runner.prom"
    real = (
        *("prover=composite", "guest=fibonacci", "guest.inputs=[10,20]", "strategy=single"),
        f"metrics.textfile={textfile}",
    )
    records = [mt.batch(tmp_path, *real), mt.batch(tmp_path, *real)]
    assert [record["summary"]["made"] for record in records] == [3, 0]
    assert_counted(textfile, records)
    text = textfile.read_text()
    assert "\nl2_proof_generation_total 3.0\n" in text
    assert "\nl2_cache_hits_total 3.0\n" in text
    assert "\nl2_aggregation_total 1.0\n" in text
    assert "\nl2_aggregation_proof_count 2.0\n" in text
    assert "\nl2_aggregation_cached_batches_total 1.0\n" in text
    assert "\nl2_cache_hit_rate 100.0\n" in text
