"""The status page as a person sees it, in a real browser and with batches of the fake prover."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from runner.server.http import StatusServer
from runner.server.site import Site
from tests.builders import stdin
from tests.server.batches import Batches
from tests.server.browser import Browser, chromium
from tests.threads import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.behaviours import Behaviours


pytestmark = pytest.mark.browser


HOSTILE = "<img src=//192.0.2.1/x onerror=hacked=1><script>hacked=1</script>"
"""A hostile name of a guest. Nobody has the address in it (RFC 5737)."""


@pytest.fixture(scope="module")
def one_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Browser) -> Browser:
    one_browser.prefers("light")
    one_browser.resize(1280, 800)
    one_browser.open("about:blank")
    one_browser.complaints()
    one_browser.requests()
    return one_browser


@pytest.fixture
def textfile(tmp_path: Path) -> Path:
    return tmp_path / "runner.prom"


@pytest.fixture
def server(textfile: Path) -> Iterator[StatusServer]:
    with serving(StatusServer(("127.0.0.1", 0), Site(textfile))) as server:
        yield server


def url(server: StatusServer) -> str:
    return f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture
def batches(tmp_path: Path, guests: Path, behaviours: Behaviours) -> Iterator[Batches]:
    made = Batches(tmp_path, guests)
    yield made
    made.end()


def levels(browser: Browser) -> dict[str, str]:
    """The texts beside the bars."""
    found: dict[str, str] = browser.run(
        "Object.fromEntries([...document.querySelectorAll('.levels label')]"
        ".map(l => [l.innerText, document.querySelector(`output[for=${l.htmlFor}]`).innerText]))"
    )
    return found


def figures(browser: Browser) -> dict[str, str]:
    found: dict[str, str] = browser.run(
        "Object.fromEntries([...document.querySelectorAll('.figures div')]"
        ".map(d => [d.children[0].innerText, d.children[1].innerText]))"
    )
    return found


def assert_clean(browser: Browser, server: StatusServer) -> None:
    """Check that the console is empty and that nothing but the server was asked for anything."""
    assert browser.complaints() == []
    asked = set(browser.requests())
    assert url(server) in asked
    assert asked <= {url(server), "data:,", "about:blank"}


def test_a_run_is_followed_from_before_its_start_to_its_end(
    browser: Browser, server: StatusServer, batches: Batches, behaviours: Behaviours
) -> None:
    behaviours.hold(stdin(2))
    behaviours.on("transient", stdin=stdin(4), times=1)
    browser.open(url(server))
    assert "No run yet" in browser.text("#state")
    browser.run("window.opened = 1")
    batch = batches.start()
    # Everything but leaf 2, the aggregation over it and the root can be made.
    wanted = {"leaves": "5 of 6", "level 1": "1 of 2", "level 2": "0 of 1"}
    browser.wait(lambda: levels(browser) == wanted)
    browser.wait(lambda: figures(browser)["workers busy"] == "1 of 2")
    shown = figures(browser)
    assert (shown["proofs made"], shown["retries"], shown["errors"]) == ("6", "1", "1")
    assert (shown["cache hits"], shown["jobs waiting"]) == ("0", "0")
    assert "Last error: leaf 4: told to fail for now" in browser.text()
    assert re.search(r"\d\tleaf 2\t\d", browser.text("table")), browser.text("table")
    assert "left" in browser.text("#state")
    assert browser.run("document.title").startswith("66 % (6/9)")
    seconds = figures(browser)["so far"]
    browser.wait(lambda: figures(browser)["so far"] != seconds)

    behaviours.release(stdin(2))
    browser.wait_for("No run is under way: the last one ended well", "#state")
    assert "6 leaves proved and verified" in browser.text("#state")
    assert browser.text("table").splitlines()[1] == "result\tok"
    assert batch.wait() == 0
    assert browser.run("window.opened") == 1, "without a reload"
    assert browser.run("document.querySelector('.levels')") is None
    assert_clean(browser, server)


def test_cached_proofs_and_failures_are_shown(
    browser: Browser, server: StatusServer, batches: Batches, behaviours: Behaviours
) -> None:
    assert batches.start("guest.count=4").wait() == 0
    browser.open(url(server))
    behaviours.hold(stdin(5))
    behaviours.on("fail", stdin=stdin(4))
    batch = batches.start("executor.on_failure=continue")
    browser.wait(lambda: figures(browser).get("cache hits") == "5")  # one of them is an aggregation
    browser.wait(lambda: figures(browser)["errors"] == "1")
    assert "leaf 4 failed after 1 attempt" in browser.text()
    behaviours.release(stdin(5))
    assert batch.wait() == 1
    browser.wait_for("No run is under way: the last run failed (exit status 1)", "#state")
    assert_clean(browser, server)


def test_a_killed_run_is_not_shown_as_running(
    browser: Browser, server: StatusServer, batches: Batches, behaviours: Behaviours
) -> None:
    behaviours.hold(stdin(0))
    browser.open(url(server))
    batch = batches.start()
    browser.wait(lambda: levels(browser).get("leaves") == "5 of 6")
    batch.kill()
    batch.wait()
    browser.wait_for("No run is under way: the last one was killed", "#state")
    assert "with 6 of 9 jobs done" in browser.text("#state")
    assert_clean(browser, server)
    behaviours.release(stdin(0))
    assert batches.start().wait() == 0
    browser.wait_for("the last one ended well", "#state")


def test_a_hostile_guest_name_is_only_text(
    browser: Browser,
    server: StatusServer,
    batches: Batches,
    behaviours: Behaviours,
    guests: Path,
) -> None:
    manifest = json.loads((guests / "manifest.json").read_text())
    manifest["guests"][HOSTILE] = manifest["guests"]["sha256"]
    (guests / "manifest.json").write_text(json.dumps(manifest))
    behaviours.hold(stdin(0))
    browser.open(url(server))
    batches.start(f"guest.name={json.dumps(HOSTILE)}")
    browser.wait_for(f"6 leaves of {HOSTILE}", "h2")
    assert browser.run("document.images.length") == 0
    assert browser.run("document.scripts.length") == 1
    assert browser.run("window.hacked ?? null") is None
    for width in (1280, 400):
        browser.resize(width, 800)
        assert browser.run("document.documentElement.scrollWidth") <= width
    assert_clean(browser, server)


def test_what_the_policy_forbids_does_not_happen(browser: Browser, server: StatusServer) -> None:
    """The policy is a second defence, should something slip through the escaping one day."""
    browser.open(url(server))
    browser.run(
        "(() => { const s = document.createElement('script'); s.text = 'hacked = 1';"
        " document.body.append(s);"
        " document.body.insertAdjacentHTML('beforeend', '<img src=\"//192.0.2.1/x\">'); })()"
    )
    assert browser.run("window.hacked ?? null") is None
    browser.wait(lambda: any("Content Security Policy" in line for line in browser.complaints()))
    assert not any("192.0.2.1" in one and "blocked" in one for one in browser.complaints())


def test_the_page_shows_that_the_server_goes_and_comes_back(
    browser: Browser, textfile: Path
) -> None:
    lost = "!document.getElementById('lost').hidden"
    with serving(StatusServer(("127.0.0.1", 0), Site(textfile))) as server:
        browser.open(url(server))
        assert not browser.run(lost)
    browser.wait(lambda: browser.run(lost))
    assert "The server does not answer" in browser.text("#lost")
    with serving(StatusServer(("127.0.0.1", server.server_port), Site(textfile))):
        browser.wait(lambda: not browser.run(lost))


def luminance(color: str) -> float:
    """The relative luminance of a CSS colour (WCAG 2.2)."""
    channels = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


CONTRASTS = """[...document.querySelectorAll('main *')]
  .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) && e.offsetParent)
  .map(e => {
    let under = e;
    const paper = () => getComputedStyle(under).backgroundColor;
    while (paper() === 'rgba(0, 0, 0, 0)') under = under.parentElement;
    return [e.innerText, getComputedStyle(e).color, paper()];
  })"""


@pytest.mark.parametrize(("scheme", "media"), [("light", ""), ("dark", ""), ("dark", "print")])
def test_text_is_readable_in_light_in_dark_and_on_paper(
    *,
    scheme: str,
    media: str,
    browser: Browser,
    server: StatusServer,
    batches: Batches,
    behaviours: Behaviours,
) -> None:
    """The contrast is at least 4.5 (WCAG 2.2, level AA) during a run and after it has failed."""
    browser.prefers(scheme, media)
    behaviours.hold(stdin(0))
    behaviours.on("transient", stdin=stdin(4), times=1)
    batch = batches.start()
    browser.open(url(server))
    browser.wait_for("Last error")
    for _ in range(2):
        back = luminance(browser.run("getComputedStyle(document.body).backgroundColor"))
        assert back < 0.1 if (scheme, media) == ("dark", "") else back > 0.8
        seen = browser.run(CONTRASTS)
        assert len(seen) > 10
        for words, ink, paper in seen:
            pale, dim = sorted((luminance(ink), luminance(paper)), reverse=True)
            assert (pale + 0.05) / (dim + 0.05) >= 4.5, words
        if batch.poll() is None:
            batch.send_signal(2)
            batch.wait()
            browser.wait_for("the last run was stopped", "#state")


def test_bars_and_tables_have_names_for_screen_readers(
    browser: Browser, server: StatusServer, batches: Batches, behaviours: Behaviours
) -> None:
    behaviours.hold(stdin(0))
    batches.start()
    browser.open(url(server))
    browser.wait(lambda: levels(browser).get("leaves") == "5 of 6")
    nodes = browser.devtools("Accessibility.getFullAXTree")["nodes"]
    named = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"]
    }
    assert {("progressbar", name) for name in ("leaves", "level 1", "level 2")} <= named
    assert {("table", "Workers"), ("heading", "6 leaves of sha256")} <= named
    assert ("columnheader", "job") in named
    assert any(role == "status" for role, _ in named)


def test_without_scripts_the_page_loads_itself_again(
    browser: Browser, server: StatusServer
) -> None:
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(url(server))
        found = browser.devtools("DOM.getDocument", depth=-1)
        assert "'http-equiv', 'refresh', 'content', '5'" in str(found)
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    browser.open(url(server))
    assert browser.run("document.querySelector('noscript > meta')") is None
