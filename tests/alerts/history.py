"""One history of an alert's metrics, and what is expected of the alert."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from runner.alerts.settings_file import Duration

if TYPE_CHECKING:
    from runner.alerts.config import ConfiguredAlert


A = {"instance": "a:9100", "job": "node"}
B = {"instance": "b:9100", "job": "node"}
COARSE = 300
MOST_SAMPLES = 8000
"""The samples of one series that promtool reads at once; it refuses 10 000."""
START = 600
"""The seconds of quiet with which a history begins."""


@dataclass(frozen=True)
class Check:
    """What is expected at one moment of a history.

    Attributes:
        at: The moment, in seconds from the beginning.
        description: The description of host a's alert; None where no alert may fire.
        summary: The alert's summary, where it is not the usual one.
        labels: The alert's labels besides its severity.
    """

    at: float
    description: str | None = None
    summary: str | None = None
    labels: tuple[tuple[str, str], ...] = tuple(A.items())


@dataclass(frozen=True)
class Case:
    """One history.

    Attributes:
        what: What happens, for people.
        series: The values in promtool's notation, by metric and host.
        checks: What is expected, in order of time.
        coarse: Whether it goes on for a day, so that rules are evaluated only every ``COARSE``
            seconds.
    """

    what: str
    series: dict[str, str]
    checks: tuple[Check, ...]
    coarse: bool = False

    @property
    def fires(self) -> bool:
        return any(check.description is not None for check in self.checks)


class CaseBuilder:
    """What the cases of one alert are made from.

    Args:
        alert: The alert, with its thresholds and durations.
        scrape: The seconds between two samples.
    """

    def __init__(self, alert: ConfiguredAlert, scrape: float) -> None:
        self.alert = alert
        self.scrape = scrape
        self.pending = alert.pending.seconds

    # -- numbers ------------------------------------------------------------------------------

    def number(self, name: str) -> float:
        value = self.alert.values[name]
        assert isinstance(value, (int, float))
        return value

    def seconds(self, name: str) -> float:
        value = self.alert.values[name]
        assert isinstance(value, Duration)
        return value.seconds

    # -- texts --------------------------------------------------------------------------------

    def says(self, value: str = "") -> str:
        """The description of the alert that fires, with ``value`` in place of its number."""
        return re.sub(r"\{\{.*\}\}", value, self.alert.filled(self.alert.alert.description))

    # -- series -------------------------------------------------------------------------------

    def steps(self, *parts: tuple[float | str, float]) -> str:
        """A series that has each value for some seconds."""
        counts = [(value, ceil(span / self.scrape)) for value, span in parts]
        # In promtool's notation 5x3 is 5 and three more of it, and _x3 is three gaps.
        return " ".join(f"{v}x{n if v == '_' else n - 1}" for v, n in counts if n)

    def line(self, per_scrape: float, span: float, start: float = 1000) -> str:
        return f"{start:g}+{per_scrape!r}x{ceil(span / self.scrape)}"

    def hosts(self, **metrics: tuple[str, str] | str) -> dict[str, str]:
        """The series of host a and host b; one text stands for both."""
        made = {}
        for metric, values in metrics.items():
            both = (values, values) if isinstance(values, str) else values
            for host, text in zip((A, B), both, strict=True):
                labels = ",".join(f'{name}="{value}"' for name, value in host.items())
                made[f"{metric}{{{labels}}}"] = text
        return made

    # -- checks -------------------------------------------------------------------------------

    def fired(
        self, description: str, since: float = START, until: float | None = None
    ) -> tuple[Check, ...]:
        """Checks of an alert that fires once its condition has held since ``since`` for ``for``."""
        slack = 2 * self.scrape
        found = [Check(max(since - slack, 0))]
        if self.pending > slack:
            found.append(Check(since + self.pending - slack))
        found.append(Check(since + self.pending + slack, description))
        if until is not None:
            found.append(Check(until + slack))
        return tuple(found)

    def never(self, span: float) -> tuple[Check, ...]:
        """Checks, one every few scrapes, that no alert fires."""
        return tuple(Check(at) for at in range(0, int(span), int(4 * self.scrape)))


def spacing(alert: ConfiguredAlert, scrape: float) -> float:
    """The seconds between two samples in the histories of an alert.

    That is the scrape interval, unless the alert looks back over more samples than promtool reads.
    Then rules are evaluated no more often than there are samples, so that each evaluation finds
    one.
    """
    memory = alert.values.get("memory")
    seconds = memory.seconds if isinstance(memory, Duration) else 0
    # Each divides START, or is a multiple of it, so that samples and evaluations meet.
    wider = (20, 30, 60, 120, 300, *(START * 2**power for power in range(20)))
    if seconds <= scrape * MOST_SAMPLES:
        return scrape
    # Each evaluation reads them all, so that a tenth as many take a hundredth of the time.
    return float(
        next(step for step in wider if step > scrape and seconds <= step * MOST_SAMPLES / 10)
    )


def human(seconds: float) -> str:
    """A duration of a minute or more as Prometheus' humanizeDuration writes it."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    text = f"{minutes}m {whole % 60}s"
    if hours or days:
        text = f"{hours}h {text}"
    return f"{days}d {text}" if days else text
