"""``python -m runner.server``: the figures of a textfile over HTTP, read only.

Serves ``/`` for people, ``/metrics`` for Prometheus and ``/health`` for a load balancer or a
check. The paths are fixed and lead to nothing else on the disk.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import math
import signal
import socket
import socketserver
import sys
import threading
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.site import Answer, Site, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["MonitoringServer", "main"]

log = logging.getLogger(__name__)

DEFAULT_PORT = 9464


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


# -- command line -------------------------------------------------------------------------------


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise InputError("--port", text, "not a port", "give a number from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds <= 0:
        raise InputError("--stale-after", text, "not a time", "give seconds, e.g. 7200")
    return seconds


def _listen(host: str, port: int, site: Site) -> MonitoringServer:
    try:
        return MonitoringServer((host, port), site)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not a host name"
        remedy = "choose another --port" if host == "127.0.0.1" else "choose another --host"
        raise InputError("--host, --port", f"{host}:{port}", reason, remedy) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m runner.server",
        description="Serve the figures of a metrics textfile over HTTP: / for people, /metrics for "
        "Prometheus, /health with 503 when the last run failed or is stale. Read only.",
    )
    parser.add_argument(
        "--textfile", type=Path, required=True, help="what metrics.textfile of the runs says"
    )
    parser.add_argument(
        "--ledger", type=Path, help="what metrics.ledger of the runs says, if they say it"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--port", default=str(DEFAULT_PORT), help=f"default: {DEFAULT_PORT}; 0: any"
    )
    parser.add_argument(
        "--stale-after",
        metavar="SECONDS",
        help="/health is 503 when no run has ended or begun for this long (default: never)",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        stale_after = None if options.stale_after is None else _seconds(options.stale_after)
        site = Site(options.textfile.absolute(), stale_after, ledger=options.ledger)
        server = _listen(options.host, _port(options.port), site)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    with server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # From another thread: shutdown() waits for the loop that this handler interrupts.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        host = f"[{options.host}]" if ":" in options.host else options.host
        sys.stdout.write(f"serving {options.textfile} on http://{host}:{server.server_port}/\n")
        sys.stdout.flush()
        if not _is_loopback(options.host):
            log.warning("everyone who can reach %s can read the figures", host)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
