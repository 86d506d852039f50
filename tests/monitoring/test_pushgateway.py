"""Pushes to a Pushgateway: what is sent, and what happens when a gateway does not take it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import pytest

from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_PROOF_COUNT,
    AGGREGATION_PROOF_GENERATION_DURATION_SECONDS,
)
from runner.metrics import METRICS, Recorder
from runner.monitoring.ledger import Ledger
from runner.monitoring.pushgateway import Gateway, push
from tests.monitoring.gateway import FakeGateway, fake_gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


REAL = shutil.which("prometheus-pushgateway")
TEXT = b"# TYPE a counter\na 1.0\n"


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with fake_gateway() as fake:
        yield fake


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_text_is_posted_as_it_is_to_its_group(gateway: FakeGateway) -> None:
    push(Gateway(gateway.url + "/", "batch", {"zone": "a/b", "instance": "host-1"}), TEXT)
    ((method, path, kind, body),) = gateway.requests
    assert method == "POST"  # PUT would delete what others have pushed to the group
    assert path == "/metrics/job/batch/instance/host-1/zone@base64/YS9i"
    assert kind.startswith("text/plain; version=0.0.4")
    assert body == TEXT


def test_counters_without_total_arrive_as_counters(gateway: FakeGateway) -> None:
    push(Gateway(gateway.url), Recorder().render())
    text = gateway.requests[0][3].decode()
    for metric in METRICS:
        assert f"# TYPE {metric.name} {metric.type}\n" in text


def test_a_gateway_below_a_path(gateway: FakeGateway) -> None:
    push(Gateway(f"{gateway.url}/push"), TEXT)
    assert gateway.requests[0][1] == "/push/metrics/job/runner"


def test_an_error_of_the_gateway_is_reported_in_its_words(gateway: FakeGateway) -> None:
    gateway.status, gateway.body = 400, b"pushed metrics are invalid\nand more"
    with pytest.raises(OSError, match=r"^HTTP 400 Bad Request: pushed metrics are invalid$"):
        push(Gateway(gateway.url), TEXT)
    gateway.status, gateway.body = 500, b""
    with pytest.raises(OSError, match=r"^HTTP 500 Internal Server Error$"):
        push(Gateway(gateway.url), TEXT)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_does_not_count_as_a_push(gateway: FakeGateway, status: int) -> None:
    gateway.status, gateway.headers = status, {"Location": f"{gateway.url}/elsewhere"}
    with pytest.raises(OSError, match=f"HTTP {status}"):
        push(Gateway(gateway.url), TEXT)
    assert len(gateway.requests) == 1


def test_nobody_listens() -> None:
    with pytest.raises(OSError, match="Connection refused"):
        push(Gateway(f"http://127.0.0.1:{free_port()}"), TEXT)


def test_no_such_host() -> None:
    with pytest.raises(OSError, match=r"not known|resolution|No address"):
        push(Gateway("http://gateway.invalid:9091", timeout_s=20), TEXT)


@pytest.mark.parametrize("raw", [b"", b"hello\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"])
def test_an_answer_that_is_not_http_is_an_os_error(gateway: FakeGateway, raw: bytes) -> None:
    gateway.raw = raw
    with pytest.raises(OSError, match=r"."):
        push(Gateway(gateway.url), TEXT)


@pytest.mark.parametrize("raw", [None, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10_000])
def test_the_time_limit_is_for_the_whole_push(gateway: FakeGateway, raw: bytes | None) -> None:
    """A gateway that sends a byte now and then does not extend the limit."""
    gateway.wait_s, gateway.raw = (30, raw) if raw is None else (0.05, raw)
    began = time.monotonic()
    with pytest.raises(OSError, match=r"no answer within 0\.3 s|timed out"):
        push(Gateway(gateway.url, timeout_s=0.3), TEXT)
    assert time.monotonic() - began < 2


@pytest.mark.skipif(REAL is None, reason="prometheus-pushgateway is not installed")
def test_the_real_gateway_takes_it_and_keeps_types_and_groups(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert REAL is not None
    command = [REAL, f"--web.listen-address={address}", "--persistence.file="]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            for host in ("one", "two"):
                ledger = Ledger(tmp_path / f"{host}.json")
                gateway = Gateway(f"http://{address}", grouping={"instance": host})
                for i, count in enumerate((5, 5, 8, 3)):
                    run = Recorder()
                    run.inc(AGGREGATION, count)
                    run.inc(AGGREGATION_PROOF_COUNT, 10 * count)
                    run.observe(AGGREGATION_PROOF_GENERATION_DURATION_SECONDS, 0.3)
                    _push(gateway, ledger.record(str(i), run).render())
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        finally:
            process.kill()
    for metric in METRICS:
        if all(metric.labels.values()):
            assert f"# TYPE {metric.name} {metric.type}\n" in text
    for host in ("one", "two"):
        labels = f'instance="{host}",job="runner"'
        assert f"\nl2_aggregation_total{{{labels}}} 21\n" in text
        assert f"\nl2_aggregation_proof_count{{{labels}}} 210\n" in text
        assert f"\nl2_aggregation_proof_generation_duration_seconds_count{{{labels}}} 4\n" in text
        assert f"\npush_failure_time_seconds{{{labels}}} 0\n" in text


def _push(gateway: Gateway, text: bytes) -> None:
    """Push with patience, because the gateway's process has only just been started."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return push(gateway, text)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
