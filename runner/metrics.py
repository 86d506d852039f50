"""Records what happened and renders it for Prometheus (text format 0.0.4).

``prometheus_client``'s own ``Counter`` cannot be used: it forces ``_total`` onto names that are in
the contract without it, and adds ``_created`` series. Its registry and renderer can.
"""

from __future__ import annotations

import bisect
import itertools
import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.metric_table import CONTRACT, METRICS, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from prometheus_client import core

__all__ = ["CONTRACT", "METRICS", "Metric", "Recorder", "Total"]


@dataclass(frozen=True, slots=True)
class Total:
    """One series: a counter or a histogram, which add up over runs, or a gauge.

    Attributes:
        name: of the metric.
        labels: all its labels.
        value: of the counter or gauge; sum of the observations of a histogram, in seconds.
        bounds: the histogram's bucket bounds, else ().
        counts: observations in each bucket (not cumulative) and beyond the last, else ().
    """

    name: str
    labels: dict[str, str]
    value: float
    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(slots=True)
class _Series:
    """A value; for a histogram the sum, and counts as in ``Total``."""

    value: float = 0
    counts: list[int] = field(default_factory=list)


class Recorder:
    """Values of all metrics. Every known combination of labels is there from the start, as 0.

    Where a label's values are not known beforehand, a new value brings all combinations with the
    known labels at once. May be used by several threads. A name, label or label value that is not
    in the table, a method for another type of metric, a value that is not finite, and anything
    that would make a counter fall raise ``ValueError`` and record nothing.

    Args:
        metrics: the table.
    """

    def __init__(self, metrics: Iterable[Metric] = METRICS) -> None:
        self._metrics = {metric.name: metric for metric in metrics}
        self._lock = threading.Lock()
        self._found: dict[tuple[object, ...], tuple[Metric, tuple[str, ...]]] = {}
        # By metric, then by its label values in the table's order.
        self._series: dict[str, dict[tuple[str, ...], _Series]] = {}
        for name, metric in self._metrics.items():
            self._series[name] = {}
            if all(metric.labels.values()):
                self._at(metric, next(_combinations(metric, {})))

    def inc(self, name: str, value: float = 1, **labels: str) -> None:
        """Add ``value`` to a counter."""
        metric, key = self._find(name, labels, "counter")
        _check(name, value, least=0)
        with self._lock:
            self._at(metric, key).value += value

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        metric, key = self._find(name, labels, "gauge")
        if metric.quotient is not None:
            raise ValueError(f"{name} is {' / '.join(metric.quotient)}, and cannot be set")
        _check(name, value)
        with self._lock:
            self._at(metric, key).value = value

    def observe(self, name: str, seconds: float, **labels: str) -> None:
        """Add an observation to a histogram."""
        metric, key = self._find(name, labels, "histogram")
        _check(name, seconds, least=0)
        with self._lock:
            series = self._at(metric, key)
            series.value += seconds
            series.counts[bisect.bisect_left(metric.buckets, seconds)] += 1

    def expect(self, name: str, **labels: str) -> None:
        """Let a series be there, as 0 until something happens, so that its first event is a rise.

        For labels whose values are not known beforehand.
        """
        metric, key = self._find(name, labels)
        with self._lock:
            self._at(metric, key)

    def value(self, name: str, **labels: str) -> float:
        """A counter's or gauge's value, or the number of a histogram's observations."""
        metric, key = self._find(name, labels)
        with self._lock:
            series = self._series[name].get(key, _Series())
            return sum(series.counts) if metric.type == "histogram" else self._read(metric, series)

    def snapshot(self) -> tuple[Total, ...]:
        """All that adds up over runs: counters and histograms, no gauges."""
        return self._totals(lambda metric: metric.type != "gauge")

    def gauges(self) -> tuple[Total, ...]:
        """All gauges that are set, not computed."""
        return self._totals(lambda metric: metric.type == "gauge" and metric.quotient is None)

    def merge(self, totals: Iterable[Total]) -> None:
        """Add the totals of another recorder, e.g. of earlier runs: all of them or, on error, none.

        Raises:
            ValueError: also where the bounds are not this table's.
        """
        found = []
        for total in totals:
            metric, key = self._find(total.name, total.labels, "counter", "histogram")
            sizes = len(metric.buckets) + 1 if metric.type == "histogram" else 0
            if tuple(total.bounds) != metric.buckets or len(total.counts) != sizes:
                raise ValueError(f"{total.name}: buckets are not those of this version")
            for number in (total.value, *total.counts):
                _check(total.name, number, least=0)
            found.append((metric, key, total))
        with self._lock:
            for metric, key, total in found:
                series = self._at(metric, key)
                series.value += total.value
                series.counts = [a + b for a, b in zip(series.counts, total.counts, strict=True)]

    def render(self) -> bytes:
        """The text that node_exporter and Prometheus read, always the same for the same values."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        text = generate_latest(registry)
        for metric in self._metrics.values():
            if _is_bare_counter(metric):
                line = f"\n# TYPE {metric.name} %s\n"
                text = text.replace((line % "gauge").encode(), (line % "counter").encode(), 1)
        return text

    def collect(self) -> Iterator[core.Metric]:
        """The families as ``prometheus_client`` wants them; ``render`` is what to call."""
        from prometheus_client import core

        with self._lock:
            found = [(metric, self._sorted(metric)) for metric in self._metrics.values()]
            for metric, all_series in found:
                # The renderer appends _total to a counter's name. One without it goes through as
                # a gauge, and render() puts the type right.
                kind = "gauge" if _is_bare_counter(metric) else metric.type
                family = core.Metric(metric.name.removesuffix("_total"), metric.help, kind)
                for key, series in all_series:
                    labels = dict(zip(metric.labels, key, strict=True))
                    if metric.type == "histogram":
                        _add_histogram(family, metric, labels, series)
                    else:
                        family.add_sample(metric.name, labels, self._read(metric, series))
                yield family

    # -- with the lock held, or before there is another thread ------------------------------------

    def _at(self, metric: Metric, key: tuple[str, ...]) -> _Series:
        """The series, made with all its siblings when it is new."""
        every = self._series[metric.name]
        if key not in every:
            for sibling in _combinations(metric, dict(zip(metric.labels, key, strict=True))):
                counts = [0] * (len(metric.buckets) + 1) if metric.type == "histogram" else []
                every.setdefault(sibling, _Series(counts=counts))
        return every[key]

    def _read(self, metric: Metric, series: _Series) -> float:
        if metric.quotient is None:
            return series.value
        above, below = (self._series[name][()].value for name in metric.quotient)
        return above / below if below else 0.0

    def _sorted(self, metric: Metric) -> list[tuple[tuple[str, ...], _Series]]:
        """Series in the table's order of label values; those not known beforehand by name."""

        def rank(item: tuple[tuple[str, ...], _Series]) -> list[tuple[int, str]]:
            return [
                (known.index(value) if known else 0, value)
                for known, value in zip(metric.labels.values(), item[0], strict=True)
            ]

        return sorted(self._series[metric.name].items(), key=rank)

    # -- without ----------------------------------------------------------------------------------

    def _totals(self, wanted: Callable[[Metric], bool]) -> tuple[Total, ...]:
        with self._lock:
            return tuple(
                Total(
                    name=metric.name,
                    labels=dict(zip(metric.labels, key, strict=True)),
                    value=series.value,
                    bounds=metric.buckets,
                    counts=tuple(series.counts),
                )
                for metric in self._metrics.values()
                if wanted(metric)
                for key, series in self._sorted(metric)
            )

    def _find(
        self, name: str, labels: dict[str, str], *types: str
    ) -> tuple[Metric, tuple[str, ...]]:
        asked = (name, types, *labels.items())
        known = self._found.get(asked)
        if known is None:
            known = self._found[asked] = self._searched(name, labels, types)
        return known

    def _searched(
        self, name: str, labels: dict[str, str], types: tuple[str, ...]
    ) -> tuple[Metric, tuple[str, ...]]:
        metric = self._metrics.get(name)
        if metric is None:
            raise ValueError(f"no metric {name!r} in the table")
        if types and metric.type not in types:
            raise ValueError(f"{name} is a {metric.type}, not a {' or a '.join(types)}")
        if labels.keys() != metric.labels.keys():
            wanted = ", ".join(metric.labels) or "none"
            raise ValueError(f"{name} has labels {wanted}; given: {', '.join(labels) or 'none'}")
        for label, known in metric.labels.items():
            if known and labels[label] not in known:
                raise ValueError(f"{name}: {label}={labels[label]!r} is none of {', '.join(known)}")
        return metric, tuple(str(labels[label]) for label in metric.labels)


def _combinations(metric: Metric, chosen: dict[str, str]) -> Iterator[tuple[str, ...]]:
    return itertools.product(*(known or (chosen[label],) for label, known in metric.labels.items()))


def _is_bare_counter(metric: Metric) -> bool:
    return metric.type == "counter" and not metric.name.endswith("_total")


def _check(name: str, value: float, least: float = -math.inf) -> None:
    if not math.isfinite(value) or value < least:
        raise ValueError(f"{name}: {value} is not a value it can take")


def _add_histogram(
    family: core.Metric, metric: Metric, labels: dict[str, str], series: _Series
) -> None:
    from prometheus_client.utils import floatToGoString

    bounds = (*map(floatToGoString, metric.buckets), "+Inf")
    for bound, count in zip(bounds, itertools.accumulate(series.counts), strict=True):
        family.add_sample(f"{metric.name}_bucket", {**labels, "le": bound}, count)
    family.add_sample(f"{metric.name}_count", labels, sum(series.counts))
    family.add_sample(f"{metric.name}_sum", labels, series.value)
