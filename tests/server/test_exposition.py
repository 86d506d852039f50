"""``/metrics``: the textfile as it is, in OpenMetrics, and with live gauges."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runner.events import JobRetried, LoadMeasured
from runner.metrics import METRICS
from runner.monitoring.live import read_live
from runner.server import exposition
from runner.server.site import Site
from tests.monitoring.runs import eventually, job, live_file, new_tally
from tests.server.serving import PROMETHEUS_2, ask, parsed, text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from prometheus_client import Metric

    from runner.server.http import StatusServer


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", exposition.TEXT),
        ("*/*", exposition.TEXT),
        ("text/html,application/xhtml+xml;q=0.9", exposition.TEXT),
        ("application/openmetrics-text", exposition.OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", exposition.OPENMETRICS),
        ("application/openmetrics-text;version=9.9.9,text/plain;q=0.1", exposition.TEXT),
        ("application/openmetrics-text;q=0.3,text/plain;version=0.0.4;q=0.5", exposition.TEXT),
        ("application/openmetrics-text;q=0", exposition.TEXT),
        ("application/openmetrics-text;q=lots", exposition.TEXT),
        (PROMETHEUS_2, exposition.OPENMETRICS),
        (";;,,=;", exposition.TEXT),
    ],
)
def test_negotiation(accept: str, kind: str) -> None:
    assert exposition.negotiate(accept) == kind


def test_by_default_the_textfile_as_it_is(server: StatusServer, textfile: Path) -> None:
    status, headers, body = ask(server, "/metrics")
    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert body == textfile.read_bytes()


def test_openmetrics_is_valid_and_says_the_same(server: StatusServer) -> None:
    status, headers, body = ask(server, "/metrics", Accept=PROMETHEUS_2)
    assert status == 200
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {f.name: f for f in parsed(body)}
    assert families["l2_aggregation"].type == "counter"
    bare = {m.name for m in METRICS if m.type == "counter" and not m.name.endswith("_total")}
    assert "l2_aggregation_proof_count" in bare
    for name in bare:
        assert families[name].type == "unknown"
        assert "OpenMetrics" in families[name].documentation

    def samples(found: Iterable[Metric]) -> set[tuple[str, tuple[tuple[str, str], ...], float]]:
        return {
            (s.name, tuple(sorted(s.labels.items())), s.value)
            for family in found
            for s in family.samples
        }

    plain = text().replace(
        b"l2_aggregation_proof_count counter", b"l2_aggregation_proof_count untyped"
    )
    plain = plain.replace(
        b"l2_l1_submission_gas_used counter", b"l2_l1_submission_gas_used untyped"
    )
    assert samples(families.values()) == samples(text_string_to_metric_families(plain.decode()))


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("identity", False)],
)
def test_gzip_when_asked(server: StatusServer, accepted: str, *, zipped: bool) -> None:
    _, headers, body = ask(server, "/metrics", Accept_Encoding=accepted)
    assert (headers.get("Content-Encoding") == "gzip") is zipped
    assert "Accept-Encoding" in headers["Vary"]
    assert (gzip.decompress(body) if zipped else body) == text()


def test_only_gauges_are_live(server: StatusServer, textfile: Path) -> None:
    before = exposition.values(text())
    tally = new_tally()
    with live_file(textfile, tally):
        tally.notice(LoadMeasured(2, 5))
        for _ in range(3):
            tally.notice(JobRetried(job(0), ValueError("x"), 0.0))
        eventually(lambda: (found := read_live(textfile)) is not None and found.retries == 3)
        during = exposition.values(ask(server, "/metrics")[2])
    changed = {name for name in before if during[name] != before[name]}
    assert changed == {"l2_parallel_workers_active", "l2_parallel_workers_limit", "l2_queue_depth"}
    assert {m.name for m in METRICS if m.type == "gauge"} > changed
    assert (during["l2_parallel_workers_active"], during["l2_queue_depth"]) == (2, 5)
    assert exposition.values(ask(server, "/metrics")[2]) == before


def test_before_the_first_run_ends(tmp_path: Path) -> None:
    site = Site(tmp_path / "none.prom")
    assert site.respond("/metrics").body == b""
    assert site.respond("/metrics", PROMETHEUS_2).body == b"# EOF\n"
    tally = new_tally()
    with live_file(tmp_path / "none.prom", tally):
        tally.notice(LoadMeasured(1, 5))
        eventually(lambda: b"l2_queue_depth 5\n" in site.respond("/metrics").body)
        assert len(list(parsed(site.respond("/metrics", PROMETHEUS_2).body))) == 3


def test_a_textfile_that_cannot_be_read_is_not_shown_as_an_empty_one(tmp_path: Path) -> None:
    site = Site(tmp_path)  # a folder in place of a textfile
    assert site.respond("/metrics").status == 503
    assert json.loads(site.respond("/health").body)["status"] == "unreadable"
    assert site.respond("/").status == 200


def test_a_huge_file_given_by_mistake(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(2**40)
    assert Site(path).respond("/metrics").status == 503


def test_what_is_not_text_format_goes_out_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    path.write_bytes(b"{{{ what\n\xff")
    answer = Site(path).respond("/metrics", PROMETHEUS_2)
    assert (answer.status, answer.body) == (200, b"{{{ what\n\xff")
    assert answer.headers["Content-Type"] == exposition.TEXT
    assert Site(path).respond("/").status == 200
