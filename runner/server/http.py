"""The HTTP server: it serves a site, and limits the time and threads that clients can take."""

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

from runner.server.site import Response, Site, plain

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StatusServer"]

log = logging.getLogger(__name__)


class _Handler(BaseHTTPRequestHandler):
    """Responds to one request, and closes the connection after it."""

    server: StatusServer

    def setup(self) -> None:
        # This limits one read or write; the server limits the whole connection.
        self.request.settimeout(self.server.patience_s)
        super().setup()

    def do_GET(self) -> None:
        self._send(self._response())

    def do_HEAD(self) -> None:
        self._send(self._response(), with_body=False)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """The handler of any other HTTP method, which is refused."""
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def _refuse(self) -> None:
        text = "read only: GET and HEAD"
        self._send(plain(HTTPStatus.METHOD_NOT_ALLOWED, text, Allow="GET, HEAD"))

    def _response(self) -> Response:
        try:
            return self.server.site.respond(
                self.path,
                ",".join(self.headers.get_all("Accept", [])),
                ",".join(self.headers.get_all("Accept-Encoding", [])),
            )
        except Exception:
            log.exception("GET %s", self.path)
            return plain(HTTPStatus.INTERNAL_SERVER_ERROR, "a bug; the server's log has it")

    def _send(self, response: Response, *, with_body: bool = True) -> None:
        self.close_connection = True
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if with_body:
            self.wfile.write(response.body)

    def version_string(self) -> str:
        return "zk-batch-runner"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
        log.debug("%s %s", self.client_address[0], format % args)


class StatusServer(ThreadingHTTPServer):
    """Serves a site. Each client has a thread of its own, for a limited time.

    Args:
        address: the host and the port to listen on; port 0 takes a free one.
        site: the site that is served.
        most_clients: the most clients that are served at a time; more are turned away, so that
            they cost no thread.
        patience_s: the seconds that one client may take, however slowly it reads or writes.

    Raises:
        OSError: the server cannot listen on the address.
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
        """Bind like the base class, but without a look-up of this host in the name service."""
        socketserver.TCPServer.server_bind(self)
        self.server_name = "zk-batch-runner"
        self.server_port = int(self.server_address[1])

    def process_request(self, request: Any, client_address: object) -> None:  # noqa: ANN401
        """Start a thread for a client, unless there are too many clients."""
        with self._lock:
            full = len(self._clients) >= self._most_clients
            if not full:
                self._clients[request] = time.monotonic()
        if full:
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401  # as in the base class
        """Close the connection of a client that is done."""
        with self._lock:
            self._clients.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """End the connections that take too long; the base class calls this twice a second."""
        limit = time.monotonic() - self.patience_s
        with self._lock:
            slow = [client for client, since in self._clients.items() if since < limit]
        for client in slow:
            with suppress(OSError):  # The client's thread then sees the end of the connection.
                client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002
        """Log a client that went away or took too long, which is no error of the server."""
        log.debug("client %s: %s", client_address, sys.exception())
