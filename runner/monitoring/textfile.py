"""The metrics file that node_exporter's textfile collector reads."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from runner.files import atomic_write, make_folder
from runner.metrics import METRICS, Metric, Total

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prometheus_client import samples

__all__ = ["read_series", "write_textfile"]


def write_textfile(path: Path, data: bytes) -> None:
    """Replace the metrics file as a whole, readable by another user (mode 0644).

    Missing parent folders are made with mode 0755: node_exporter runs as another user, and under
    the umask 077 of a cron job it could reach neither a folder nor a file left to the default.

    Args:
        path: e.g. ``/var/lib/node_exporter/zk_batch.prom``.
        data: text format 0.0.4, ends in a newline.

    Raises:
        OSError: it could not be written; the earlier file is untouched.
        ValueError: ``data`` has no final newline, for which node_exporter drops the whole file.
    """
    if not data.endswith(b"\n"):
        raise ValueError("a metrics file must end in a newline")
    make_folder(path.parent)
    atomic_write(path, data, mode=0o644)


def read_series(text: str, metrics: Iterable[Metric] = METRICS) -> tuple[Total, ...]:
    """Every series of the table that is in the text; others, and histograms of other buckets, not.

    Raises:
        ValueError: it is no text of the format 0.0.4.
    """
    from prometheus_client.parser import text_string_to_metric_families

    by_name: dict[str, list[samples.Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            by_name.setdefault(sample.name, []).append(sample)
    found: list[Total] = []
    for metric in metrics:
        if metric.type == "histogram":
            found += _histograms(metric, by_name)
        elif metric.quotient is None:
            # The parser gives _total to a counter that has none.
            bare = metric.type == "counter" and not metric.name.endswith("_total")
            name = f"{metric.name}_total" if bare else metric.name
            found += [Total(metric.name, s.labels, s.value) for s in by_name.get(name, [])]
    return tuple(found)


def _histograms(metric: Metric, by_name: dict[str, list[samples.Sample]]) -> Iterator[Total]:
    for whole in by_name.get(f"{metric.name}_sum", []):
        below = sorted(
            (float(sample.labels["le"]), int(sample.value))
            for sample in by_name.get(f"{metric.name}_bucket", [])
            if {**sample.labels, "le": ""} == {**whole.labels, "le": ""}
        )
        if tuple(bound for bound, _ in below) == (*metric.buckets, float("inf")):
            cumulative = [0, *(count for _, count in below)]
            counts = tuple(after - before for before, after in itertools.pairwise(cumulative))
            yield Total(metric.name, whole.labels, whole.value, metric.buckets, counts)
