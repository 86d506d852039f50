"""A real browser for tests of the status page: Debian's Chromium, driven by Selenium."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.monitoring.tools import tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Browser", "chromium"]

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1280,800"),
)


class Browser:
    """One window of the browser.

    Args:
        driver: The driver of the window.
    """

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver

    def open(self, url: str) -> None:
        """Go to a page."""
        self._driver.get(url)

    def run(self, script: str) -> Any:  # noqa: ANN401  # JSON
        """The value of an expression in the page."""
        return self._driver.execute_script(f"return {script}")

    def text(self, selector: str = "main") -> str:
        """The text of the first such element that a person sees; empty if there is none."""
        found: str = self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")
        return found

    def wait(self, check: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait until a condition holds, or fail with what the page shows."""
        from selenium.common.exceptions import TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        try:
            WebDriverWait(self._driver, seconds, 0.05).until(lambda _: check())
        except TimeoutException:
            pytest.fail(f"never came true; the page says: {self.text('body')}")

    def wait_for(self, words: str, selector: str = "main") -> None:
        """Wait until the words are in an element's text."""
        self.wait(lambda: words in self.text(selector))

    def devtools(self, command: str, **arguments: object) -> Any:  # noqa: ANN401  # JSON
        """Run a command of the Chrome DevTools Protocol."""
        return self._driver.execute_cdp_cmd(command, arguments)

    def prefers(self, scheme: str, media: str = "") -> None:
        """Let the page be light or dark, on a screen or with ``media="print"`` on paper."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", media=media, features=features)

    def resize(self, width: int, height: int) -> None:
        """Give the page another size."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def complaints(self) -> list[str]:
        """The errors and warnings on the console since the last call."""
        return [entry["message"] for entry in self._driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last call, also those without an answer."""
        events = [json.loads(e["message"])["message"] for e in self._driver.get_log("performance")]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def chromium(profile: Path) -> Iterator[Browser]:
    """Start a new headless browser. The test is skipped where none is or can be installed.

    Args:
        profile: An empty folder for the browser's profile.
    """
    left = tools.install(os.environ, tools.BROWSER)
    if left:
        pytest.skip(f"not installed here: {', '.join(left)}; see docs/monitoring.md")
    options = webdriver.ChromeOptions()
    options.binary_location = tools.find("chromium") or ""
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(tools.find("chromedriver")))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
