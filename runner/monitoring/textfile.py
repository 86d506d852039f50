"""The metrics file that node_exporter's textfile collector reads: writing it and reading it back.

Reading it back is how totals are recovered when the ledger is damaged.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from runner.files import atomic_write, followed, make_folder
from runner.metric_kinds import Histogram, Metric, Quotient
from runner.metric_table import METRICS
from runner.metrics import Total

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prometheus_client import samples

__all__ = ["read_series", "write_textfile"]


def write_textfile(path: Path, data: bytes) -> None:
    """Replace the metrics file as a whole.

    The file gets the mode 0644, and missing parent folders the mode 0755, because node_exporter
    runs as another user. Under the umask 077 of a cron job it could otherwise read neither. A link
    is followed, and what it leads to is replaced.

    Args:
        path: the file to write, e.g. ``/var/lib/node_exporter/zk_batch.prom``.
        data: the metrics in the text format 0.0.4, with a newline at the end.

    Raises:
        OSError: the file could not be written. The earlier file is untouched.
        ValueError: ``data`` has no final newline, for which node_exporter drops the whole file.
    """
    if not data.endswith(b"\n"):
        raise ValueError("a metrics file must end in a newline")
    make_folder(followed(path).parent)
    atomic_write(path, data, mode=0o644, follow=True)


def read_series(text: str, metrics: Iterable[Metric] = METRICS) -> tuple[Total, ...]:
    """Read the series of a metrics file back.

    Series that are not in the table of metrics, and histograms with other buckets, are left out.

    Args:
        text: the metrics in the text format 0.0.4.
        metrics: the table of all metrics.

    Raises:
        ValueError: the text is not in that format.
    """
    from prometheus_client.parser import text_string_to_metric_families

    by_name: dict[str, list[samples.Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            by_name.setdefault(sample.name, []).append(sample)
    found: list[Total] = []
    for metric in metrics:
        if isinstance(metric, Histogram):
            found += _histograms(metric, by_name)
        elif not isinstance(metric, Quotient):
            # The parser adds _total to the name of a counter that does not end in it.
            bare = metric.type == "counter" and not metric.name.endswith("_total")
            name = f"{metric.name}_total" if bare else metric.name
            found += [Total(metric.name, s.labels, s.value) for s in by_name.get(name, [])]
    return tuple(found)


def _histograms(
    metric: Histogram[...], by_name: dict[str, list[samples.Sample]]
) -> Iterator[Total]:
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
