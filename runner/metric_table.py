"""Every metric, declared once. The textfile, the docs and the checks on alert rules follow from it.

A metric's object has the metric's name, without ``l2_`` and ``_total``. To add a metric, declare it
at its place in the textfile and let the runner count it (``runner/batch/counters.py``).
"""

from __future__ import annotations

from functools import partial
from typing import get_args

from runner.metric_kinds import (
    ByBuild,
    ByGpu,
    ByGuestAndType,
    ByHost,
    ByReason,
    ByStage,
    ByState,
    ByStrategy,
    ByUnit,
    ByWay,
    ByZkvmAndKind,
    Counter,
    CycleType,
    Gauge,
    Histogram,
    Metric,
    NoLabels,
    Quotient,
    Stage,
    Way,
)

_OUTCOMES = "outcomes of finished jobs"
_CLOCK = "wall clock of the prover call in the worker"
_LOOKUPS = "look-ups in the proof cache"
_RUN = "the run itself"
_BATCH = "the result of the batch"
_L1_RECEIPTS = "receipts of L1 transactions"
_L1_LOOKS = "looks at the L1"
_L1_STORE = "the submissions on disk"
_GAS_MODEL = "the gas per proof that the model takes; no L1 is asked"

_counter = partial(Counter, NoLabels)
_gauge = partial(Gauge, NoLabels)


def _declared() -> tuple[Metric, ...]:
    """All metrics that are declared so far, in that order."""
    return tuple(value for value in globals().values() if isinstance(value, Metric))


AGGREGATION = _counter(
    "l2_aggregation_total",
    "Aggregations: batches whose leaf proofs were aggregated into one root that was proved by the "
    "run itself and then verified.",
    _BATCH,
)
AGGREGATION_STRATEGY = Counter(
    ByStrategy,
    "l2_aggregation_strategy_total",
    "Aggregations, as l2_aggregation_total counts them, by the strategy that the batch resolved "
    "to.",
    _BATCH,
    initial={"strategy": ("single", "two_level", "three_level")},
)
AGGREGATION_DURATION_MS = _counter(
    "l2_aggregation_duration_ms_total",
    "Wall time of making the aggregation proofs of the batches counted in l2_aggregation_total, "
    "summed over jobs, which may overlap.",
    _CLOCK,
    "ms",
)
AGGREGATION_PROOF_COUNT = _counter(
    "l2_aggregation_proof_count",
    "Leaf proofs aggregated: all leaves of the batches counted in l2_aggregation_total, also those "
    "whose proofs came from the cache.",
    _BATCH,
    "proofs",
)
TPS_CURRENT = _gauge(
    "l2_tps_current",
    "Leaf proofs made and aggregated per second of wall time, in the last batch; those from the "
    "cache do not count, and 0 says that nothing was aggregated.",
    "leaf proofs made and wall time of the last batch",
    "proofs/s",
)
TPS_AVERAGE = Quotient(
    NoLabels,
    "l2_tps_average",
    "Leaf proofs made and aggregated per second of wall time, over all batches counted in "
    "l2_aggregation_total.",
    "l2_aggregation_made_leaves_total / l2_aggregation_batch_seconds_total",
    "proofs/s",
    of=lambda: (AGGREGATION_MADE_LEAVES, AGGREGATION_BATCH_SECONDS),
)
GAS_SAVINGS_PERCENT = _gauge(
    "l2_gas_savings_percent",
    "Model, not measured: gas saved on an L1 by verifying the last batch's result in place of its "
    "leaf proofs.",
    _GAS_MODEL,
    "%",
)
PROOF_SIZE_SAVINGS_PERCENT = _gauge(
    "l2_proof_size_savings_percent",
    "Measured: how much smaller the last batch's result is than its leaf receipts together; near "
    "0 or below with composite receipts, which carry their children.",
    "lengths of the encoded receipts",
    "%",
)
CACHE_HITS = _counter("l2_cache_hits_total", "Proofs taken from the cache.", _LOOKUPS)
CACHE_MISSES = _counter(
    "l2_cache_misses_total", "Proofs looked for in vain in the cache.", _LOOKUPS
)
CACHE_EVICTIONS = _counter(
    "l2_cache_evictions_total",
    "Proofs removed from the cache to stay within its bounds.",
    "results of cache writes",
)
CACHE_HIT_RATE = _gauge(
    "l2_cache_hit_rate",
    "Share of look-ups in the last batch that hit the cache; 0 when nothing was looked up.",
    _LOOKUPS,
    "%",
)
PROOF_GENERATION = _counter(
    "l2_proof_generation_total",
    "Proofs made, leaves and aggregations; neither execute-only runs nor cached proofs count.",
    _OUTCOMES,
)
PROOF_VERIFICATION = _counter(
    "l2_proof_verification_total",
    "Receipts verified, cached ones and children of aggregations included.",
    _OUTCOMES,
)
PROOF_GENERATION_DURATION_MS = _counter(
    "l2_proof_generation_duration_ms_total",
    "Wall time of making proofs, summed over jobs, which may overlap.",
    _CLOCK,
    "ms",
)
PROOF_VERIFICATION_DURATION_MS = _counter(
    "l2_proof_verification_duration_ms_total",
    "Wall time of verifying receipts, summed over jobs, which may overlap.",
    "wall clock of the verifier call",
    "ms",
)
PARALLEL_WORKERS_ACTIVE = _gauge(
    "l2_parallel_workers_active",
    "Workers busy with a job now; 0 in the file of a run that has ended.",
    "the executor",
)
L1_SUBMISSION_GAS_USED = _counter(
    "l2_l1_submission_gas_used",
    "Gas used by submissions of batches to an L1, reverted ones included; each transaction counts "
    "once.",
    _L1_RECEIPTS,
    "gas",
)
ERRORS = _counter(
    "l2_errors_total",
    "Failed attempts at proofs, cached proofs that did not verify, and failed batches; those of "
    "execute mode have l2_executed_errors_total.",
    _OUTCOMES,
)

