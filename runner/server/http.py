"""Answers requests for the figures of a textfile, read only."""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from runner.server.site import Answer, Site, plain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MonitoringServer", "log"]


log = logging.getLogger(__name__)


class _Handler(BaseHTTPRequestHandler):
    """One request; the connection is closed after it."""

    server: MonitoringServer

    def setup(self) -> None:
        self.request.settimeout(self.server.patience_s)  # of one read or write
        super().setup()

    def do_GET(self) -> None:
        self._send(self._answer())

    def do_HEAD(self) -> None:
        self._send(self._answer(), with_body=False)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every other method that a client may name."""
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def _refuse(self) -> None:
        text = "read only: GET and HEAD"
        self._send(plain(HTTPStatus.METHOD_NOT_ALLOWED, text, Allow="GET, HEAD"))

    def _answer(self) -> Answer:
        try:
            return self.server.site.answer(
                self.path,
                ",".join(self.headers.get_all("Accept", [])),
                ",".join(self.headers.get_all("Accept-Encoding", [])),
            )
        except Exception:
            log.exception("GET %s", self.path)
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug; the server's log has it")

    def _send(self, answer: Answer, *, with_body: bool = True) -> None:
        self.close_connection = True
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if with_body:
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        return "zk-batch-runner"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name there
        log.debug("%s %s", self.client_address[0], format % args)


class MonitoringServer(ThreadingHTTPServer):
    """Serves a site, each client in a thread of its own, for a limited time.

    Args:
        address: host and port; port 0 takes a free one.
        site: what is served.
        most_clients: at a time; more are turned away, so that they cost no thread.
        patience_s: seconds one client may take, however slowly it reads or writes.

    Raises:
        OSError: the address cannot be listened on.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self,
        address: tuple[str, int],
        site: Site,
        *,
        most_clients: int = 64,
        patience_s: float = 10.0,
    ) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self._most_clients = most_clients
        self.site = site
        self.patience_s = patience_s
        self._clients: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Like the base class's, without asking the name service who we are."""
        socketserver.TCPServer.server_bind(self)
        self.server_name = "zk-batch-runner"
        self.server_port = int(self.server_address[1])

    def process_request(self, request: Any, client_address: object) -> None:  # noqa: ANN401
        """Start a thread for a client, unless there are too many."""
        with self._lock:
            full = len(self._clients) >= self._most_clients
            if not full:
                self._clients[request] = time.monotonic()
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  # a socket; as over there
        """A client is done."""
        with self._lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Called twice a second: ends what takes too long."""
        limit = time.monotonic() - self.patience_s
        with self._lock:
            slow = [client for client, since in self._clients.items() if since < limit]
        for client in slow:
            with suppress(OSError):  # its thread then sees the end of the connection
                client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Clients that go away or take too long are no error of ours."""
        log.debug("client %s: %s", client_address, sys.exception())
