"""The response of the status server to each path, without sockets."""

from __future__ import annotations

import gzip
import json
import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from runner.errors import LedgerCorruptError, LedgerNewerError
from runner.monitoring.ledger import Ledger, ledger_path
from runner.monitoring.live import read_last
from runner.server import exposition, pages
from runner.server.health import health
from runner.untrusted import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.monitoring.ledger_file import RecentRun

__all__ = ["Response", "Site", "plain"]

_MOST_BYTES = 16 * 2**20
"""The most bytes that are read: a path given by mistake must not fill the memory."""


class Response:
    """An HTTP response.

    Args:
        status: the status code.
        kind: the content type.
        body: the body.
        headers: further headers, with underscores in their names instead of hyphens.
    """

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
    """The paths that the server knows, and the response to each.

    Args:
        textfile: the textfile whose figures are shown.
        stale_after: the seconds after which the last run is too old; see
            :func:`runner.server.health.health`.
        clock: a function that returns the Unix time.
        ledger: the ledger, which names the last runs; None means the one beside the textfile.
    """

    def __init__(
        self,
        textfile: Path,
        stale_after: float | None = None,
        clock: Callable[[], float] = time.time,
        ledger: Path | None = None,
    ) -> None:
        self._textfile = textfile
        self._ledger = ledger
        self._stale_after = stale_after
        self._clock = clock

    def respond(self, path: str, accept: str = "", accept_encoding: str = "") -> Response:
        """The response to a GET request.

        Args:
            path: the path of the request, with its query.
            accept: the request's ``Accept`` header.
            accept_encoding: the request's ``Accept-Encoding`` header.
        """
        path = path.partition("?")[0].partition("#")[0]
        if path == "/metrics":
            return self._metrics(accept, accept_encoding)
        if path not in {"/", "/health", "/status.json"}:
            there = "not found; there are /, /metrics, /health and /status.json"
            return plain(HTTPStatus.NOT_FOUND, there)
        live, alive = read_last(self._textfile)
        text, problem = self._read()
        state = health(text, live, self._clock(), self._stale_after, problem, alive=alive)
        if path == "/":
            page = pages.index(state, text, self._recent())
            return Response(HTTPStatus.OK, "text/html; charset=utf-8", page)
        judged = path == "/health"  # The status of /status.json is 200 whatever it says.
        status = HTTPStatus.OK if state.ok or not judged else HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps(state.to_json(), indent=1).encode() + b"\n"
        return Response(status, "application/json", body)

    def _metrics(self, accept: str, accept_encoding: str) -> Response:
        live, alive = read_last(self._textfile)
        text, problem = self._read()
        if problem:  # An empty response would look as if the counters had disappeared.
            return plain(HTTPStatus.SERVICE_UNAVAILABLE, problem)
        kind, body = (
            exposition.negotiate(accept),
            exposition.metrics(text or b"", live if alive else None),
        )
        if kind == exposition.OPENMETRICS:
            try:
                body = exposition.openmetrics(body)
            except ValueError:
                kind = exposition.TEXT  # The scraper itself says best what is wrong with the text.
        headers = {"Vary": "Accept, Accept-Encoding"}
        if _takes_gzip(accept_encoding):
            body = gzip.compress(body, 6, mtime=0)
            headers["Content_Encoding"] = "gzip"
        return Response(HTTPStatus.OK, kind, body, **headers)

    def _recent(self) -> tuple[RecentRun, ...]:
        try:
            # A textfile may become a link while the server runs, and its ledger is another then.
            return Ledger(self._ledger or ledger_path(self._textfile)).recent()
        except (OSError, LedgerCorruptError, LedgerNewerError):
            return ()  # The page still shows the last run, which the textfile has.

    def _read(self) -> tuple[bytes | None, str]:
        """Read the textfile.

        Returns:
            The content, or None if there is none; and why it cannot be read, or an empty text.
        """
        try:
            with open_regular(self._textfile, follow=True) as file:
                text = file.read(_MOST_BYTES + 1)
        except FileNotFoundError:
            return None, ""
        except OSError as error:
            return None, f"the textfile cannot be read: {error.strerror}"
        if len(text) > _MOST_BYTES:
            return None, "the textfile is too large to be one"
        return text, ""


def plain(status: HTTPStatus, line: str, **headers: str) -> Response:
    """A response that is one line of plain text.

    Args:
        status: the status code.
        line: the line, without a newline.
        headers: further headers, with underscores in their names instead of hyphens.
    """
    return Response(status, "text/plain; charset=utf-8", f"{line}\n".encode(), **headers)


def _takes_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        name, *parameters = (piece.strip().replace(" ", "") for piece in part.split(";"))
        if name == "gzip":
            return not any(re.fullmatch(r"q=0(\.0*)?", piece) for piece in parameters)
    return False
