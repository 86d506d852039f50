"""A run's figures reach ledger, textfile and Pushgateway, and no failure there fails a batch."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import pytest

import runner.monitoring.pushgateway
from runner.metric_table import AGGREGATION, LAST_RUN_LEAVES, PUSH_FAILURES
from runner.metrics import Recorder
from runner.monitoring.ledger import Ledger
from runner.monitoring.publish import MetricsSettings, publish
from runner.monitoring.pushgateway import Gateway
from tests.monitoring.gateway import FakeGateway, fake_gateway
from tests.threads import side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with fake_gateway() as fake:
        yield fake


@pytest.fixture
def settings(tmp_path: Path, gateway: FakeGateway) -> MetricsSettings:
    return MetricsSettings(
        tmp_path / "x.prom", tmp_path / "l.json", Gateway(gateway.url, timeout_s=2)
    )


def run(aggregations: int = 1) -> Recorder:
    recorder = Recorder()
    recorder.inc(AGGREGATION, aggregations)
    recorder.set(LAST_RUN_LEAVES, aggregations * 10)
    return recorder


def totals(settings: MetricsSettings) -> Recorder:
    assert settings.ledger is not None
    return Ledger(settings.ledger).read()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_totals_go_to_ledger_textfile_and_gateway_alike(
    settings: MetricsSettings, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    for i, count in enumerate((5, 5, 8, 3)):
        publish(settings, str(i), run(count))
    assert settings.textfile is not None
    last = gateway.requests[-1][3]
    assert settings.textfile.read_bytes() == last == totals(settings).render()
    assert b"\nl2_aggregation_total 21.0\n" in last
    assert b"\nl2_last_run_leaves 30.0\n" in last
    assert not warnings(caplog)


def test_without_a_ledger_there_is_nothing_to_do(tmp_path: Path) -> None:
    publish(MetricsSettings(), "a", run())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_push_that_fails_is_logged_and_counted_for_the_next_scrape(
    settings: MetricsSettings, gateway: FakeGateway, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.status = status
    publish(settings, "a", run(5))
    (message,) = warnings(caplog)
    assert "metrics not pushed" in message
    assert f"HTTP {status}" in message
    assert gateway.url in message
    assert totals(settings).value(PUSH_FAILURES) == 1
    assert settings.textfile is not None
    text = settings.textfile.read_bytes()
    assert b"\nl2_push_failures_total 1.0\n" in text
    assert b"\nl2_last_run_leaves 50.0\n" in text
    gateway.status = 200
    publish(settings, "b", run(5))
    assert b"\nl2_push_failures_total 1.0\n" in gateway.requests[-1][3]
    assert b"\nl2_aggregation_total 10.0\n" in gateway.requests[-1][3]


def test_a_gateway_that_is_down_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    down = MetricsSettings(None, tmp_path / "l.json", Gateway("http://127.0.0.1:9"))
    publish(down, "a", run(5))
    assert totals(down).value(AGGREGATION) == 5
    assert totals(down).value(PUSH_FAILURES) == 1
    assert "Connection refused" in caplog.text


def test_no_total_is_pushed_after_a_larger_one(
    settings: MetricsSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays, texts = iter([0.2, *[0.0] * 7]), []

    def slow_at_first(_: Gateway, text: bytes) -> None:
        time.sleep(next(delays))
        texts.append(text.decode())

    monkeypatch.setattr(runner.monitoring.pushgateway, "push", slow_at_first)
    side_by_side(lambda i: publish(settings, str(i), run()), range(8))
    pushed = [
        float(line.split()[1])
        for text in texts
        for line in text.splitlines()
        if line.startswith("l2_aggregation_total ")
    ]
    assert pushed == sorted(pushed)
    assert len(pushed) == pushed[-1] == 8
    assert totals(settings).value(PUSH_FAILURES) == 0


def test_a_ledger_of_a_later_version_is_a_warning(
    settings: MetricsSettings, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    assert settings.ledger is not None
    assert settings.textfile is not None
    later = b'{"format": "zk-batch-runner metrics ledger", "version": 99}'
    settings.ledger.write_bytes(later)
    publish(settings, "a", run())
    (message,) = warnings(caplog)
    assert "format 99" in message
    assert "metrics.ledger" in message
    assert settings.ledger.read_bytes() == later
    assert not settings.textfile.exists()
    assert gateway.requests == []


def test_a_ledger_that_cannot_be_written_is_a_warning_and_nothing_is_pushed(
    tmp_path: Path, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    blocked = MetricsSettings(None, tmp_path / "file" / "l.json", Gateway(gateway.url))
    publish(blocked, "a", run())
    (message,) = warnings(caplog)
    assert "metrics of this run not counted" in message
    assert gateway.requests == []
