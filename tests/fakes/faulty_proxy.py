"""A proxy before a real HTTP server, which does to its answers what networks and disks do."""

from __future__ import annotations

import functools
import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["FaultyProxy"]

_HOP = {"connection", "transfer-encoding", "keep-alive", "date", "server"}


class FaultyProxy:
    """Passes requests on to a server on loopback, and spoils what a test wants spoiled.

    Args:
        port: The port of the server.

    Attributes:
        faults: What happens to the next requests, first the first: ``slow`` (no answer for a
            minute), ``error`` (500), ``cut`` (the connection ends within the body), ``wrong`` (a
            byte of the body is another), ``full`` (507 for what writes), ``ok``. Where the list has
            ended, ``always`` counts.
        always: What happens to all further requests.
        requests: The requests, as method and path.
    """

    def __init__(self, port: int) -> None:
        self.faults: list[str] = []
        self.always = "ok"
        self.requests: list[str] = []
        self.bytes = 0
        self._gone = threading.Event()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __getattr__(self, name: str) -> Callable[[], None]:
                """What answers a request of any method: it is looked up as ``do_GET``."""
                if not name.startswith("do_"):
                    raise AttributeError(name)
                return functools.partial(proxy._handle, self, port)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        # Its end is noticed within that many seconds.
        often = (0.01,)
        self._thread = threading.Thread(target=self._server.serve_forever, args=often, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> FaultyProxy:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gone.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handle(self, request: BaseHTTPRequestHandler, port: int) -> None:
        size = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(size)
        self.requests.append(f"{request.command} {request.path}")
        fault = self.faults.pop(0) if self.faults else self.always
        if fault == "slow":
            self._gone.wait(60)
            request.close_connection = True
            return
        if fault in ("error", "full") and (fault == "error" or request.command == "PUT"):
            _answer(request, 500 if fault == "error" else 507, [], b"")
            return
        upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP}
            upstream.request(request.command, request.path, body=body, headers=headers)
            response = upstream.getresponse()
            content = response.read()
            status, fields = response.status, response.getheaders()
        finally:
            upstream.close()
        self.bytes += len(content) + len(body)
        if fault == "wrong" and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        _answer(request, status, fields, content, cut=fault == "cut")


def _answer(
    request: BaseHTTPRequestHandler,
    status: int,
    fields: list[tuple[str, str]],
    content: bytes,
    *,
    cut: bool = False,
) -> None:
    request.send_response_only(status)
    sized = False
    for name, value in fields:
        if name.lower() not in _HOP:
            request.send_header(name, value)
            sized = sized or name.lower() == "content-length"
    if not sized:
        request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content[: len(content) // 2] if cut else content)
    if cut:
        request.wfile.flush()
        time.sleep(0)
        request.close_connection = True
