"""The status server: what it answers, what it refuses, and that no client can hold it up."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from runner.events import JobFinished, JobRetried, LoadMeasured
from runner.metric_table import (
    AGGREGATION,
    AGGREGATION_DURATION_SECONDS,
    AGGREGATION_PROOF_COUNT,
    GUEST_CYCLES,
    LAST_RUN_COMPLETION_TIMESTAMP_SECONDS,
    LAST_RUN_EXIT_STATUS,
    LAST_RUN_LEAVES,
    LAST_RUN_START_TIMESTAMP_SECONDS,
)
from runner.metrics import METRICS, Recorder
from runner.monitoring.ledger import Ledger, ledger_path
from runner.monitoring.live import LiveFigures, RunningJob, live_path, read_live
from runner.server import exposition, pages
from runner.server import health as judge
from runner.server.__main__ import main
from runner.server.http import StatusServer
from runner.server.site import Site
from tests.fakes.jobs import outcome_of
from tests.monitoring.test_live import eventually, job, live_file, new_tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client import Metric

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
)


def text(exit_status: int = 0, completed: float = NOW - 10) -> bytes:
    recorder = Recorder()
    recorder.inc(AGGREGATION, 5)
    recorder.inc(AGGREGATION_PROOF_COUNT, 8)
    recorder.inc(GUEST_CYCLES, 9, guest='a"b\\c\n', type="user")
    recorder.observe(AGGREGATION_DURATION_SECONDS, 0.3)
    recorder.set(LAST_RUN_START_TIMESTAMP_SECONDS, completed - 5)
    recorder.set(LAST_RUN_COMPLETION_TIMESTAMP_SECONDS, completed)
    recorder.set(LAST_RUN_EXIT_STATUS, exit_status)
    return recorder.render()


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    path = tmp_path / "runner.prom"
    path.write_bytes(text())
    return path


def serving(server: StatusServer) -> Iterator[StatusServer]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(textfile: Path) -> Iterator[StatusServer]:
    yield from serving(StatusServer(("127.0.0.1", 0), Site(textfile, clock=lambda: NOW)))


@pytest.fixture
def impatient(textfile: Path) -> Iterator[StatusServer]:
    """A server for three clients at most, with half a second for each."""
    site = Site(textfile, clock=lambda: NOW)
    yield from serving(StatusServer(("127.0.0.1", 0), site, most_clients=3, patience_s=0.5))


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


# -- /metrics ---------------------------------------------------------------------------------


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


def test_a_textfile_that_cannot_be_read_is_no_empty_answer(tmp_path: Path) -> None:
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


# -- /health and / ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "live", "stale_after", "status", "reason"),
    [
        (None, None, None, "never_run", "no run has ended yet"),
        (Recorder().render(), None, None, "never_run", "no run has ended yet"),
        (None, LIVE, None, "never_run", "no run has ended yet; the first is under way"),
        (text(), None, None, "ok", "the last run ended well"),
        (text(), None, 3600.0, "ok", "the last run ended well"),
        (text(1), None, None, "failed", "the last run failed (exit status 1)"),
        (text(130), LIVE, None, "failed", "the last run was stopped (exit status 130)"),
        (text(0, NOW - 99), None, 50.0, "stale", "the last run ended 99 s ago, more than 50 s"),
        (text(0, NOW - 9999), LIVE, 70.0, "ok", "the last run ended well"),
        (
            *(text(0, NOW - 9999), LIVE, 50.0, "stale"),
            "the last run has been under way 60 s, more than 50 s",
        ),
        (text(0, NOW + 9999), None, 50.0, "ok", "the last run ended well"),
    ],
)
def test_health(
    content: bytes | None,
    live: LiveFigures | None,
    stale_after: float | None,
    status: str,
    reason: str,
) -> None:
    found = judge.health(content, live, NOW, stale_after)
    assert (found.status, found.reason) == (status, reason)


def test_health_over_http(server: StatusServer, textfile: Path) -> None:
    status, headers, body = ask(server, "/health")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["last_run"]["exit_status"] == 0
    textfile.write_bytes(text(1))
    status, _, body = ask(server, "/health?verbose=1")
    assert (status, json.loads(body)["status"]) == (503, "failed")
    textfile.unlink()
    assert ask(server, "/health")[0] == 503


def test_health_has_the_progress(server: StatusServer, textfile: Path) -> None:
    with live_file(textfile):
        eventually(lambda: json.loads(ask(server, "/health")[2])["running"] is not None)
        running = json.loads(ask(server, "/health")[2])["running"]
    assert running["levels"][0] == {"done": 0, "total": 4}
    assert running["proofs"] == 0
    assert running["jobs"] == []


def test_status_json_only_tells_what_health_judges(server: StatusServer, textfile: Path) -> None:
    textfile.write_bytes(text(1))
    status, headers, body = ask(server, "/status.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    judged, _, same = ask(server, "/health")
    assert (judged, same) == (503, body)


def left_by_a_killed_run(textfile: Path) -> None:
    """Leave the figures of a process that is gone, as ``kill -9`` does."""
    tally = new_tally()
    with live_file(textfile, tally):
        tally.notice(JobFinished(job(0), outcome_of(job(0))))
        eventually(lambda: (found := read_live(textfile)) is not None and found.proofs == 1)
        data = json.loads(live_path(textfile).read_bytes())
    data |= {"pid": 2**22 + 1, "updated": NOW - 3}
    live_path(textfile).write_text(json.dumps(data))


def test_a_killed_run_is_told_everywhere(server: StatusServer, textfile: Path) -> None:
    left_by_a_killed_run(textfile)
    status, _, body = ask(server, "/health")
    found = json.loads(body)
    assert (status, found["status"], found["running"]) == (503, "killed", None)
    assert found["killed"]["levels"][0] == {"done": 1, "total": 4}
    page = ask(server, "/")[2].decode()
    assert "No run is under way: the last one was killed" in page
    assert "1 of 7 jobs done" in page
    assert 'class="state bad"' in page
    metrics = exposition.values(ask(server, "/metrics")[2])
    assert metrics["l2_parallel_workers_active"] == 0, "nobody works"


def test_a_run_that_ended_since_then_is_the_last_one(server: StatusServer, textfile: Path) -> None:
    left_by_a_killed_run(textfile)
    textfile.write_bytes(text(0, NOW - 1))
    assert json.loads(ask(server, "/health")[2])["status"] == "ok"
    assert "the last one ended well" in ask(server, "/")[2].decode()


@pytest.mark.parametrize(("ago", "said"), [(14.0, "Running<"), (16.0, "Running, but silent<")])
def test_a_run_that_says_nothing_is_said_to_be_silent(ago: float, said: str) -> None:
    state = judge.health(text(), replace(LIVE, updated=NOW - ago), NOW, None)
    page = pages.index(state, text()).decode()
    assert f"<strong>{said}" in page
    assert (state.silent_s > 0) == (ago > 15)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "about 3 min 05 s left"),
        ({"left_complete": False}, "at least 3 min 05 s left"),
        ({"left_s": None}, "time left unknown"),
        ({"levels": ((8, 8), (1, 1))}, "Finishing"),
    ],
)
def test_the_page_says_how_long_it_takes(changes: dict[str, Any], words: str) -> None:
    state = judge.health(text(), replace(LIVE, **changes), NOW, None)
    assert words in re.sub("<[^>]*>", "", pages.index(state, text()).decode())


@pytest.mark.parametrize(
    ("content", "css", "words"),
    [
        (None, "idle", "No run yet"),
        (text(), "ok", "No run is under way: the last one ended well"),
        (text(1), "bad", "No run is under way: the last run failed (exit status 1)"),
        (text(130), "bad", "No run is under way: the last run was stopped"),
        (text(0, NOW - 9999), "bad", "No run is under way: the last run ended 9999 s ago"),
    ],
)
def test_the_page_says_that_no_run_is_under_way(
    content: bytes | None, css: str, words: str
) -> None:
    page = pages.index(judge.health(content, None, NOW, 100.0), content).decode()
    assert words in page
    assert f'class="state {css}"' in page
    assert "Workers" not in page


def test_the_page_shows_what_is_known_and_escapes_it(server: StatusServer) -> None:
    status, headers, body = ask(server, "/")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = body.decode()
    assert "2027-01-15" in page
    for kind, tag in (("script", "script"), ("style", "style")):
        (own,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "Workers" not in page
    state = judge.health(text(), LIVE, NOW, None)
    page = pages.index(state, text()).decode()
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script") == 1
    assert not re.findall("<[biu]>", page)
    assert "3 of 8" in page
    assert "leaf 4 (attempt 2)</td><td>1 min 05 s" in page
    assert "Last error: leaf 4: &lt;i&gt;no" in page
    assert not re.findall(r"(?:src|href)=.https?:", page), "nothing from elsewhere"
    assert set(re.findall(r'href="([^"]*)"', page)) == {
        "metrics",
        "health",
        "status.json",
        "data:,",
    }


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("/metrics/", "/metric", "/Metrics", "/favicon.ico", "/../runner.prom", "/health/../x"),
        *(
            "/runner.prom",
            "/etc/passwd",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/metrics%00",
            "//etc/passwd",
        ),
    ],
)
def test_there_is_nothing_else(server: StatusServer, path: str) -> None:
    status, _, body = ask(server, path)
    assert status == 404
    assert body == b"not found; there are /, /metrics, /health and /status.json\n", (
        "nothing is echoed"
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_nothing_can_be_changed(server: StatusServer, textfile: Path, method: str) -> None:
    status, headers, _ = ask(server, "/metrics", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert textfile.read_bytes() == text()


@pytest.mark.parametrize("path", ["/", "/metrics", "/health", "/status.json", "/nothing"])
def test_head_is_get_without_the_body(server: StatusServer, path: str) -> None:
    status, headers, body = ask(server, path, "HEAD")
    full = ask(server, path)
    assert (status, headers["Content-Length"]) == (full[0], str(len(full[2])))
    assert body == b""


def test_the_server_says_little_of_itself(server: StatusServer) -> None:
    assert ask(server, "/")[1]["Server"] == "zk-batch-runner"


# -- clients that are slow, many or broken ----------------------------------------------------


def connect(server: StatusServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=10)


def drip(client: socket.socket) -> None:
    for _ in range(100):  # each byte comes well within the time limit of one read
        client.sendall(b"a")
        time.sleep(0.05)


def test_silent_and_dripping_clients_are_cut_off(impatient: StatusServer) -> None:
    silent, dripping = connect(impatient), connect(impatient)
    begin = time.monotonic()
    with silent, dripping:
        dripping.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert ask(impatient, "/metrics")[0] == 200, "others do not wait for them"
        assert time.monotonic() - begin < 0.4
        with pytest.raises(OSError):  # noqa: PT011  # reset or broken pipe
            drip(dripping)
        assert silent.recv(1) == b""
        assert time.monotonic() - begin < 3


def test_too_many_clients_cost_no_threads(impatient: StatusServer) -> None:
    before = threading.active_count()
    clients = [connect(impatient) for _ in range(40)]
    try:
        assert clients[-1].recv(1) == b"", "turned away at once"
        assert threading.active_count() <= before + 3
    finally:
        for client in clients:
            client.close()
    eventually(lambda: not impatient._clients)
    assert ask(impatient, "/health")[0] == 200


def test_clients_that_go_away_or_talk_nonsense(
    impatient: StatusServer, capfd: pytest.CaptureFixture[str]
) -> None:
    for nonsense in (
        b"\0\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"A" * 70000,
        b"",
    ):
        with connect(impatient) as client:
            client.sendall(nonsense)
    with connect(impatient) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    eventually(lambda: not impatient._clients)
    assert ask(impatient, "/metrics")[0] == 200
    assert "Traceback" not in capfd.readouterr().err


# -- the command line -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "65536"], "--port = '65536': not a port"),
        (["--port", "-1"], "not a port"),
        (["--port", "http"], "not a port"),
        (["--host", "192.0.2.1"], "Cannot assign requested address"),
        (["--host", "no such host"], "--host"),
        (["--stale-after", "0"], "--stale-after = '0': not a time"),
        (["--stale-after", "nan"], "not a time"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["--textfile", "x.prom", "--port", "0", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_a_port_in_use_is_one_line(server: StatusServer, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--textfile", "x.prom", "--port", str(server.server_port)]) == 2
    assert "Address already in use" in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(textfile: Path, number: int) -> None:
    command = [sys.executable, "-m", "runner.server", "--textfile", str(textfile), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        port = int(line.rstrip("/\n").rpartition(":")[2])
        listening = Path(f"/proc/{process.pid}/net/tcp").read_text()
        assert f" 0100007F:{port:04X} 00000000:0000 0A" in listening, "on loopback only"
        with closing(http.client.HTTPConnection("127.0.0.1", port, 10)) as client:
            client.request("GET", "/health")
            assert client.getresponse().status == 200
        with socket.create_connection(
            ("127.0.0.1", port)
        ):  # a silent client does not hold up the end
            os.kill(process.pid, number)
            assert process.wait(timeout=5) == 0
        assert process.stderr.read() == ""


def test_the_page_shows_the_last_runs_newest_first_and_escapes_them(textfile: Path) -> None:
    ledger = Ledger(ledger_path(textfile), textfile)
    for number, status in enumerate((0, 1)):
        recorder = Recorder()
        recorder.set(LAST_RUN_COMPLETION_TIMESTAMP_SECONDS, NOW)
        recorder.set(LAST_RUN_EXIT_STATUS, status)
        recorder.set(LAST_RUN_LEAVES, 1000 + number)
        ledger.record(f"<i>{number}", recorder)
    page = Site(textfile).respond("/").body.decode()
    assert "<i>" not in page
    assert page.index("&lt;i&gt;1") < page.index("&lt;i&gt;0")
    assert page.index("exit status 1</span></td><td>1,001") < page.index("ok</span></td><td>1,000")


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_the_page_does_without_a_ledger(content: bytes | None, textfile: Path) -> None:
    if content is not None:
        ledger_path(textfile).write_bytes(content)
    page = Site(textfile).respond("/").body.decode()
    assert "Last runs" not in page
    assert "Last run that ended<" in page
