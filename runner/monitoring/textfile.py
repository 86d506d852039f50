"""The metrics file that node_exporter's textfile collector reads: writing it and reading it back.

Reading it back is how totals are recovered when the ledger is damaged.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from runner.files import atomic_write, followed, make_folder
from runner.metric_kinds import Histogram, Metric, Quotient
from runner.metric_table import LAST_RUN_COMPLETION_TIMESTAMP_SECONDS, METRICS
from runner.metrics import Total
from runner.untrusted import read_regular

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from prometheus_client import samples

__all__ = ["SUFFIX", "is_scraped", "read_series", "rivals", "write_textfile"]

SUFFIX = ".prom"
"""How the name of a file must end for node_exporter to read it."""

_MOST_BYTES = 16 << 20
"""The largest file in which a runner's series are looked for; a textfile has some kilobytes."""


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


def is_scraped(path: Path) -> bool:
    """Whether node_exporter reads a file of this name, or the file that a link leads to."""
    return any(name.suffix == SUFFIX for name in (path, followed(path)))


def rivals(path: Path) -> list[Path]:
    """Other files beside a textfile with the series of a runner.

    node_exporter takes a series from one file only, and leaves it out of all others without a sign.

    Args:
        path: the textfile, which need not exist. Its own name and that of its target are looked at.
    """
    target = followed(path)
    found: dict[Path, Path] = {}  # by what a link leads to, so that none counts twice
    for folder in dict.fromkeys((path.parent, target.parent)):
        with contextlib.suppress(OSError):
            for file in sorted(folder.glob(f"*{SUFFIX}")):
                found.setdefault(followed(file), file)
    return [file for file in found.values() if not _is_same(file, target) and _has_runs(file)]


def _has_runs(file: Path) -> bool:
    try:
        text = read_regular(file, _MOST_BYTES, follow=True)
    except OSError:
        return False
    return f"\n{LAST_RUN_COMPLETION_TIMESTAMP_SECONDS.name} ".encode() in text


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


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
