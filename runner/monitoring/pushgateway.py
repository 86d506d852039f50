"""Pushes metrics to a Prometheus Pushgateway."""

from __future__ import annotations

import threading
import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Gateway", "push"]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Pushgateway, and the group that is pushed to.

    Attributes:
        url: http or https, up to where ``/metrics/job`` begins.
        job: of the group.
        grouping: its other labels, e.g. one that tells hosts apart.
        timeout_s: seconds a push may take.
    """

    url: str
    job: str = "runner"
    grouping: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 5.0


def push(gateway: Gateway, text: bytes) -> None:
    """Add or replace metrics in the group (POST): those of other names in it stay.

    Args:
        gateway: where to.
        text: format 0.0.4, as ``Recorder.render`` makes it.

    Raises:
        OSError: the gateway did not take it in time; the message says why.
    """
    # The socket's own timeout is for each packet, and looking up a name has none.
    problems: list[Exception] = []
    thread = threading.Thread(
        target=_push, args=(gateway, text, problems), name="push", daemon=True
    )
    thread.start()
    thread.join(gateway.timeout_s)
    if thread.is_alive():
        raise TimeoutError(f"no answer within {gateway.timeout_s:g} s")
    if problems:
        raise OSError(_words(problems[0])) from problems[0]


def _push(gateway: Gateway, text: bytes, problems: list[Exception]) -> None:
    from prometheus_client import CollectorRegistry, pushadd_to_gateway

    def handler(
        url: str,
        method: str,
        timeout: float | None,
        headers: list[tuple[str, str]],
        data: bytes,  # noqa: ARG001  # the registry's, which would type bare counters as gauges
    ) -> Callable[[], None]:
        request = urllib.request.Request(url, text, dict(headers), method=method)  # noqa: S310

        def send() -> None:
            urllib.request.build_opener(_NoRedirect).open(request, timeout=timeout).close()

        return send

    try:
        pushadd_to_gateway(
            gateway.url,
            gateway.job,
            CollectorRegistry(),
            dict(gateway.grouping),
            gateway.timeout_s,
            handler,
        )
    except (OSError, HTTPException, ValueError) as error:
        if isinstance(error, HTTPError):
            error.msg += _first_line(error)
        problems.append(error)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET, and nothing would have been pushed."""

    def redirect_request(self, *_: object) -> None:
        return None


def _first_line(error: HTTPError) -> str:
    """What a gateway says about metrics it does not take."""
    try:
        with error:
            lines = error.read(200).decode(errors="replace").split("\n")
    except (OSError, HTTPException):
        return ""
    return f": {lines[0]}" if lines[0].strip() else ""


def _words(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.msg}"
    return " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