CONTRACT = _declared()
"""The names that other systems rely on: none may change or go."""

AGGREGATION_BATCH_SECONDS: Counter[[]] = _counter(
    "l2_aggregation_batch_seconds_total",
    "Wall time of the batches counted in l2_aggregation_total.",
    "wall clock of the batch",
    "seconds",
)
AGGREGATION_MADE_LEAVES: Counter[[]] = _counter(
    "l2_aggregation_made_leaves_total",
    "Leaf proofs that the runs counted in l2_aggregation_total made themselves; leaves that are "
    "the same share one proof.",
    _BATCH,
    "proofs",
)
AGGREGATION_CACHED_LEAVES = _counter(
    "l2_aggregation_cached_leaves_total",
    "Leaf proofs that the runs counted in l2_aggregation_total took from the cache; leaves that "
    "are the same share one proof.",
    _BATCH,
    "proofs",
)
AGGREGATION_CACHED_BATCHES = _counter(
    "l2_aggregation_cached_batches_total",
    "Batches whose root came from the cache and was verified, so that nothing was aggregated; "
    "they count in no other l2_aggregation_* metric of batches.",
    _BATCH,
)
AGGREGATION_PROOF_GENERATION = _counter(
    "l2_aggregation_proof_generation_total",
    "Aggregation proofs made: every node of the trees above the leaves, also of batches that "
    "failed later.",
    _OUTCOMES,
)
AGGREGATION_PROOF_GENERATION_DURATION_SECONDS = Histogram(
    NoLabels,
    "l2_aggregation_proof_generation_duration_seconds",
    "Wall time of making one aggregation proof.",
    _CLOCK,
    "seconds",
)
PROOF_GENERATION_DURATION_SECONDS = Histogram(
    ByZkvmAndKind,
    "l2_proof_generation_duration_seconds",
    "Wall time of making one proof, leaf or aggregation, by zkVM and kind of receipt.",
    _CLOCK,
    "seconds",
    initial={"kind": ("composite", "succinct", "groth16")},
)
PROOF_VERIFICATION_DURATION_SECONDS = Histogram(
    NoLabels,
    "l2_proof_verification_duration_seconds",
    "Wall time of verifying one job's receipt and its children's.",
    "wall clock of the verifier call",
    "seconds",
)
CACHE_HIT_RATIO = _gauge(
    "l2_cache_hit_ratio", "l2_cache_hit_rate as a ratio from 0 to 1.", _LOOKUPS, "ratio"
)
PROOF_SIZE_SAVINGS_RATIO = _gauge(
    "l2_proof_size_savings_ratio",
    "l2_proof_size_savings_percent as a ratio; below 0 when the result is larger.",
    "lengths of the encoded receipts",
    "ratio",
)
MODEL_GAS_SAVINGS_RATIO = _gauge(
    "l2_model_gas_savings_ratio",
    "Model, not measured: l2_gas_savings_percent as a ratio.",
    _GAS_MODEL,
    "ratio",
)
RECEIPT_BYTES = Gauge(
    ByStage,
    "l2_receipt_bytes",
    "Size of the last batch's receipts: its leaf receipts together (before) and what is left to "
    "submit (after).",
    "lengths of the encoded receipts",
    "bytes",
    initial={"stage": get_args(Stage)},
)
GUEST_CYCLES = Counter(
    ByGuestAndType,
    "l2_guest_cycles_total",
    "zkVM cycles of guest runs that were proved: instructions (user), page traffic (paging), and "
    "all after padding to powers of two (total).",
    "the zkVM's executor",
    "cycles",
    initial={"type": get_args(CycleType)},
)
SEGMENTS = _counter(
    "l2_segments_total", "Segments of guest runs that were proved.", "the zkVM's executor"
)
JOB_RETRIES = _counter("l2_job_retries_total", "Attempts at proofs after the first.", _OUTCOMES)
EXECUTED_BATCHES = _counter(
    "l2_executed_batches_total",
    "Batches that execute mode ran to their end, with or without an aggregation.",
    _BATCH,
)
EXECUTED_LEAVES = _counter(
    "l2_executed_leaves_total",
    "Leaves of the batches counted in l2_executed_batches_total.",
    _BATCH,
)
EXECUTED_AGGREGATIONS = _counter(
    "l2_executed_aggregations_total",
    "Batches that execute mode aggregated into one root: what l2_aggregation_total counts where "
    "batches are proved.",
    _BATCH,
)
EXECUTED_AGGREGATION_RUNS = _counter(
    "l2_executed_aggregation_runs_total",
    "Runs of the aggregator in execute mode: what l2_aggregation_proof_generation_total counts "
    "where batches are proved.",
    _OUTCOMES,
)
EXECUTIONS = _counter(
    "l2_executions_total",
    "Guest runs in execute mode, of leaves and of the aggregator, which prove nothing.",
    _OUTCOMES,
)
EXECUTED_CYCLES = Counter(
    ByGuestAndType,
    "l2_executed_cycles_total",
    "zkVM cycles of guest runs in execute mode, of the types of l2_guest_cycles_total.",
    "the zkVM's executor",
    "cycles",
    initial={"type": get_args(CycleType)},
)
LONG_RUNS = _counter(
    "l2_long_runs_total",
    "Guest runs that had several segments, whose segments were proved one by one.",
    _OUTCOMES,
)
SEGMENT_PROOFS = _counter(
    "l2_segment_proofs_total",
    "Segments of such runs that were proved; those from the cache are not counted.",
    _OUTCOMES,
)
SEGMENT_PROOF_DURATION_SECONDS = Histogram(
    NoLabels,
    "l2_segment_proof_duration_seconds",
    "Time to prove one segment of such a run.",
    _CLOCK,
    "seconds",
)
SEGMENT_JOINS = _counter(
    "l2_segment_joins_total",
    "Receipts of such segments that were lifted or joined to one of constant size; those from the "
    "cache are not counted.",
    _OUTCOMES,
)
SEGMENT_JOIN_DURATION_SECONDS = Histogram(
    NoLabels,
    "l2_segment_join_duration_seconds",
    "Time to lift the receipt of one such segment, or to join two.",
    _CLOCK,
    "seconds",
)
EXECUTED_SEGMENTS = _counter(
    "l2_executed_segments_total", "Segments of guest runs in execute mode.", "the zkVM's executor"
)
EXECUTED_ERRORS = _counter(
    "l2_executed_errors_total",
    "Failed attempts at jobs in execute mode, and failed batches of it.",
    _OUTCOMES,
)
EXECUTED_RETRIES = _counter(
    "l2_executed_retries_total", "Attempts at jobs after the first, in execute mode.", _OUTCOMES
)
GPU_PROOFS = _counter(
    "l2_gpu_proofs_total",
    "Proofs that a GPU made; they are among those of l2_proof_generation_total.",
    _OUTCOMES,
)
CUDA_ERRORS = _counter(
    "l2_cuda_errors_total",
    "Attempts at proofs that failed on a GPU; always 0 without the extension for GPUs.",
    _OUTCOMES,
)
GPUS_SET_ASIDE = _gauge(
    "l2_gpus_set_aside",
    "GPUs that failed during the last run and were set aside, so that the CPU proved instead.",
    _OUTCOMES,
)
GPU_UTILIZATION_RATIO = Gauge(
    ByGpu,
    "l2_gpu_utilization_ratio",
    "Mean share of the last run in which a kernel ran on the GPU; with the extension for GPUs.",
    "the NVIDIA driver, several samples a second",
    "ratio",
)
GPU_MEMORY_USED_BYTES = Gauge(
    ByGpu,
    "l2_gpu_memory_used_bytes",
    "Most GPU memory in use at once during the last run, by any process.",
    "the NVIDIA driver, several samples a second",
    "bytes",
)
STORE_BYTES = Counter(
    ByWay,
    "l2_store_bytes_total",
    "Bytes of receipts that workers elsewhere took from the store (fetched), needed and had on "
    "their own disks (kept), and gave to the store (sent).",
    _OUTCOMES,
    "bytes",
    initial={"way": get_args(Way)},
)
STORE_ERRORS = _counter(
    "l2_store_errors_total",
    "Jobs that finished although the store failed them, e.g. by a receipt that went through the "
    "runner.",
    _OUTCOMES,
)
HOST_JOBS = Gauge(
    ByHost,
    "l2_host_jobs",
    "Jobs of the last run by the machine that finished them, where workers may be elsewhere; of "
    "more than 32 machines the further ones count as (others).",
    _OUTCOMES,
    "jobs",
)
QUEUE_DEPTH = _gauge(
    "l2_queue_depth",
    "Jobs that could start now but have no worker; 0 in the file of a run that has ended.",
    "the executor",
)
PARALLEL_WORKERS_LIMIT = _gauge(
    "l2_parallel_workers_limit",
    "Workers the last run was configured to use.",
    "executor configuration",
)
L1_SUBMISSIONS = _counter(
    "l2_l1_submissions_total",
    "Submissions of batches that are in a block of an L1, reverted ones included.",
    _L1_RECEIPTS,
)
L1_FEES_ETH = _counter(
    "l2_l1_fees_eth_total",
    "What our transactions on an L1 have cost: the submissions, and deployments of the registry.",
    _L1_RECEIPTS,
    "ETH",
)
L1_INCLUSION_SECONDS = Histogram(
    NoLabels,
    "l2_l1_inclusion_seconds",
    "Time from the first sending of a submission to the first look that found it in a block.",
    _L1_LOOKS,
    "seconds",
)
L1_CONFIRMATION_SECONDS = Histogram(
    NoLabels,
    "l2_l1_confirmation_seconds",
    "Time from the first sending of a submission to the first look that found all confirmations.",
    _L1_LOOKS,
    "seconds",
)
L1_BATCHES = Gauge(
    ByState,
    "l2_l1_batches",
    "Batches that were submitted with the last account, by where their submission stands.",
    _L1_STORE,
    kept=True,
)
L1_OLDEST_OPEN_TIMESTAMP_SECONDS = _gauge(
    "l2_l1_oldest_open_timestamp_seconds",
    "Unix time at which the oldest transaction that is not confirmed was signed; 0 if there is "
    "none.",
    _L1_STORE,
    "seconds",
    kept=True,
)
L1_LAST_CONFIRMATION_TIMESTAMP_SECONDS = _gauge(
    "l2_l1_last_confirmation_timestamp_seconds",
    "Unix time at which a batch was last found confirmed; 0 when none was.",
    _L1_STORE,
    "seconds",
    kept=True,
)
L1_LAST_LOOK_TIMESTAMP_SECONDS = _gauge(
    "l2_l1_last_look_timestamp_seconds",
    "Unix time of the last look at an L1; 0 when there was none.",
    _L1_LOOKS,
    "seconds",
    kept=True,
)
L1_BALANCE_ETH = _gauge(
    "l2_l1_balance_eth",
    "What the account that pays owned at the last look.",
    _L1_LOOKS,
    "ETH",
    kept=True,
)
L1_BASE_FEE_GWEI = _gauge(
    "l2_l1_base_fee_gwei",
    "The L1's base fee for a unit of gas at the last look.",
    _L1_LOOKS,
    "gwei",
    kept=True,
)
L1_EFFECTIVE_GAS_PRICE_GWEI = _gauge(
    "l2_l1_effective_gas_price_gwei",
    "What the last batch's transaction paid for a unit of gas.",
    _L1_RECEIPTS,
    "gwei",
    kept=True,
)
L1_MEASURED_GAS_SAVINGS_RATIO = _gauge(
    "l2_l1_measured_gas_savings_ratio",
    "Measured: by how much the last batch's transaction used less gas than its leaves would have "
    "one by one, by the node's estimates; l2_gas_savings_percent is the model's.",
    _L1_RECEIPTS,
    "ratio",
    kept=True,
)
L1_FEE_BUMPS = _counter(
    "l2_l1_fee_bumps_total",
    "Transactions that were signed again with higher fees.",
    _L1_STORE,
)
L1_REVERTS = _counter(
    "l2_l1_reverts_total",
    "Transactions that a contract refused in their block.",
    _L1_RECEIPTS,
)
L1_REORGS = _counter(
    "l2_l1_reorgs_total",
    "Times that a block with our transaction was the L1's no more.",
    _L1_LOOKS,
)
L1_FAILURES = Counter(
    ByReason,
    "l2_l1_failures_total",
    "Attempts to bring a batch onto an L1 that ended without it, by the class of failure.",
    _L1_LOOKS,
)
L1_RPC_ERRORS = Counter(
    ByReason,
    "l2_l1_rpc_errors_total",
    "Calls to an L1's node that failed, by the class of failure, reverts among them.",
    "answers of the node",
)
PUSH_FAILURES = _counter(
    "l2_push_failures_total",
    "Pushes to the Pushgateway that failed; the batch and its figures stand.",
    "answers of the Pushgateway",
)
LAST_RUN_START_TIMESTAMP_SECONDS = _gauge(
    "l2_last_run_start_timestamp_seconds",
    "Unix time at which the last run started.",
    _RUN,
    "seconds",
)
LAST_RUN_COMPLETION_TIMESTAMP_SECONDS = _gauge(
    "l2_last_run_completion_timestamp_seconds",
    "Unix time at which the last run ended, well or not.",
    _RUN,
    "seconds",
)
LAST_RUN_SUCCESS_TIMESTAMP_SECONDS = _gauge(
    "l2_last_run_success_timestamp_seconds",
    "Unix time at which a run last ended well; 0 when none has.",
    _RUN,
    "seconds",
    kept=True,
)
LAST_RUN_DURATION_SECONDS = _gauge(
    "l2_last_run_duration_seconds", "Wall time of the last run.", _RUN, "seconds"
)
LAST_RUN_EXIT_STATUS = _gauge(
    "l2_last_run_exit_status", "Exit status of the last run; 0 is success.", _RUN
)
LAST_RUN_LEAVES = _gauge("l2_last_run_leaves", "Leaves in the last run's batch.", _RUN)
LAST_RUN_WORK_PER_SECOND = Gauge(
    ByUnit,
    "l2_last_run_work_per_second",
    "Work of the leaves that the last run has proved for each second of wall time, in the unit "
    "that the guest's config names, e.g. transfers. What came from the cache does not count.",
    "the leaves' journals and the wall time of the last run",
)
BUILD_INFO = Gauge(
    ByBuild,
    "l2_build_info",
    "Always 1; the labels say what made these figures.",
    "package, zkVM and configuration of the last run",
)

METRICS = _declared()
"""All metrics, in the order of the textfile."""

L1_METRICS = tuple(metric for metric in METRICS if metric.name.startswith("l2_l1_"))
"""The metrics of submissions to an L1, which come from outside of runs, too."""
