"""HTTP servers that answer what a test tells them, in place of a node."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextlib.contextmanager
def fake_node(
    answer: Callable[[dict[str, Any]], tuple[int, bytes]], header: tuple[str, str] | None = None
) -> Iterator[str]:
    """A server on loopback; the value is its address.

    Args:
        answer: what makes of a request its status and its body.
        header: a header that every answer has.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers["Content-Length"])
            status, body = answer(json.loads(self.rfile.read(size)))
            self.send_response(status)
            if header is not None:
                self.send_header(*header)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def result(asked: dict[str, Any], value: object) -> tuple[int, bytes]:
    """A good answer."""
    return 200, json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": value}).encode()
