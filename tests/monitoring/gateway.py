"""A Pushgateway in this process, which answers as a test wants."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.threads import serving

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class FakeGateway:
    """A gateway in this process.

    Attributes:
        url: The address of the gateway.
        status: The status that it answers with.
        body: The body that it answers with.
        headers: The headers that it answers with.
        wait_s: The seconds that it waits before its answer, and between the bytes of it.
        requests: The requests so far: method, path, content type and body of each.
    """

    url: str = ""
    status: int = 202
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    wait_s: float = 0
    raw: bytes | None = None
    requests: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)


@contextmanager
def fake_gateway() -> Iterator[FakeGateway]:
    fake = FakeGateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = self.headers.get("Content-Type") or ""
            fake.requests.append((self.command, self.path, kind, body))
            if fake.raw is not None:
                for byte in fake.raw:
                    if fake.gone.wait(fake.wait_s):
                        return
                    self.wfile.write(bytes([byte]))
                return
            if fake.gone.wait(fake.wait_s):
                return
            self.send_response(fake.status)
            for name, value in fake.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(fake.body)

        do_GET = do_PUT = do_POST  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up
    fake.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        try:
            yield fake
        finally:
            fake.gone.set()
