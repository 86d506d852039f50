"""The command ``python -m runner.server``: serve the figures of a textfile over HTTP, read only.

The server has ``/`` for people, ``/metrics`` for Prometheus, ``/health`` for a load balancer or a
check, and ``/status.json``. The paths are fixed, and nothing else on the disk can be reached.
"""

from __future__ import annotations

import argparse
import ipaddress
import logging
import math
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.errors import InputError
from runner.server.http import StatusServer
from runner.server.site import Site

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

log = logging.getLogger(__name__)

DEFAULT_PORT = 9464


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


def _listen(host: str, port: int, site: Site) -> StatusServer:
    try:
        return StatusServer((host, port), site)
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
    """Serve until SIGTERM or Ctrl-C, and return the exit code."""
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
            # shutdown() waits for the loop that this handler interrupts, so it needs a thread.
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        host = f"[{options.host}]" if ":" in options.host else options.host
        sys.stdout.write(f"serving {options.textfile} on http://{host}:{server.server_port}/\n")
        sys.stdout.flush()
        if not _is_loopback(options.host):
            log.warning("everyone who can reach %s can read the figures", host)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    streams.run(main)
