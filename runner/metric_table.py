"""Every metric, declared once: textfile, docs and the checks on alert rules follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONTRACT", "METRICS", "Metric"]

_DURATIONS = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0),
)
"""Upper bounds in seconds, for all histograms alike so that they can be subtracted: milliseconds
for a verification, minutes for a proof without a GPU."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        name: as in the textfile; a histogram's series add ``_bucket``, ``_count`` and ``_sum``.
        type: what a consumer may do with it.
        help: for people, in the textfile and the docs.
        source: where the figure comes from, one phrase.
        unit: empty for a plain number.
        labels: values each label can have; () where they are not known beforehand.
        buckets: upper bounds of a histogram in ascending order, without infinity.
        quotient: of a gauge that is one counter divided by another, and never set; 0 for 0 / 0.
        kept: of a gauge that keeps its value over runs that do not set it; 0 is not set.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    help: str
    source: str
    unit: str = ""
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    quotient: tuple[str, str] | None = None
    kept: bool = False

    def series(self) -> tuple[str, ...]:
        """Names of the time series, as rules and dashboards use them."""
        if self.type == "histogram":
            return tuple(f"{self.name}_{suffix}" for suffix in ("bucket", "count", "sum"))
        return (self.name,)


_OUTCOMES = "outcomes of finished jobs"
_CLOCK = "wall clock of the prover call in the worker"
_LOOKUPS = "look-ups in the proof cache"
_RUN = "the run itself"
_GAS_MODEL = "gas per proof from the configuration; no L1 is attached"

CONTRACT: tuple[Metric, ...] = (
    Metric(
        "l2_aggregation_total",
        "counter",
        "Aggregations made, not taken from the cache; in execute mode they were run, not proved.",
        _OUTCOMES,
    ),
    Metric(
        "l2_aggregation_strategy_total",
        "counter",
        "Aggregations made, by the strategy of their batch; in execute mode run, not proved.",
        _OUTCOMES,
        labels={"strategy": ("single", "two_level", "three_level")},
    ),
    Metric(
        "l2_aggregation_duration_ms_total",
        "counter",
        "Wall time of making aggregations, summed over jobs, which may overlap.",
        _CLOCK,
        "ms",
    ),
    Metric(
        "l2_aggregation_proof_count",
        "counter",
        "Leaf proofs covered by completed aggregated results.",
        "leaves of the batches whose root was verified",
        "proofs",
    ),
    Metric(
        "l2_tps_current",
        "gauge",
        "Leaf proofs aggregated per second of wall time, in the last batch.",
        "leaves and wall time of the last batch",
        "proofs/s",
    ),
    Metric(
        "l2_tps_average",
        "gauge",
        "Leaf proofs aggregated per second of wall time, over all batches of this file.",
        "l2_aggregation_proof_count / l2_aggregation_batch_seconds_total",
        "proofs/s",
        quotient=("l2_aggregation_proof_count", "l2_aggregation_batch_seconds_total"),
    ),
    Metric(
        "l2_gas_savings_percent",
        "gauge",
        "Model, not measured: gas saved on an L1 by verifying the last batch's result in place of "
        "its leaf proofs.",
        _GAS_MODEL,
        "%",
    ),
    Metric(
        "l2_proof_size_savings_percent",
        "gauge",
        "Measured: how much smaller the last batch's result is than its leaf receipts together; "
        "near 0 or below with composite receipts, which carry their children.",
        "lengths of the encoded receipts",
        "%",
    ),
    Metric("l2_cache_hits_total", "counter", "Proofs taken from the cache.", _LOOKUPS),
    Metric("l2_cache_misses_total", "counter", "Proofs looked for in vain in the cache.", _LOOKUPS),
    Metric(
        "l2_cache_evictions_total",
        "counter",
        "Proofs removed from the cache to stay within its bounds.",
        "results of cache writes",
    ),
    Metric(
        "l2_cache_hit_rate",
        "gauge",
        "Share of look-ups in the last batch that hit the cache; 0 when nothing was looked up.",
        _LOOKUPS,
        "%",
    ),
    Metric(
        "l2_proof_generation_total",
        "counter",
        "Proofs made, leaves and aggregations; neither execute-only runs nor cached proofs count.",
        _OUTCOMES,
    ),
    Metric(
        "l2_proof_verification_total",
        "counter",
        "Receipts verified, cached ones and children of aggregations included.",
        _OUTCOMES,
    ),
    Metric(
        "l2_proof_generation_duration_ms_total",
        "counter",
        "Wall time of making proofs, summed over jobs, which may overlap.",
        _CLOCK,
        "ms",
    ),
    Metric(
        "l2_proof_verification_duration_ms_total",
        "counter",
        "Wall time of verifying receipts, summed over jobs, which may overlap.",
        "wall clock of the verifier call",
        "ms",
    ),
    Metric(
        "l2_parallel_workers_active",
        "gauge",
        "Workers busy with a job now; 0 in the file of a run that has ended.",
        "the executor",
    ),
    Metric(
        "l2_l1_submission_gas_used",
        "counter",
        "Gas used by submissions to an L1; 0 while nothing was submitted.",
        "receipts of L1 transactions",
        "gas",
    ),
    Metric(
        "l2_errors_total",
        "counter",
        "Failed attempts at jobs, cached proofs that did not verify, and failed batches.",
        _OUTCOMES,
    ),
)
"""The names other systems rely on: none may change or go."""

