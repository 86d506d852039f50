"""A server that runs during a test, what it shows, and requests to it."""

from __future__ import annotations

import http.client
from contextlib import closing
from typing import TYPE_CHECKING

from prometheus_client.openmetrics import parser as openmetrics

from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_PROOF_COUNT,
    AGGREGATION_PROOF_GENERATION_DURATION_SECONDS,
    GUEST_CYCLES,
    LAST_RUN_COMPLETION_TIMESTAMP_SECONDS,
    LAST_RUN_EXIT_STATUS,
    LAST_RUN_START_TIMESTAMP_SECONDS,
)
from runner.metrics import Recorder
from runner.monitoring.hosts import HostShare
from runner.monitoring.live import LiveFigures, RunningJob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from runner.server.http import StatusServer


PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
NOW = 1_800_000_000.0

LIVE = LiveFigures(
    run_id="<b>",
    pid=1,
    started=NOW - 60,
    updated=NOW,
    guest="<script>alert(1)</script>",
    kind="composite",
    strategy="two_level",
    leaves=1234,
    levels=((3, 8), (0, 4), (0, 1)),
    jobs=(RunningJob(1, "leaf 3", 1, NOW - 12), RunningJob(2, "<u>leaf 4", 2, NOW - 65)),
    left_s=185.0,
    left_complete=True,
    workers_active=2,
    workers_limit=3,
    queue_depth=7,
    proofs=3,
    executions=0,
    hits=1,
    retries=2,
    errors=2,
    last_error="leaf 4: <i>no</i>",
    hosts=(HostShare("<s>a", 3, 5 << 20, 1 << 20, 1536 << 10), HostShare("b", 1)),
)


def text(exit_status: int = 0, completed: float = NOW - 10) -> bytes:
    recorder = Recorder()
    recorder.inc(AGGREGATION, 5)
    recorder.inc(AGGREGATION_PROOF_COUNT, 8)
    recorder.inc(GUEST_CYCLES, 9, guest='a"b\\c\n', type="user")
    recorder.observe(AGGREGATION_PROOF_GENERATION_DURATION_SECONDS, 0.3)
    recorder.set(LAST_RUN_START_TIMESTAMP_SECONDS, completed - 5)
    recorder.set(LAST_RUN_COMPLETION_TIMESTAMP_SECONDS, completed)
    recorder.set(LAST_RUN_EXIT_STATUS, exit_status)
    return recorder.render()


def ask(
    server: StatusServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, 10)) as client:
        client.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = client.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()


def parsed(body: bytes) -> Iterator[Metric]:
    """The families in a text, by a parser that accepts nothing but OpenMetrics."""
    text = body.decode()
    yield from openmetrics.text_string_to_metric_families(text)
