"""The kinds of metrics and the labels they have, of which the metric table is made.

Each metric names its labels by a ``TypedDict``. A type checker therefore knows which labels a
metric has, and refuses a call of the recorder that names another one, leaves one out, or does
something that the kind of metric does not allow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, ParamSpec, TypeAlias, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "DURATIONS",
    "ByBuild",
    "ByGpu",
    "ByGuestAndType",
    "ByHost",
    "ByReason",
    "ByStage",
    "ByState",
    "ByStrategy",
    "ByUnit",
    "ByWay",
    "ByZkvmAndKind",
    "Counter",
    "CycleType",
    "Gauge",
    "Histogram",
    "Labelled",
    "Metric",
    "NoLabels",
    "Quotient",
    "Stage",
    "Way",
]

P = ParamSpec("P")

DURATIONS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
)
"""The upper bounds of a histogram's buckets in seconds, from the milliseconds of a verification to
the minutes of a proof without a GPU. All histograms have the same, so that they can be
subtracted."""

# -- labels ---------------------------------------------------------------------------------------

CycleType: TypeAlias = Literal["user", "paging", "total"]
Stage: TypeAlias = Literal["before", "after"]
Way: TypeAlias = Literal["fetched", "kept", "sent"]


class NoLabels(TypedDict):
    """No label, and therefore one series."""


class ByStrategy(TypedDict):
    """The strategy of a batch, of whatever name."""

    strategy: str


class ByZkvmAndKind(TypedDict):
    """The zkVM that proves and the kind of receipt that it makes."""

    zkvm: str
    kind: str


class ByGuestAndType(TypedDict):
    """The guest that ran and the type of its cycles."""

    guest: str
    type: CycleType


class ByStage(TypedDict):
    """Before or after aggregation."""

    stage: Stage


class ByGpu(TypedDict):
    """The number of a GPU of this machine, from 0."""

    gpu: str


class ByUnit(TypedDict):
    """The name of a unit of work, as a guest's config gives it."""

    unit: str


class ByHost(TypedDict):
    """A machine of a cluster. Only so many are told apart, and the others are one."""

    host: str


class ByWay(TypedDict):
    """Which way bytes went between a worker and the store."""

    way: Way


class ByState(TypedDict):
    """Where the submission of a batch to an L1 stands."""

    state: str


class ByReason(TypedDict):
    """The class of a failure at an L1."""

    reason: str


class ByBuild(TypedDict):
    """What made the figures."""

    version: str
    zkvm: str
    zkvm_version: str
    receipt_kind: str


# -- kinds ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Metric:
    """What all kinds of metrics have in common.

    Attributes:
        by: the metric's labels, as a ``TypedDict``.
        name: the name in the textfile. The series of a histogram add ``_bucket``, ``_count`` and
            ``_sum`` to it.
        help: the meaning of the metric for people, in the textfile and the docs.
        source: where the figure comes from, in one phrase.
        unit: the unit, or an empty text for a plain number.
        initial: the values of each label whose series are there from the start, as 0. The series of
            any other value comes with the first event that has the value.
        type: the type that consumers see, which says what they may do with the metric.
    """

    by: Callable[..., Mapping[str, object]]
    name: str
    help: str
    source: str
    unit: str = ""
    initial: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    type: ClassVar[Literal["counter", "gauge", "histogram"]]

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """All labels, each with the values that are there from the start."""
        return {label: self.initial.get(label, ()) for label in self.by.__annotations__}

    def series(self) -> tuple[str, ...]:
        """Return the names of the time series, as rules and dashboards use them."""
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Labelled(Metric, Generic[P]):
    """A metric whose labels a type checker knows."""

    by: Callable[P, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Counter(Labelled[P]):
    """A number that only grows, over all runs."""

    type = "counter"


@dataclass(frozen=True, slots=True)
class Gauge(Labelled[P]):
    """A number that each run sets anew.

    Attributes:
        kept: whether the gauge keeps its value over runs that do not set it. A gauge that is 0 is
            taken as not set.
    """

    kept: bool = False
    type = "gauge"


@dataclass(frozen=True, slots=True)
class Quotient(Labelled[[]]):
    """A gauge that is never set, because it is one counter divided by another. 0 / 0 is 0.

    Attributes:
        of: a function that returns the two counters. It is called later, so that the table may
            declare the counters after the quotient.
    """

    of: Callable[[], tuple[Counter[[]], Counter[[]]]] = field(kw_only=True)
    type = "gauge"


@dataclass(frozen=True, slots=True)
class Histogram(Labelled[P]):
    """The distribution of a number of seconds, over all runs.

    Attributes:
        buckets: the upper bounds of the buckets in ascending order, without infinity.
    """

    buckets: tuple[float, ...] = DURATIONS
    type = "histogram"

    def series(self) -> tuple[str, ...]:
        """Return the names of the time series, as rules and dashboards use them."""
        return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "count", "sum"))
