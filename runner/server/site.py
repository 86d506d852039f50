"""The pages of the monitoring server, as answers to paths; no sockets here."""

from __future__ import annotations

import gzip
import json
import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from runner.errors import LedgerCorruptError, LedgerNewerError
from runner.monitoring.ledger import Ledger, beside
from runner.monitoring.live import look
from runner.server import exposition, pages
from runner.server.health import health

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.monitoring.ledger_file import Glance

__all__ = ["Answer", "Site", "plain"]

_MOST_BYTES = 16 * 2**20
"""More than any textfile has; a path given by mistake must not fill the memory."""


class Answer:
    """What goes out: status, headers and body."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: HTTPStatus, kind: str, body: bytes, **headers: str) -> None:
        self.status = status
        self.body = body
        self.headers = {
            "Content-Type": kind,
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": pages.POLICY,
            "Referrer-Policy": "no-referrer",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }


class Site:
    """The four pages.

    Args:
        textfile: what they show.
        stale_after: seconds; see :func:`runner.server.health.health`.
        clock: Unix time.
        ledger: for the last runs; None: beside the textfile.
    """

    def __init__(
        self,
        textfile: Path,
        stale_after: float | None = None,
        clock: Callable[[], float] = time.time,
        ledger: Path | None = None,
    ) -> None:
        self._textfile = textfile
        self._ledger = Ledger(ledger or beside(textfile))
        self._stale_after = stale_after
        self._clock = clock

    def answer(self, path: str, accept: str = "", accept_encoding: str = "") -> Answer:
        """To a GET."""
        path = path.partition("?")[0].partition("#")[0]
        if path == "/metrics":
            return self._metrics(accept, accept_encoding)
        if path not in {"/", "/health", "/status.json"}:
            there = "not found; there are /, /metrics, /health and /status.json"
            return plain(HTTPStatus.NOT_FOUND, there)
        live, alive = look(self._textfile)
        text, problem = self._read()
        state = health(text, live, self._clock(), self._stale_after, problem, alive=alive)
        if path == "/":
            page = pages.index(state, text, self._recent())
            return Answer(HTTPStatus.OK, "text/html; charset=utf-8", page)
        judged = path == "/health"  # the other one only tells
        status = HTTPStatus.OK if state.ok or not judged else HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps(state.to_json(), indent=1).encode() + b"\n"
        return Answer(status, "application/json", body)

    def _metrics(self, accept: str, accept_encoding: str) -> Answer:
        live, alive = look(self._textfile)
        text, problem = self._read()
        if problem:  # an empty answer would look like a counter that has gone
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, problem)
        kind, body = (
            exposition.negotiate(accept),
            exposition.metrics(text or b"", live if alive else None),
        )
        if kind == exposition.OPENMETRICS:
            try:
                body = exposition.openmetrics(body)
            except ValueError:
                kind = exposition.TEXT  # the scraper's own message about it is better than ours
        headers = {"Vary": "Accept, Accept-Encoding"}
        if _takes_gzip(accept_encoding):
            body = gzip.compress(body, 6, mtime=0)
            headers["Content_Encoding"] = "gzip"
        return Answer(HTTPStatus.OK, kind, body, **headers)

    def _recent(self) -> tuple[Glance, ...]:
        try:
            return self._ledger.recent()
        except (OSError, LedgerCorruptError, LedgerNewerError):
            return ()  # the page has the last run all the same

    def _read(self) -> tuple[bytes | None, str]:
        """The textfile, and why it cannot be read."""
        try:
            with self._textfile.open("rb") as file:
                text = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"the textfile cannot be read: {error.strerror}"
        if len(text) > _MOST_BYTES:
            return None, "the textfile is too large to be one"
        return text, ""


def plain(status: HTTPStatus, line: str, **headers: str) -> Answer:
    """One line of text."""
    return Answer(status, "text/plain; charset=utf-8", f"{line}\n".encode(), **headers)


def _takes_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        name, *parameters = (piece.strip().replace(" ", "") for piece in part.split(";"))
        if name == "gzip":
            return not any(re.fullmatch(r"q=0(\.0*)?", piece) for piece in parameters)
    return False
