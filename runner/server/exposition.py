"""``/metrics``: the textfile's text with live gauges, in the format that the client accepts."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runner.monitoring.live import LiveFigures

__all__ = ["OPENMETRICS", "TEXT", "by_label", "metrics", "negotiate", "openmetrics", "values"]

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_OPENMETRICS_VERSIONS = {"", "0.0.1", "1.0.0"}
_SUFFIX = " Exposed as unknown: OpenMetrics has no counters whose name does not end in _total."

_PLAIN_SERIES = re.compile(rb"^([a-zA-Z_:][a-zA-Z0-9_:]*) (\S+)$", re.MULTILINE)


def negotiate(accept: str) -> str:
    """The content type of the response: OpenMetrics if it is preferred, else text 0.0.4.

    This works as in Prometheus' own exporters. Entries of the header that cannot be read, or that
    ask for another format, are skipped.

    Args:
        accept: the request's ``Accept`` header.
    """
    best, chosen = 0.0, TEXT
    for part in accept.split(","):
        kind, *pairs = (piece.strip() for piece in part.split(";"))
        given = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        try:
            quality = float(given.get("q", "1"))
        except ValueError:
            continue
        version = given.get("version", "")
        if kind == "application/openmetrics-text" and version in _OPENMETRICS_VERSIONS:
            offered = OPENMETRICS
        elif (kind == "text/plain" and version in {"", "0.0.4"}) or kind in {"*/*", "text/*"}:
            offered = TEXT
        else:
            continue
        if quality > best:
            best, chosen = quality, offered
    return chosen


def metrics(text: bytes, live: LiveFigures | None) -> bytes:
    """The textfile's content, with the gauges of a run under way in place of its zeros.

    Only gauges are live. A live counter would be ahead of the file, and would fall if the run
    could not write the file at its end.

    Args:
        text: the textfile's content.
        live: the figures of the run under way; None if there is none.
    """
    if live is None:
        return text
    for name, value in (
        (b"l2_parallel_workers_active", live.workers_active),
        (b"l2_parallel_workers_limit", live.workers_limit),
        (b"l2_queue_depth", live.queue_depth),
    ):
        line = b"%s %d" % (name, value)
        text, found = re.subn(rb"^" + name + rb" \S+$", line, text, count=1, flags=re.MULTILINE)
        if not found:  # During the very first run there is no textfile yet.
            text += b"# TYPE %s gauge\n%s\n" % (name, line)
    return text


def openmetrics(text: bytes) -> bytes:
    """Convert the text format 0.0.4 to OpenMetrics 1.0.

    Args:
        text: the metrics in the text format.

    Raises:
        ValueError: the text is not in that format.
    """
    from prometheus_client.openmetrics.exposition import generate_latest
    from prometheus_client.parser import text_fd_to_metric_families

    bare = set(re.findall(r"^# TYPE (\S+)(?<!_total) counter$", text.decode(), re.MULTILINE))
    # The parser would append _total to the names of their samples.
    plain = re.sub(
        r"^(# TYPE \S+)(?<!_total) counter$", r"\1 unknown", text.decode(), flags=re.MULTILINE
    )

    class Families:
        def collect(self) -> Iterator[Any]:
            for family in text_fd_to_metric_families(io.StringIO(plain)):
                if family.name in bare:
                    family.documentation += _SUFFIX
                yield family

    rendered: bytes = generate_latest(Families())
    return rendered


def values(text: bytes) -> dict[str, float]:
    """The values of all series without labels, by name."""
    found = {}
    for name, value in _PLAIN_SERIES.findall(text):
        try:
            found[name.decode()] = float(value)
        except ValueError:
            continue
    return found


def by_label(text: bytes, name: str, label: str) -> dict[str, float]:
    """The values of a metric with one label, by the label's value.

    Args:
        text: the textfile's content.
        name: the metric's name.
        label: the label's name.
    """
    series = re.compile(rf'^{name}{{{label}="([^"\\]*)"}} (\S+)$'.encode(), re.MULTILINE)
    found = {}
    for value, number in series.findall(text):
        try:
            found[value.decode(errors="replace")] = float(number)
        except ValueError:
            continue
    return found
