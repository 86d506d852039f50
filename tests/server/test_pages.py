"""``/``: the page for people shows what is known, and escapes it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from runner.metric_table import (
    L1_BATCHES,
    L1_LAST_LOOK_TIMESTAMP_SECONDS,
    LAST_RUN_COMPLETION_TIMESTAMP_SECONDS,
    LAST_RUN_EXIT_STATUS,
    LAST_RUN_LEAVES,
)
from runner.metrics import Recorder
from runner.monitoring.ledger import Ledger, ledger_path
from runner.server import health as judge
from runner.server import pages
from runner.server.site import Site
from tests.server.serving import LIVE, NOW, ask, text

if TYPE_CHECKING:
    from pathlib import Path

    from runner.server.http import StatusServer


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
    assert "Machines" in page
    assert "&lt;s&gt;a" in page
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


def test_the_page_shows_the_batches_on_an_l1_where_there_were_any() -> None:
    found = Recorder()
    found.set(LAST_RUN_COMPLETION_TIMESTAMP_SECONDS, NOW - 60)
    found.set(L1_BATCHES, 3, state="confirmed")
    found.set(L1_BATCHES, 1, state="sent")
    found.set(L1_BATCHES, 0, state="reverted")

    def page() -> str:
        content = found.render()
        return pages.index(judge.health(content, None, NOW, None), content).decode()

    assert "Batches on the L1" not in page()
    found.set(L1_LAST_LOOK_TIMESTAMP_SECONDS, NOW - 30)
    table = page().partition("Batches on the L1")[2]
    assert '<th scope="row">confirmed</th><td>3</td>' in table
    assert '<th scope="row">sent</th><td>1</td>' in table
    assert "reverted" not in table
