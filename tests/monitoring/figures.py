"""Runs with figures that are always equal, and what a textfile shows of them."""

from __future__ import annotations

import multiprocessing
import shutil
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from runner.metric_table import (
    AGGREGATION_PROOF_GENERATION_DURATION_SECONDS,
    GUEST_CYCLES,
    SEGMENTS,
)
from runner.metrics import METRICS, Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

FORK = multiprocessing.get_context("fork")
FAMILIES = {metric.name.removesuffix("_total") for metric in METRICS}
NODE_EXPORTER = shutil.which("prometheus-node-exporter")


def run(weight: int = 1) -> Recorder:
    """A run with three figures that are always equal, so that a reader can compare them."""
    recorder = Recorder()
    recorder.inc(SEGMENTS, weight)
    recorder.inc(GUEST_CYCLES, weight, guest="g", type="user")
    for _ in range(weight):
        recorder.observe(AGGREGATION_PROOF_GENERATION_DURATION_SECONDS, 0.5)
    return recorder


def figures(text: str) -> tuple[float, float, float]:
    """Segments, cycles and observations in a textfile, which must be whole."""
    assert text.endswith("\n")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families.keys() == FAMILIES
    by_name = {
        (sample.name, sample.labels.get("type")): sample.value
        for name in (
            "l2_segments",
            "l2_guest_cycles",
            "l2_aggregation_proof_generation_duration_seconds",
        )
        for sample in families[name].samples
    }
    return (
        by_name["l2_segments_total", None],
        by_name["l2_guest_cycles_total", "user"],
        by_name["l2_aggregation_proof_generation_duration_seconds_count", None],
    )


def started(target: Callable[..., None], *arguments: object) -> multiprocessing.Process:
    process = FORK.Process(target=target, args=arguments)
    process.start()
    return process  # type: ignore[return-value]  # a ForkProcess is one
