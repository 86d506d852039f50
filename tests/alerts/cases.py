"""Histories for promtool in which each alert fires or stays quiet, made from its configuration.

``python -m tests.alerts.cases`` writes those of ``conf/alerts`` to ``tests/alerts/promtool``, where
promtool can run them without Python.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from runner.alerts import config
from runner.alerts.rules import RULES
from runner.alerts.settings_file import Duration
from runner.files import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runner.alerts.config import ConfiguredAlert

FOLDER = Path(__file__).parent / "promtool"

A = {"instance": "a:9100", "job": "node"}
B = {"instance": "b:9100", "job": "node"}
COARSE = 300
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

    def cases(self) -> tuple[Case, ...]:
        return tuple(CASES[self.alert.alert.name](self))

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


def hit_rate(make: CaseBuilder) -> Iterator[Case]:
    window, threshold = make.seconds("window"), make.number("threshold")
    span = START + window + make.pending + 600

    def run(hits: float, misses: float) -> dict[str, str]:
        return make.hosts(
            l2_cache_hits_total=(
                make.steps((1000, START), (1000 + hits, span)),
                make.steps((1000, START), (2000, span)),
            ),
            l2_cache_misses_total=(
                make.steps((1000, START), (1000 + misses, span)),
                make.steps((1000, START), (1000, span)),
            ),
        )

    low = threshold * 10 - 10
    fired = make.fired(make.says(f"{low / 10:.1f} %"[:-2]), until=START + window)
    yield Case("one run with few hits, then none", run(low, 1000 - low), fired)
    yield Case(
        "hits at the threshold", run(threshold * 10, 1000 - threshold * 10), make.never(span)
    )
    yield Case("no look-ups", run(0, 0), make.never(span))


def tps(make: CaseBuilder) -> Iterator[Case]:
    threshold, window = make.number("threshold"), make.seconds("window")
    span = START + window + make.pending + 600

    def run(value: float, proofs: float = 500, status: float = 0) -> dict[str, str]:
        fine = make.steps((2 * threshold, START + span))
        return make.hosts(
            l2_tps_current=(make.steps((2 * threshold, START), (value, span)), fine),
            l2_aggregation_proof_count=make.steps((proofs, START + span)),
            l2_last_run_exit_status=(
                make.steps((0, START), (status, span)),
                make.steps((0, START + span)),
            ),
        )

    # 0.6 x 2 + 0.4 x 0.5 of the threshold are above it, whatever the window is: the average falls
    # below the threshold when the slow batch has more than two thirds of the window.
    slow, late = threshold / 2, START + window * 2 / 3
    at = START + window + make.pending + 60
    yield Case(
        "a slow batch",
        run(slow),
        (Check(START), Check(late + make.pending - 60), Check(at, make.says(f"{slow:.2f}"))),
    )
    yield Case("a batch at the threshold", run(threshold), make.never(at))
    yield Case(
        "a batch that failed",
        run(0, status=1),
        (Check(START), Check(at, make.says("0.00"))),
    )
    yield Case("a run without aggregation", run(0), make.never(at))
    yield Case("nothing ever aggregated", run(0, proofs=0, status=1), make.never(at))


def error_rate(make: CaseBuilder) -> Iterator[Case]:
    threshold, window = make.number("threshold"), make.seconds("window")
    span = START + make.pending + window + 600
    samples = window / make.scrape

    def run(per_window: float) -> dict[str, str]:
        bad = make.line(per_window / samples, span)
        return make.hosts(l2_errors_total=(bad, make.steps((1000, span))))

    many = 2 * threshold + 2
    # The rate is extrapolated from the second sample on, so the alert is pending from the start.
    at = window + make.pending + 60
    yield Case(
        "errors all the time",
        run(many),
        (Check(make.pending - make.scrape), Check(at, make.says(f"{many:.0f}"))),
    )
    yield Case("errors at the threshold", run(threshold), make.never(span))
    once = make.steps((1000, START), (1000 + 100 * many, span))
    yield Case(
        "one run with many errors, which shows as one step",
        make.hosts(l2_errors_total=(once, make.steps((1000, START + span)))),
        make.never(span),
    )


def stepped(metric: str) -> Callable[[CaseBuilder], Iterator[Case]]:
    """The cases of a counter that must not gain more than the threshold in the window."""

    def cases(make: CaseBuilder) -> Iterator[Case]:
        threshold, window = make.number("threshold"), make.seconds("window")
        span = START + window + make.pending + 600

        def run(gain: float) -> dict[str, str]:
            step = make.steps((1000, START), (1000 + gain, span))
            return make.hosts(**{metric: (step, make.steps((1000, START + span)))})

        fired = make.fired(make.says(), until=START + window)
        yield Case("one run over the threshold", run(threshold + 1), fired)
        # increase() may take a step for window / (window - scrape) times what it is.
        few = int(threshold * (1 - 2 * make.scrape / window))
        yield Case("one run below the threshold", run(few), make.never(span))
        # There is no increase before the first sample of a host.
        first = make.steps(("_", START), (threshold + 1, span))
        yield Case("a new host", make.hosts(**{metric: first}), make.never(span))

    return cases


def gas(make: CaseBuilder) -> Iterator[Case]:
    threshold, window = make.number("threshold"), make.seconds("window")
    span = START + window + make.pending + 600

    def run(each: float, count: int = 3) -> dict[str, str]:
        return make.hosts(
            l2_l1_submission_gas_used=(
                make.steps((10**9, START), (f"{10**9 + each * count:.0f}", span)),
                make.steps((10**9, START + span)),
            ),
            l2_l1_submissions_total=(
                make.steps((5000, START), (5000 + count, span)),
                make.steps((5000, START + span)),
            ),
        )

    much = threshold + 1000
    fired = make.fired(make.says(f"{much:.0f}"), until=START + window)
    yield Case("submissions that cost too much", run(much), fired)
    yield Case("submissions at the threshold", run(threshold), make.never(span))
    yield Case("no submissions", run(0, 0), make.never(span))


def saturation(make: CaseBuilder) -> Iterator[Case]:
    span = START + make.pending + 600

    def run(active: int, limit: int, busy: float = span) -> dict[str, str]:
        return make.hosts(
            l2_parallel_workers_active=(
                make.steps((0, START), (active, busy), (0, span)),
                make.steps((0, 2 * span)),
            ),
            l2_parallel_workers_limit=make.steps((limit, 2 * span)),
        )

    yield Case("all workers busy", run(8, 8), make.fired(make.says("8"), until=START + span))
    yield Case("all but one", run(7, 8), make.never(span))
    yield Case("not for long", run(8, 8, busy=make.pending / 2), make.never(span))
    yield Case("no limit known", run(0, 0), make.never(span))


def stale(make: CaseBuilder) -> Iterator[Case]:
    late = make.number("intervals") * make.seconds("interval")
    memory = make.seconds("memory")
    metric = "l2_last_run_success_timestamp_seconds"
    says = "The last successful run ended {} ago."

    def run(values: str, span: float) -> dict[str, str]:
        # Host b succeeds again and again.
        return {**make.hosts(**{metric: (values, make.line(make.scrape, span, 0))})}

    span = START + late + make.pending + 600
    slack = 2 * make.scrape
    at = START + late + make.pending + slack
    yield Case(
        "no run since the last success",
        run(make.steps((START, span)), span),
        (
            Check(START + late + make.pending - slack),
            Check(at, says.format(human(at - START))),
        ),
    )
    at_grid = ceil((at + COARSE) / COARSE) * COARSE
    yield Case(
        "the host goes away with its figures",
        run(make.steps((START, 2 * START)), START + memory + span),
        (
            Check(START + late + make.pending - slack),
            Check(at_grid, says.format(human(at_grid - START))),
            Check(2 * START + memory + 2 * COARSE),
        ),
        coarse=True,
    )
    yield Case(
        "no success ever",
        run(make.steps((0, span)), span),
        (Check(at, says.format(human(at))),),
    )
    fine = make.steps((START, START + late), (START + late - 60, late), (0, 0))
    yield Case("a success in time", run(fine, span), make.never(START + late + late - 120))


def failed(make: CaseBuilder) -> Iterator[Case]:
    metric = "l2_last_run_exit_status"
    span = START + make.pending + 600
    text = "It ended with exit status {}; finished proofs are in the cache."

    def run(status: int) -> dict[str, str]:
        bad = make.steps((0, START), (status, span), (0, span))
        return make.hosts(**{metric: (bad, make.steps((0, START + 2 * span)))})

    yield Case("a failure", run(1), make.fired(text.format(1), until=START + span))
    stopped = text.format("130 (stopped by a person or a signal)")
    yield Case("a run that was stopped", run(130), make.fired(stopped))
    yield Case("a success", run(0), make.never(span))


def missing(make: CaseBuilder) -> Iterator[Case]:
    metric = "l2_last_run_completion_timestamp_seconds"
    memory = make.seconds("memory")
    span = START + make.pending + 600
    gone = "The runner's metrics are missing from a:9100 (node)"
    yield Case(
        "a host's figures go",
        make.hosts(**{metric: (make.steps((START, START)), make.steps((START, span + memory)))}),
        # Without a staleness marker the last sample counts for another five minutes.
        (
            Check(START + make.pending - 30),
            Check(START + 300 + make.pending + 2 * COARSE, make.says(), gone),
            Check(START + memory + 2 * COARSE),
        ),
        coarse=True,
    )
    nobody = "The runner's metrics are missing"
    expected = Check(make.pending + 60, make.says(), nobody, ())
    yield Case("no host ever had any", {"up": make.steps((1, span))}, (Check(60), expected))
    yield Case("all is there", make.hosts(**{metric: make.steps((START, span))}), make.never(span))


def scrape_error(make: CaseBuilder) -> Iterator[Case]:
    span = START + make.pending + 600
    bad = make.steps((0, START), (1, span), (0, span))
    fine = make.steps((0, START + 2 * span))
    metric = "node_textfile_scrape_error"
    fired = make.fired(make.says(), until=START + span)
    yield Case("a bad file", make.hosts(**{metric: (bad, fine)}), fired)
    yield Case("good files", make.hosts(**{metric: fine}), make.never(span))


CASES: dict[str, Callable[[CaseBuilder], Iterator[Case]]] = {
    "LowCacheHitRate": hit_rate,
    "TPSDrop": tps,
    "HighErrorRate": error_rate,
    "ErrorBurst": stepped("l2_errors_total"),
    "L1GasAnomaly": gas,
    "WorkerSaturation": saturation,
    "BatchStale": stale,
    "BatchFailed": failed,
    "MetricsMissing": missing,
    "PushFailed": stepped("l2_push_failures_total"),
    "TextfileScrapeError": scrape_error,
}


def human(seconds: float) -> str:
    """A duration of a minute or more as Prometheus' humanizeDuration writes it."""
    whole = int(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    text = f"{minutes}m {whole % 60}s"
    if hours or days:
        text = f"{hours}h {text}"
    return f"{days}d {text}" if days else text


def documents(folder: Path, rules: str) -> dict[str, dict[str, Any]]:
    """All cases of the alerts that are on, as promtool reads them, by file name.

    Args:
        folder: The folder of the configuration.
        rules: The path of the rule file as seen from the test files.
    """
    common, configured = config.load(folder)
    scrape = common.scrape_interval
    tests: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for alert in configured:
        if alert.enabled:
            for case in CaseBuilder(alert, scrape.seconds).cases():
                tests[case.coarse].append(_test(alert, case, str(scrape)))
    return {
        name: {"rule_files": [rules], "evaluation_interval": every, "tests": tests[coarse]}
        for name, coarse, every in (
            ("alerts.yml", False, str(scrape)),
            ("alerts_over_a_day.yml", True, f"{COARSE}s"),
        )
        if tests[coarse]
    }


def _test(alert: ConfiguredAlert, case: Case, interval: str) -> dict[str, Any]:
    name = alert.alert.name
    return {
        "name": f"{name}: {case.what}",
        "interval": interval,
        "input_series": [{"series": s, "values": values} for s, values in case.series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{check.at:.0f}s",
                "alertname": name,
                "exp_alerts": [] if check.description is None else [_expected(alert, check)],
            }
            for check in case.checks
        ],
    }


def _expected(alert: ConfiguredAlert, check: Check) -> dict[str, Any]:
    labels = dict(check.labels)
    summary = check.summary
    if summary is None:
        summary = alert.filled(alert.alert.summary)
        for name, value in labels.items():
            summary = summary.replace(f"{{{{ $labels.{name} }}}}", value)
    return {
        "exp_labels": {"severity": alert.severity, **labels},
        "exp_annotations": {
            "summary": summary,
            "description": check.description,
            "runbook_url": alert.runbook,
        },
    }


def render(folder: Path = config.CONF, rules: str | None = None) -> dict[str, str]:
    """The files' texts by name. The same configuration always gives the same texts."""
    shipped = os.path.relpath(RULES, FOLDER)
    head = "# Made by `python -m tests.alerts.cases` from conf/alerts; changes here are lost.\n"
    made = documents(folder, rules or shipped)
    return {
        name: head + yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=1000)
        for name, content in made.items()
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in render().items():
        (FOLDER / file).write_text(text, encoding="utf-8")
    sys.stdout.write(f"wrote {FOLDER.relative_to(SHIPPED)}/\n")
