"""Records what happened and renders it for Prometheus, in the text format 0.0.4.

The registry and the renderer are those of ``prometheus_client``. Its own ``Counter`` cannot be
used, because it appends ``_total`` to names that must do without and adds ``_created`` series.
"""

from __future__ import annotations

import bisect
import itertools
import math
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from runner.metric_kinds import Counter, Gauge, Histogram, Labelled, Metric, Quotient
from runner.metric_table import CONTRACT, METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from prometheus_client import core

__all__ = ["CONTRACT", "METRICS", "Metric", "Recorder", "Total"]

P = ParamSpec("P")
M = TypeVar("M", bound=Metric)


@dataclass(frozen=True, slots=True)
class Total:
    """The value of one series, as files keep it.

    Attributes:
        name: the metric's name.
        labels: the values of all its labels.
        value: the value of a counter or gauge, or the sum of a histogram's observations in seconds.
        bounds: the bounds of a histogram's buckets; empty for other metrics.
        counts: the number of observations in each bucket (not cumulative) and beyond the last
            bucket; empty for other metrics.
    """

    name: str
    labels: dict[str, str]
    value: float
    bounds: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


@dataclass(slots=True)
class _Series:
    """A value, or for a histogram the sum and the counts as in ``Total``."""

    value: float = 0
    counts: list[int] = field(default_factory=list)


