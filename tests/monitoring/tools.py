"""Helpers for tests of the real monitoring tools: batches to watch, and what the tools show."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from runner.files import SHIPPED
from tests.threads import serving

sys.path.insert(0, str(SHIPPED / "scripts"))

import stack as tools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["Prometheus", "batch", "expressions", "get", "receiver", "require", "tools"]


def require() -> None:
    """Skip the test where the tools are neither installed nor can be."""
    left = tools.install(os.environ)
    if left:
        pytest.skip(f"not installed here: {', '.join(left)}; see docs/monitoring.md")


def batch(
    folder: Path, *arguments: str, umask: int = -1, expect: int = 0, **environment: str
) -> dict[str, Any]:
    """Run a batch of the sha256 guest in execute mode. Returns its record."""
    folder.mkdir(parents=True, exist_ok=True)
    output = folder / f"batch{len(list(folder.glob('batch*')))}"
    command = [
        *(sys.executable, "-m", "runner", "prover=execute", "guest=sha256", "progress=none"),
        *("log_level=error", "executor.workers=2", f"output={output}", *arguments),
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "RUNNER_PROOFS": str(folder / "proofs"), **environment},
        umask=umask,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == expect, done.stderr
    record: dict[str, Any] = json.loads((output / "result.json").read_text())
    return record


def get(url: str) -> str:
    """The body of the answer, whatever its status is."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return error.read().decode()


class Prometheus:
    """A client of Prometheus' HTTP API.

    Args:
        url: The address of Prometheus.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def api(self, path: str, **parameters: str) -> Any:  # noqa: ANN401  # JSON
        """The data of an answer. The test fails if Prometheus reports an error."""
        query = urllib.parse.urlencode(parameters)
        answer = json.loads(get(f"{self._url}/api/v1/{path}?{query}"))
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def query(self, expression: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of every result of an expression."""
        time_of = {} if at is None else {"time": f"{at:.3f}"}
        data = self.api("query", query=expression, **time_of)
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def value(self, expression: str, at: float | None = None) -> float | None:
        """The value of an expression that has one result; None when it has none."""
        found = self.query(expression, at)
        assert len(found) <= 1, f"{expression}: {found}"
        return found[0][1] if found else None

    def wait(
        self,
        expression: str,
        wanted: float | Callable[[float | None], bool],
        seconds: float = 20.0,
    ) -> float:
        """Wait until an expression has a value. Returns the seconds that this took."""
        begin = time.monotonic()
        while True:
            found = self.value(expression)
            if wanted(found) if callable(wanted) else found == wanted:
                return time.monotonic() - begin
            assert time.monotonic() - begin < seconds, f"{expression} is {found}, not {wanted}"
            time.sleep(0.1)


@contextmanager
def receiver(port: int) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Run a server that keeps the path and the content of what Alertmanager sends."""
    got: list[tuple[str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            got.append((self.path, json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(ThreadingHTTPServer(("127.0.0.1", port), Handler)):
        yield got


def expressions(dashboard: object) -> Iterator[str]:
    """All queries of a Grafana dashboard, with values for its variables."""
    if isinstance(dashboard, dict):
        for key, value in dashboard.items():
            if key == "expr":
                yield _filled(value)
            else:
                yield from expressions(value)
    elif isinstance(dashboard, list):
        for one in dashboard:
            yield from expressions(one)


def _filled(expression: str) -> str:
    for name, value in {
        "$__rate_interval": "1m",
        "$__range": "5m",
        "$__interval": "15s",
        "$job": ".*",
        "$instance": ".*",
    }.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, f"a variable this test does not know: {expression}"
    return expression
