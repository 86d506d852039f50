"""The histories of every alert: some in which it fires, and some in which it does not."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from tests.alerts.history import COARSE, START, Case, CaseBuilder, Check, human

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runner.alerts.config import ConfiguredAlert


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

    def run(
        value: float, proofs: float = 500, status: float = 0, hits: float = 0
    ) -> dict[str, str]:
        fine = make.steps((2 * threshold, START + span))
        return make.hosts(
            l2_tps_current=(make.steps((2 * threshold, START), (value, span)), fine),
            l2_aggregation_proof_count=make.steps((proofs, START + span)),
            l2_cache_hit_rate=(
                make.steps((0, START), (hits, span)),
                make.steps((0, START + span)),
            ),
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
    cached = make.number("cached")
    slowly = (Check(START), Check(at, make.says(f"{slow:.2f}")))
    yield Case("a slow batch, as much from the cache as may be", run(slow, hits=cached), slowly)
    yield Case("a batch mostly from the cache", run(slow, hits=cached + 1), make.never(at))
    yield Case(
        "a batch that failed, mostly from the cache",
        run(0, status=1, hits=cached + 1),
        (Check(START), Check(at, make.says("0.00"))),
    )
    yield Case("a batch at the threshold", run(threshold), make.never(at))
    yield Case(
        "a batch that failed",
        run(0, status=1),
        (Check(START), Check(at, make.says("0.00"))),
    )
    yield Case("a run that was stopped", run(0, status=130), make.never(at))
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


def aged(metric: str) -> Callable[[CaseBuilder], Iterator[Case]]:
    """The cases of a time that must not be longer ago than ``after``. 0 says that there is none."""

    def cases(make: CaseBuilder) -> Iterator[Case]:
        after = make.seconds("after")
        span = START + after + make.pending + 600
        slack = 2 * make.scrape
        at = START + after + make.pending + slack

        def run(values: str) -> dict[str, str]:
            return make.hosts(**{metric: (values, make.line(make.scrape, span, 0))})

        late = (
            Check(START + after + make.pending - slack),
            Check(at, make.says(human(at - START))),
        )
        yield Case("too long ago", run(make.steps((START, span))), late)
        yield Case("there is none", run(make.steps((0, span))), make.never(span))
        fine = make.steps((START, START + after - 60), (START + after - 60, 600))
        yield Case("another one in time", run(fine), make.never(START + after + 300))

    return cases


def balance(make: CaseBuilder) -> Iterator[Case]:
    threshold, span = make.number("threshold"), START + make.pending + 600

    def run(ether: float, looked: float = START) -> dict[str, str]:
        return make.hosts(
            l2_l1_balance_eth=(
                make.steps((2 * threshold, START), (ether, span)),
                make.steps((2 * threshold, START + span)),
            ),
            l2_l1_last_look_timestamp_seconds=make.steps((looked, START + span)),
        )

    fired = make.fired(make.says(f"{threshold / 2:.4f}"))
    yield Case("little is left", run(threshold / 2), fired)
    yield Case("nothing is left", run(0), make.fired(make.says("0.0000")))
    yield Case("as much as must be", run(threshold), make.never(span))
    yield Case("a host that never looked", run(0, looked=0), make.never(span))


def price(make: CaseBuilder) -> Iterator[Case]:
    threshold, span = make.number("threshold"), START + make.pending + 600

    def run(gwei: float) -> dict[str, str]:
        return make.hosts(
            l2_l1_base_fee_gwei=(
                make.steps((0, START), (gwei, span), (1, span)),
                make.steps((1, START + 2 * span)),
            ),
        )

    much = threshold + 10
    fired = make.fired(make.says(f"{much:.0f}"), until=START + span)
    yield Case("a price above the threshold", run(much), fired)
    yield Case("a price at the threshold", run(threshold), make.never(span))


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


def set_aside(make: CaseBuilder) -> Iterator[Case]:
    metric = "l2_gpus_set_aside"
    span = START + make.pending + 600

    def run(gpus: int) -> dict[str, str]:
        bad = make.steps((0, START), (gpus, span), (0, span))
        return make.hosts(**{metric: (bad, make.steps((0, START + 2 * span)))})

    yield Case("a GPU failed", run(1), make.fired(make.says("1"), until=START + span))
    yield Case("all eight failed", run(8), make.fired(make.says("8"), until=START + span))
    yield Case("no GPU failed", run(0), make.never(span))
    first = make.steps(("_", START), (1, span))
    fired = make.fired(make.says("1"))
    yield Case("the first run of a host", make.hosts(**{metric: (first, "_")}), fired)


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
    at = ceil((START + late + make.pending + slack) / make.scrape) * make.scrape
    yield Case(
        "no run since the last success",
        run(make.steps((START, span)), span),
        (
            Check(START + late + make.pending - slack),
            Check(at, says.format(human(at - START))),
        ),
    )
    coarse = max(COARSE, make.scrape)
    at_grid = ceil((at + coarse) / coarse) * coarse
    yield Case(
        "the host goes away with its figures",
        run(make.steps((START, 2 * START)), START + memory + span),
        (
            Check(START + late + make.pending - slack),
            Check(at_grid, says.format(human(at_grid - START))),
            Check(2 * START + memory + 2 * coarse),
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
    coarse = max(COARSE, make.scrape)
    long = span + memory + 4 * coarse
    gone = "The runner's metrics are missing from a:9100 (node)"
    yield Case(
        "a host's figures go",
        make.hosts(**{metric: (make.steps((START, START)), make.steps((START, long)))}),
        # Without a staleness marker the last sample counts for another five minutes.
        (
            Check(START + make.pending - 30),
            Check(START + 300 + make.pending + 3 * coarse, make.says(), gone),
            Check(memory - coarse, make.says(), gone),
            Check(START + memory + 2 * coarse),
        ),
        coarse=True,
    )
    nobody = "The runner's metrics are missing"
    # It is pending from the first evaluation on, and fires at one a little after ``for``.
    at = (ceil((make.pending + 60) / make.scrape) + 1) * make.scrape
    expected = Check(at, make.says(), nobody, ())
    up = {"up": make.steps((1, at + make.scrape))}
    yield Case("no host ever had any", up, (Check(60), expected))
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
    "L1Stuck": aged("l2_l1_oldest_open_timestamp_seconds"),
    "L1BalanceLow": balance,
    "L1PriceHigh": price,
    "L1NothingConfirmed": aged("l2_l1_last_confirmation_timestamp_seconds"),
    "L1Reverted": stepped("l2_l1_reverts_total"),
    "L1Reorg": stepped("l2_l1_reorgs_total"),
    "WorkerSaturation": saturation,
    "GPUSetAside": set_aside,
    "BatchStale": stale,
    "BatchFailed": failed,
    "MetricsMissing": missing,
    "PushFailed": stepped("l2_push_failures_total"),
    "TextfileScrapeError": scrape_error,
}


def cases_of(alert: ConfiguredAlert, scrape: float) -> tuple[Case, ...]:
    """The histories of one alert, for samples that are taken every ``scrape`` seconds."""
    return tuple(CASES[alert.alert.name](CaseBuilder(alert, scrape)))
