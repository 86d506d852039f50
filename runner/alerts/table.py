"""The alert table: each alert is declared here once, with what it watches and what it says.

The numbers are in ``conf/alerts``. In the texts, the placeholder ``<name>`` stands for the setting
of that name in the alert's file, and ``<name.s>`` for a duration in seconds. ``<or_absent>`` stands
for the hosts that must have metrics.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from runner.metric_kinds import Gauge, Metric, NoLabels

__all__ = ["ALERTS", "FOREIGN", "SEVERITIES", "Alert", "Setting"]

SEVERITIES = ("critical", "warning", "info")

FOREIGN: tuple[Metric, ...] = (
    Gauge(
        NoLabels,
        "node_textfile_scrape_error",
        "1 if a file of the textfile collector could not be read.",
        "node_exporter",
    ),
)
"""The metrics of other programs that an alert may name."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting in an alert's file.

    Attributes:
        name: the key of the setting in the file.
        kind: what the value may be: a ``number`` is 0 or more, a ``percent`` is 0 to 100, a
            ``duration`` is a time span as Prometheus writes it, and ``instances`` is a list of
            names.
    """

    name: str
    kind: Literal["number", "percent", "duration", "instances"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert.

    Attributes:
        name: the name that operators see.
        expr: the condition in PromQL, which is true while something is wrong.
        summary: one line for operators, in Prometheus' template language.
        description: one or two sentences for operators, in the same language.
        settings: the settings that the alert has besides ``for``, ``severity`` and ``enabled``.
        holds: the name of the setting that says how long the condition stays true after one run;
            empty if no setting does. The figures of a run appear all at once when it ends, so an
            alert whose ``for`` is not shorter could never fire.
        rate: the name of the setting that gives the window of ``increase()``, which needs two
            samples; empty if the alert has no such window.
    """

    name: str
    expr: str
    summary: str
    description: str
    settings: tuple[Setting, ...] = ()
    holds: str = ""
    rate: str = ""

    @property
    def file(self) -> str:
        """The name of the file with its settings: ``BatchStale`` has ``batch_stale.yaml``."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", self.name)
        return f"{words.lower()}.yaml"


_WHERE = "{{ $labels.instance }} ({{ $labels.job }})"
_WINDOW = Setting("window", "duration")
_THRESHOLD = Setting("threshold", "number")

ALERTS: tuple[Alert, ...] = (
    Alert(
        "LowCacheHitRate",
        # The share is taken of the look-ups in the window. Without any look-up it is 0 / 0, which
        # is NaN and below no threshold.
        "100 * increase(l2_cache_hits_total[<window>])\n"
        "  / (increase(l2_cache_hits_total[<window>])"
        " + increase(l2_cache_misses_total[<window>]))\n"
        "  < <threshold>",
        f"Cache hit rate below <threshold> % on {_WHERE}",
        '{{ printf "%.1f" $value }} % of the look-ups in the last <window> found their proof in'
        " the cache; the others were proved anew.",
        (Setting("threshold", "percent"), _WINDOW),
        holds="window",
        rate="window",
    ),
    Alert(
        "TPSDrop",
        # A speed of 0 says nothing on a host that has never aggregated, nor after a successful run
        # that aggregates nothing (execute mode, strategy none, a root from the cache). A low speed
        # says nothing after a successful run that took most proofs from the cache, because only
        # those that it made count. After a failed run the speed does count, but not after one that
        # somebody stopped, which says nothing of the host.
        "avg_over_time(l2_tps_current[<window>]) < <threshold>\n"
        "  unless l2_aggregation_proof_count == 0\n"
        "  unless ((l2_tps_current == 0 or l2_cache_hit_rate > <cached>)"
        " and l2_last_run_exit_status == 0)\n"
        "  unless l2_last_run_exit_status == 130",
        f"Fewer than <threshold> leaf proofs made and aggregated per second on {_WHERE}",
        'The last batch made and aggregated {{ printf "%.2f" $value }} leaf proofs per second of'
        " wall time.",
        (_THRESHOLD, Setting("cached", "percent"), _WINDOW),
    ),
    Alert(
        "HighErrorRate",
        "increase(l2_errors_total[<window>]) > <threshold>",
        f"More than <threshold> errors in <window>, for minutes on end, on {_WHERE}",
        '{{ printf "%.0f" $value }} errors in the last <window>: failed attempts at jobs, cached'
        " proofs that did not verify, failed batches.",
        (_THRESHOLD, _WINDOW),
        rate="window",
    ),
    Alert(
        "ErrorBurst",
        "increase(l2_errors_total[<window>]) > <threshold>",
        f"More than <threshold> errors in <window> on {_WHERE}",
        "Failed attempts at jobs, cached proofs that did not verify, failed batches; one run or"
        " several reported them within <window>.",
        (_THRESHOLD, _WINDOW),
        holds="window",
        rate="window",
    ),
    Alert(
        "L1GasAnomaly",
        # Without submissions the ratio is 0 / 0, which is NaN and above no threshold.
        "increase(l2_l1_submission_gas_used[<window>])\n"
        "  / increase(l2_l1_submissions_total[<window>])\n"
        "  > <threshold>",
        f"More than <threshold> gas a submission to the L1 on {_WHERE}",
        '{{ printf "%.0f" $value }} gas a submission, on average over the submissions in the last'
        " <window>.",
        (_THRESHOLD, _WINDOW),
        holds="window",
        rate="window",
    ),
    Alert(
        "L1Stuck",
        "time() - (l2_l1_oldest_open_timestamp_seconds > 0) > <after.s>",
        f"A submission to the L1 is not confirmed after <after> on {_WHERE}",
        "The oldest transaction that is not confirmed was signed"
        " {{ $value | humanizeDuration }} ago.",
        (Setting("after", "duration"),),
    ),
    Alert(
        "L1BalanceLow",
        # On a host that never looked at an L1 the balance is 0, which says nothing.
        "l2_l1_balance_eth < <threshold>\n  and l2_l1_last_look_timestamp_seconds > 0",
        f"Less than <threshold> ETH to pay the L1 with on {_WHERE}",
        'The account owned {{ printf "%.4f" $value }} ETH at the last look.',
        (_THRESHOLD,),
    ),
    Alert(
        "L1PriceHigh",
        "l2_l1_base_fee_gwei > <threshold>",
        f"Gas on the L1 costs more than <threshold> gwei on {_WHERE}",
        'The base fee was {{ printf "%.0f" $value }} gwei at the last look.',
        (_THRESHOLD,),
    ),
    Alert(
        "L1NothingConfirmed",
        # A host that never had a confirmation is the subject of L1Stuck.
        "time() - (l2_l1_last_confirmation_timestamp_seconds > 0) > <after.s>",
        f"Nothing was confirmed on the L1 for <after> on {_WHERE}",
        "The last batch was found confirmed {{ $value | humanizeDuration }} ago.",
        (Setting("after", "duration"),),
    ),
    Alert(
        "L1Reverted",
        "increase(l2_l1_reverts_total[<window>]) > <threshold>",
        f"The L1 refused a submission in its block on {_WHERE}",
        "More than <threshold> transactions reverted within <window>. Their gas is paid.",
        (_THRESHOLD, _WINDOW),
        holds="window",
        rate="window",
    ),
    Alert(
        "L1Reorg",
        "increase(l2_l1_reorgs_total[<window>]) > <threshold>",
        f"A block with a submission is the L1's no more on {_WHERE}",
        "It happened more than <threshold> times within <window>. The transactions are sent again.",
        (_THRESHOLD, _WINDOW),
        holds="window",
        rate="window",
    ),
    Alert(
        "WorkerSaturation",
        "l2_parallel_workers_active >= l2_parallel_workers_limit\n"
        "  and l2_parallel_workers_limit > 0",
        f"All workers busy on {_WHERE}",
        '{{ printf "%.0f" $value }} workers are busy, as many as the run may use.',
    ),
    Alert(
        "GPUSetAside",
        "l2_gpus_set_aside > 0",
        f"The last run set a GPU aside on {_WHERE}",
        'GPUs that failed and were set aside: {{ printf "%.0f" $value }}. The CPU proved in their'
        " place, which takes much longer.",
    ),
    Alert(
        "BatchStale",
        # last_over_time() keeps the last value of a host whose metrics have disappeared, so that
        # the alert does not resolve when the host goes silent.
        "time() - last_over_time(l2_last_run_success_timestamp_seconds[<memory>])\n"
        "  > <intervals> * <interval.s>",
        f"No successful run for <intervals> intervals of <interval> on {_WHERE}",
        # Before the first success the metric is 0, so the age is counted from 1970.
        "{{ if gt $value 1e9 }}No run has succeeded yet.{{ else }}The last successful run ended"
        " {{ $value | humanizeDuration }} ago.{{ end }}",
        (
            Setting("interval", "duration"),
            Setting("intervals", "number"),
            Setting("memory", "duration"),
        ),
        holds="memory",
    ),
    Alert(
        "BatchFailed",
        "l2_last_run_exit_status != 0",
        f"The last run failed on {_WHERE}",
        'It ended with exit status {{ printf "%.0f" $value }}'
        "{{ if eq $value 130.0 }} (stopped by a person or a signal){{ end }}; finished proofs are"
        " in the cache.",
    ),
    Alert(
        "MetricsMissing",
        # The alert watches hosts that used to have the metrics, and hosts that are named in the
        # settings and have never had them.
        "(last_over_time(l2_last_run_completion_timestamp_seconds[<memory>])"
        " unless l2_last_run_completion_timestamp_seconds)\n"
        "  <or_absent>",
        "The runner's metrics are missing"
        "{{ with $labels.instance }} from {{ . }}{{ end }}"
        "{{ with $labels.job }} ({{ . }}){{ end }}",
        "Prometheus no longer has them or never had: no run has ended there, the textfile is gone"
        " or unreadable, or the exporter is down.",
        (Setting("memory", "duration"), Setting("instances", "instances")),
        holds="memory",
    ),
    Alert(
        "PushFailed",
        "increase(l2_push_failures_total[<window>]) > <threshold>",
        f"Pushes to the Pushgateway fail on {_WHERE}",
        "More than <threshold> failed in the last <window>; what they would have shown comes with"
        " the next one that succeeds.",
        (_THRESHOLD, _WINDOW),
        holds="window",
        rate="window",
    ),
    Alert(
        "TextfileScrapeError",
        "node_textfile_scrape_error > 0",
        f"node_exporter cannot read a textfile on {_WHERE}",
        "At least one file in the textfile folder is dropped whole. It need not be the runner's.",
    ),
)
"""All alerts, in the order of the rule file."""