class Recorder:
    """The values of all metrics. Several threads may use it at once.

    The series of all initial label values are there from the start, as 0. Any other label value
    brings its series when it first occurs, together with those of the initial values of the
    metric's other labels.

    A type checker refuses a metric of the wrong kind and a wrong or missing label. For callers that
    are not checked, and for names that come from a file, such a use raises ``ValueError`` and
    records nothing. The same holds for a value that is not finite and for anything that would make
    a counter fall.

    Args:
        metrics: the table of all metrics.
    """

    def __init__(self, metrics: Iterable[Metric] = METRICS) -> None:
        self._metrics = {metric.name: metric for metric in metrics}
        self._lock = threading.Lock()
        self._found: dict[tuple[object, ...], tuple[Metric, tuple[str, ...]]] = {}
        # By the metric's name, then by its label values in the table's order.
        self._series: dict[str, dict[tuple[str, ...], _Series]] = {}
        for name, metric in self._metrics.items():
            self._series[name] = {}
            initial = metric.labels.values()
            if all(initial):
                self._at(metric, next(itertools.product(*initial)))

    def inc(self, metric: Counter[P], value: float = 1, *_: P.args, **labels: P.kwargs) -> None:
        """Add a number that is at least 0 to a counter."""
        counter, key = self._find(Counter, metric.name, labels)
        _check(metric.name, value, least=0)
        with self._lock:
            self._at(counter, key).value += value

    def set(self, metric: Gauge[P], value: float, *_: P.args, **labels: P.kwargs) -> None:
        """Set a gauge."""
        gauge, key = self._find(Gauge, metric.name, labels)
        _check(metric.name, value)
        with self._lock:
            self._at(gauge, key).value = value

    def observe(self, metric: Histogram[P], seconds: float, *_: P.args, **labels: P.kwargs) -> None:
        """Add an observation, which is at least 0, to a histogram."""
        histogram, key = self._find(Histogram, metric.name, labels)
        _check(metric.name, seconds, least=0)
        with self._lock:
            series = self._at(histogram, key)
            series.value += seconds
            series.counts[bisect.bisect_left(histogram.buckets, seconds)] += 1

    def expect(self, metric: Labelled[P], *_: P.args, **labels: P.kwargs) -> None:
        """Let a series be there as 0 before anything happens, so that its first event is a rise."""
        found, key = self._find(Metric, metric.name, labels)
        with self._lock:
            self._at(found, key)

    def value(self, metric: Labelled[P], *_: P.args, **labels: P.kwargs) -> float:
        """Return the value of a counter or gauge, or the number of a histogram's observations."""
        found, key = self._find(Metric, metric.name, labels)
        with self._lock:
            series = self._series[found.name].get(key, _Series())
            return sum(series.counts) if series.counts else self._read(found, series)

    def snapshot(self) -> tuple[Total, ...]:
        """Return all that adds up over runs: counters and histograms, but no gauges."""
        return self._totals(lambda metric: metric.type != "gauge")

    def gauges(self) -> tuple[Total, ...]:
        """Return all gauges that are set and not computed."""
        return self._totals(lambda metric: isinstance(metric, Gauge))

    def merge(self, totals: Iterable[Total]) -> None:
        """Add the counters and histograms of another recorder, or on an error none of them.

        Raises:
            ValueError: a total is not in the table, or the bounds of a histogram are others.
        """
        found = []
        for total in totals:
            metric, key = self._find(Metric, total.name, total.labels)
            if metric.type == "gauge":
                raise ValueError(f"{total.name} is a gauge, not a counter or a histogram")
            if tuple(total.bounds) != _bounds(metric) or len(total.counts) != len(
                _no_counts(metric)
            ):
                raise ValueError(f"{total.name}: buckets are not those of this version")
            for number in (total.value, *total.counts):
                _check(total.name, number, least=0)
            found.append((metric, key, total))
        with self._lock:
            for metric, key, total in found:
                series = self._at(metric, key)
                series.value += total.value
                series.counts = [a + b for a, b in zip(series.counts, total.counts, strict=True)]

    def restore(self, gauge: Total) -> None:
        """Set a gauge as it was in another recorder.

        Raises:
            ValueError: it is no gauge of the table, or not one that is set.
        """
        metric, key = self._find(Gauge, gauge.name, gauge.labels)
        _check(gauge.name, gauge.value)
        with self._lock:
            self._at(metric, key).value = gauge.value

    def render(self) -> bytes:
        """Return the text for node_exporter and Prometheus. Equal values give equal texts."""
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
        """Yield the metrics as ``prometheus_client`` asks for them. Others call :meth:`render`."""
        from prometheus_client import core

        with self._lock:
            found = [(metric, self._sorted(metric)) for metric in self._metrics.values()]
            for metric, all_series in found:
                # The renderer appends _total to a counter's name. A counter that does without goes
                # through as a gauge, and render() puts the type right.
                kind = "gauge" if _is_bare_counter(metric) else metric.type
                family = core.Metric(metric.name.removesuffix("_total"), metric.help, kind)
                for key, series in all_series:
                    labels = dict(zip(metric.labels, key, strict=True))
                    if isinstance(metric, Histogram):
                        _add_histogram(family, metric, labels, series)
                    else:
                        family.add_sample(metric.name, labels, self._read(metric, series))
                yield family

    # -- with the lock held, or before there is another thread ------------------------------------

    def _at(self, metric: Metric, key: tuple[str, ...]) -> _Series:
        """Return a series. A new one is made with those of the other labels' initial values."""
        every = self._series[metric.name]
        if key not in every:
            labels = zip(metric.labels.values(), key, strict=True)
            siblings = itertools.product(*(initial or (value,) for initial, value in labels))
            for sibling in (*siblings, key):
                every.setdefault(sibling, _Series(counts=_no_counts(metric)))
        return every[key]

    def _read(self, metric: Metric, series: _Series) -> float:
        if not isinstance(metric, Quotient):
            return series.value
        above, below = (self._series[counter.name][()].value for counter in metric.of())
        return above / below if below else 0.0

    def _sorted(self, metric: Metric) -> list[tuple[tuple[str, ...], _Series]]:
        """Return all series: by the order of the initial label values, then by the other values."""

        def rank(item: tuple[tuple[str, ...], _Series]) -> list[tuple[int, str]]:
            return [
                (initial.index(value) if value in initial else len(initial), value)
                for initial, value in zip(metric.labels.values(), item[0], strict=True)
            ]

        return sorted(self._series[metric.name].items(), key=rank)

    # -- without the lock -------------------------------------------------------------------------

    def _totals(self, wanted: Callable[[Metric], bool]) -> tuple[Total, ...]:
        with self._lock:
            return tuple(
                Total(
                    name=metric.name,
                    labels=dict(zip(metric.labels, key, strict=True)),
                    value=series.value,
                    bounds=_bounds(metric),
                    counts=tuple(series.counts),
                )
                for metric in self._metrics.values()
                if wanted(metric)
                for key, series in self._sorted(metric)
            )

    def _find(
        self, kind: type[M], name: str, labels: Mapping[str, object]
    ) -> tuple[M, tuple[str, ...]]:
        """Return this table's metric of that name, and the label values in the table's order."""
        asked = (kind, name, *labels.items())
        known = self._found.get(asked)
        if known is None:
            known = self._found[asked] = self._checked(kind, name, labels)
        return known  # type: ignore[return-value]  # the kind is a part of the key

    def _checked(
        self, kind: type[Metric], name: str, labels: Mapping[str, object]
    ) -> tuple[Metric, tuple[str, ...]]:
        metric = self._metrics.get(name)
        if metric is None:
            raise ValueError(f"no metric {name!r} in the table")
        if isinstance(metric, Quotient) and kind is Gauge:
            above, below = metric.of()
            raise ValueError(f"{name} is {above.name} / {below.name}, and cannot be set")
        if not isinstance(metric, kind):
            raise ValueError(f"{name} is a {metric.type}, not a {kind.type}")  # noqa: TRY004
        if labels.keys() != metric.labels.keys():
            wanted = ", ".join(metric.labels) or "none"
            raise ValueError(f"{name} has labels {wanted}; given: {', '.join(labels) or 'none'}")
        return metric, tuple(str(labels[label]) for label in metric.labels)


def _is_bare_counter(metric: Metric) -> bool:
    return metric.type == "counter" and not metric.name.endswith("_total")


def _bounds(metric: Metric) -> tuple[float, ...]:
    return metric.buckets if isinstance(metric, Histogram) else ()


def _no_counts(metric: Metric) -> list[int]:
    """Return the counts of a series in which nothing has happened."""
    return [0] * (len(metric.buckets) + 1) if isinstance(metric, Histogram) else []


def _check(name: str, value: float, least: float = -math.inf) -> None:
    if not math.isfinite(value) or value < least:
        raise ValueError(f"{name}: {value} is not a value it can take")


def _add_histogram(
    family: core.Metric, metric: Histogram[...], labels: dict[str, str], series: _Series
) -> None:
    from prometheus_client.utils import floatToGoString

    bounds = (*map(floatToGoString, metric.buckets), "+Inf")
    for bound, count in zip(bounds, itertools.accumulate(series.counts), strict=True):
        family.add_sample(f"{metric.name}_bucket", {**labels, "le": bound}, count)
    family.add_sample(f"{metric.name}_count", labels, sum(series.counts))
    family.add_sample(f"{metric.name}_sum", labels, series.value)
