"""The push of metrics to a Prometheus Pushgateway."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import HTTPError

from runner import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Gateway", "push"]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Pushgateway, and the group of metrics that is pushed to.

    Attributes:
        url: the http or https URL up to where ``/metrics/job`` begins.
        job: the group's label ``job``.
        grouping: the group's other labels, e.g. one that tells hosts apart.
        timeout_s: the seconds that a push may take.
    """

    url: str
    job: str = "runner"
    grouping: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 5.0


def push(gateway: Gateway, text: bytes) -> None:
    """Add metrics to the group, or replace those of the same names. Other metrics in it stay.

    Args:
        gateway: the Pushgateway and the group.
        text: the metrics in the text format 0.0.4, as ``Recorder.render`` makes it.

    Raises:
        OSError: the gateway did not take the metrics in time. The message says why.
    """
    # The push has a thread of its own because the socket's timeout only limits each packet, and the
    # look-up of a host's name has no timeout at all.
    try:
        threads.within(gateway.timeout_s, "push", lambda: _push(gateway, text))
    except (OSError, HTTPException, ValueError) as error:
        raise OSError(_message(error)) from error


def _push(gateway: Gateway, text: bytes) -> None:
    from prometheus_client import CollectorRegistry, pushadd_to_gateway

    # The library gets an empty registry, and ``text`` is sent in place of what it makes of that: it
    # would declare a counter whose name does not end in ``_total`` to be a gauge.
    def handler(
        url: str,
        method: str,
        timeout: float | None,
        headers: list[tuple[str, str]],
        data: bytes,  # noqa: ARG001
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
    except HTTPError as error:
        error.msg += _first_line(error)
        raise


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a redirected POST would become a GET, which pushes nothing."""

    def redirect_request(self, *_: object) -> None:
        return None


def _first_line(error: HTTPError) -> str:
    """Return the first line of a gateway's answer, which says why it refused the metrics."""
    try:
        with error:
            lines = error.read(200).decode(errors="replace").split("\n")
    except (OSError, HTTPException):
        return ""
    return f": {lines[0]}" if lines[0].strip() else ""


def _message(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"HTTP {error.code} {error.msg}"
    return " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
