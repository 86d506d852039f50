"""Every figure of a textfile, counted once more from the records of the runs."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

from runner.metric_kinds import DURATIONS

if TYPE_CHECKING:
    from pathlib import Path


def aggregations(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [job for job in record["jobs"] if job["level"] and not job["cached"]]


def root_made(record: dict[str, Any]) -> bool:
    """Whether the run made the root, which has the highest level."""
    root = max(record["jobs"], key=lambda job: job["level"])
    return bool(root["level"]) and not root["cached"]


def counted(records: list[dict[str, Any]]) -> dict[str, float]:
    """Every counter and histogram as the records give it. A series that is absent is 0."""
    found: defaultdict[str, float] = defaultdict(float)
    timed: dict[str, list[float]] = {}
    for record in records:
        count_run(record, found)
        for job in record["jobs"]:
            count_job(record, job, found, timed)
    for errors, retries in (("errors", "job_retries"), ("executed_errors", "executed_retries")):
        found[f"l2_{errors}_total"] += found[f"l2_{retries}_total"]
    exact = dict(found)
    for series, values_s in timed.items():
        name, _, labels = series.partition(" ")
        after = f" {labels}" if labels else ""
        exact[f"{name}_count{after}"] = len(values_s)
        exact[f"{name}_sum{after}"] = sum(values_s)
        for bound in (*DURATIONS, math.inf):
            parts = sorted([*labels.split(), f"le={floatToGoString(bound)}"])
            below = sum(value <= bound for value in values_s)
            exact[f"{name}_bucket {' '.join(parts)}"] = below
    return exact


def count_run(record: dict[str, Any], found: defaultdict[str, float]) -> None:
    """Count what a run counts besides its jobs."""
    executed = record["kind"] == "execute"
    found["l2_executed_errors_total" if executed else "l2_errors_total"] += (
        record["status"] == "failed"
    )
    if record["status"] != "ok":
        return
    if executed:
        found["l2_executed_batches_total"] += 1
        found["l2_executed_leaves_total"] += record["summary"]["leaves"]
        found["l2_executed_aggregations_total"] += root_made(record)
        return
    # The root is verified again when the batch ends; without a root, every leaf that a worker made.
    summary = record["summary"]
    found["l2_proof_verification_total"] += 1 if summary["levels"] else summary["made"]
    of_jobs = sum(job["verify_s"] for job in record["jobs"])
    found["l2_proof_verification_duration_ms_total"] += 1000 * (summary["verify_s"] - of_jobs)
    if root_made(record):
        leaves = [job["cached"] for job in record["jobs"] if not job["level"]]
        spent = sum(job["prove_s"] for job in aggregations(record))
        found["l2_aggregation_total"] += 1
        found[f"l2_aggregation_strategy_total strategy={record['plan']['strategy']}"] += 1
        found["l2_aggregation_duration_ms_total"] += 1000 * spent
        found["l2_aggregation_proof_count"] += summary["leaves"]
        found["l2_aggregation_made_leaves_total"] += leaves.count(False)
        found["l2_aggregation_cached_leaves_total"] += leaves.count(True)
        found["l2_aggregation_batch_seconds_total"] += summary["wall_s"]
    elif summary["levels"]:
        found["l2_aggregation_cached_batches_total"] += 1


def count_job(
    record: dict[str, Any],
    job: dict[str, Any],
    found: defaultdict[str, float],
    timed: dict[str, list[float]],
) -> None:
    """Count what one job counts."""
    executed = record["kind"] == "execute"
    retries, cycles, segments = (
        ("executed_retries", "executed_cycles", "executed_segments")
        if executed
        else ("job_retries", "guest_cycles", "segments")
    )
    found[f"l2_{retries}_total"] += max(0, job["attempts"] - 1)
    found["l2_proof_verification_total"] += job["verifications"]
    found["l2_proof_verification_duration_ms_total"] += 1000 * job["verify_s"]
    if job["cached"]:
        found["l2_cache_hits_total"] += 1
        return
    if executed:
        found["l2_executions_total"] += 1
        found["l2_executed_aggregation_runs_total"] += job["level"] > 0
    else:
        found["l2_proof_generation_total"] += 1
        found["l2_proof_generation_duration_ms_total"] += 1000 * job["prove_s"]
        found["l2_cache_misses_total"] += 1
        labels = f"kind={job['kind']} zkvm={record['versions']['zkvm']}"
        series = f"l2_proof_generation_duration_seconds {labels}"
        timed.setdefault(series, []).append(job["prove_s"])
        if job["level"]:
            found["l2_aggregation_proof_generation_total"] += 1
            series = "l2_aggregation_proof_generation_duration_seconds"
            timed.setdefault(series, []).append(job["prove_s"])
    found[f"l2_{segments}_total"] += job["segments"]
    for kind in ("user", "paging", "total"):
        series = f"l2_{cycles}_total guest={job['guest']} type={kind}"
        found[series] += job[f"{kind}_cycles"]


def shown(records: list[dict[str, Any]]) -> dict[str, float]:
    """Every gauge as the last record gives it. A gauge that is absent is 0."""
    last, totals = records[-1], counted(records)
    summary, model = last["summary"], last["summary"]["model"]
    found = {
        "l2_parallel_workers_limit": last["config"]["executor"]["workers"],
        "l2_last_run_leaves": summary["leaves"],
        "l2_last_run_start_timestamp_seconds": last["started"],
        "l2_last_run_completion_timestamp_seconds": last["finished"],
        "l2_last_run_success_timestamp_seconds": last["finished"],
        "l2_last_run_duration_seconds": summary["wall_s"],
    }
    if totals.get("l2_aggregation_batch_seconds_total"):
        found["l2_tps_average"] = (
            totals["l2_aggregation_made_leaves_total"]
            / totals["l2_aggregation_batch_seconds_total"]
        )
    if last["kind"] != "execute":
        hits = sum(job["cached"] for job in last["jobs"]) / len(last["jobs"])
        found |= {
            "l2_tps_current": summary["tps"],
            "l2_cache_hit_rate": 100 * hits,
            "l2_cache_hit_ratio": hits,
            "l2_gas_savings_percent": model["gas_savings_percent"],
            "l2_model_gas_savings_ratio": model["gas_savings_percent"] / 100,
            "l2_proof_size_savings_percent": summary["size_savings_percent"],
            "l2_proof_size_savings_ratio": summary["size_savings_percent"] / 100,
            "l2_receipt_bytes stage=before": summary["bytes_before"],
            "l2_receipt_bytes stage=after": summary["bytes_after"],
        }
    return found


def assert_counted(textfile: Path, records: list[dict[str, Any]]) -> None:
    """Check that a textfile has the series and values that the records give, and no other."""
    wanted = counted(records) | shown(records)
    # The records have the time of all verifications, and not how many were timed.
    untold = "l2_proof_verification_duration_seconds"
    seen = set()
    for family in text_string_to_metric_families(textfile.read_text()):
        for sample in family.samples:
            name = sample.name
            if name.removesuffix("_total") in {
                "l2_aggregation_proof_count",
                "l2_l1_submission_gas_used",
            }:
                name = name.removesuffix("_total")  # the parser adds this suffix
            labels = "".join(f" {key}={value}" for key, value in sorted(sample.labels.items()))
            series = name + labels
            seen.add(series)
            if name == f"{untold}_sum":
                spent = wanted["l2_proof_verification_duration_ms_total"] / 1000
                assert sample.value == pytest.approx(spent, rel=1e-6, abs=1e-6)
            elif name == "l2_build_info":
                assert (sample.value, sample.labels["receipt_kind"]) == (1, records[-1]["kind"])
            elif not name.startswith(untold):
                # A run's end is in its record a moment before it is in the metrics.
                near = 5.0 if name.startswith("l2_last_run") else 1e-6
                expected = pytest.approx(wanted.get(series, 0), rel=1e-9, abs=near)
                assert sample.value == expected, series
    assert {name for name, value in wanted.items() if value} <= seen