_EXTRAS: tuple[Metric, ...] = (
    Metric(
        "l2_aggregation_batch_seconds_total",
        "counter",
        "Wall time of the batches counted in l2_aggregation_proof_count.",
        "wall clock of the batch",
        "seconds",
    ),
    Metric(
        "l2_aggregation_duration_seconds",
        "histogram",
        "Wall time of making one aggregation.",
        _CLOCK,
        "seconds",
        buckets=_DURATIONS,
    ),
    Metric(
        "l2_proof_generation_duration_seconds",
        "histogram",
        "Wall time of making one proof, leaf or aggregation, by zkVM and kind of receipt.",
        _CLOCK,
        "seconds",
        labels={"zkvm": (), "kind": ("composite", "succinct", "groth16")},
        buckets=_DURATIONS,
    ),
    Metric(
        "l2_proof_verification_duration_seconds",
        "histogram",
        "Wall time of verifying one job's receipt and its children's.",
        "wall clock of the verifier call",
        "seconds",
        buckets=_DURATIONS,
    ),
    Metric(
        "l2_cache_hit_ratio",
        "gauge",
        "l2_cache_hit_rate as a ratio from 0 to 1.",
        _LOOKUPS,
        "ratio",
    ),
    Metric(
        "l2_proof_size_savings_ratio",
        "gauge",
        "l2_proof_size_savings_percent as a ratio; below 0 when the result is larger.",
        "lengths of the encoded receipts",
        "ratio",
    ),
    Metric(
        "l2_model_gas_savings_ratio",
        "gauge",
        "Model, not measured: l2_gas_savings_percent as a ratio.",
        _GAS_MODEL,
        "ratio",
    ),
    Metric(
        "l2_receipt_bytes",
        "gauge",
        "Size of the last batch's receipts: its leaf receipts together (before) and what is left "
        "to submit (after).",
        "lengths of the encoded receipts",
        "bytes",
        labels={"stage": ("before", "after")},
    ),
    Metric(
        "l2_guest_cycles_total",
        "counter",
        "zkVM cycles of guest runs, proved or only executed: instructions (user), page traffic "
        "(paging), and all after padding to powers of two (total).",
        "the zkVM's executor",
        "cycles",
        labels={"guest": (), "type": ("user", "paging", "total")},
    ),
    Metric(
        "l2_segments_total",
        "counter",
        "Segments of guest runs, proved or only executed.",
        "the zkVM's executor",
    ),
    Metric(
        "l2_executions_total",
        "counter",
        "Guest runs in execute mode, which prove nothing and count as proofs nowhere.",
        _OUTCOMES,
    ),
    Metric("l2_job_retries_total", "counter", "Attempts at jobs after the first.", _OUTCOMES),
    Metric(
        "l2_cuda_errors_total",
        "counter",
        "Attempts at proofs that failed on the GPU; always 0 without a CUDA build.",
        _OUTCOMES,
    ),
    Metric(
        "l2_gpu_utilization_ratio",
        "gauge",
        "Mean share of the last run in which a kernel ran on the GPU; only with a CUDA build.",
        "the NVIDIA driver, several samples a second",
        labels={"gpu": ()},
    ),
    Metric(
        "l2_gpu_memory_used_bytes",
        "gauge",
        "Most GPU memory in use at once during the last run, by any process; with a CUDA build.",
        "the NVIDIA driver, several samples a second",
        "bytes",
        labels={"gpu": ()},
    ),
    Metric(
        "l2_queue_depth",
        "gauge",
        "Jobs that could start now but have no worker; 0 in the file of a run that has ended.",
        "the executor",
    ),
    Metric(
        "l2_parallel_workers_limit",
        "gauge",
        "Workers the last run was configured to use.",
        "executor configuration",
    ),
    Metric(
        "l2_l1_submissions_total",
        "counter",
        "Submissions to an L1; 0 while nothing was submitted.",
        "receipts of L1 transactions",
    ),
    Metric(
        "l2_push_failures_total",
        "counter",
        "Pushes to the Pushgateway that failed; the batch and its figures stand.",
        "answers of the Pushgateway",
    ),
    Metric(
        "l2_last_run_start_timestamp_seconds",
        "gauge",
        "Unix time at which the last run started.",
        _RUN,
        "seconds",
    ),
    Metric(
        "l2_last_run_completion_timestamp_seconds",
        "gauge",
        "Unix time at which the last run ended, well or not.",
        _RUN,
        "seconds",
    ),
    Metric(
        "l2_last_run_success_timestamp_seconds",
        "gauge",
        "Unix time at which a run last ended well; 0 when none has.",
        _RUN,
        "seconds",
        kept=True,
    ),
    Metric("l2_last_run_duration_seconds", "gauge", "Wall time of the last run.", _RUN, "seconds"),
    Metric(
        "l2_last_run_exit_status",
        "gauge",
        "Exit status of the last run; 0 is success.",
        _RUN,
    ),
    Metric("l2_last_run_leaves", "gauge", "Leaves in the last run's batch.", _RUN),
    Metric(
        "l2_build_info",
        "gauge",
        "Always 1; the labels say what made these figures.",
        "package, zkVM and configuration of the last run",
        labels={"version": (), "zkvm": (), "zkvm_version": (), "receipt_kind": ()},
    ),
)

METRICS: tuple[Metric, ...] = CONTRACT + _EXTRAS
"""All metrics, in the order of the textfile."""
