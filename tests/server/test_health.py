"""``/health``: the textfile and the live figures, judged."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runner.events import JobFinished
from runner.metrics import Recorder
from runner.monitoring.live import LiveFigures, live_path, read_live
from runner.server import exposition, pages
from runner.server import health as judge
from tests.fakes.jobs import outcome_of
from tests.monitoring.runs import eventually, job, live_file, new_tally
from tests.server.serving import LIVE, NOW, ask, text

if TYPE_CHECKING:
    from pathlib import Path

    from runner.server.http import StatusServer


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


def test_a_killed_run_is_reported_everywhere(server: StatusServer, textfile: Path) -> None:
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
def test_a_silent_run_is_called_silent(ago: float, said: str) -> None:
    state = judge.health(text(), replace(LIVE, updated=NOW - ago), NOW, None)
    page = pages.index(state, text()).decode()
    assert f"<strong>{said}" in page
    assert (state.silent_s > 0) == (ago > 15)
