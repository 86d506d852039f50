"""Counts cycles, plan sizes, memory of plans, synced files and receipt bytes."""

from __future__ import annotations

import gc
import os
import tempfile
import tracemalloc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import runner_risc0 as native

from benchmarks.suite import builders
from runner.monitoring.ledger import Ledger
from runner.monitoring.textfile import write_textfile
from runner.plan.strategy import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.exact.record import Figures

GUEST_RUNS: dict[str, Callable[[], builders.GuestRun]] = {
    **{f"fibonacci n={n}": partial(builders.fibonacci_run, n) for n in (0, 20, 93)},
    **{f"sha256 {n} bytes": partial(builders.sha256_run, n) for n in (0, 32, 1024, 2**20)},
    **{
        f"aggregator over {n} fibonacci": partial(builders.aggregation_run, n) for n in (1, 2, 3, 8)
    },
    "aggregator over 2 aggregates": partial(builders.second_level_run, 2),
}
PLANS = [
    *[("auto", n) for n in (1, 5, 6, 50, 51, 500, 501, 10_000, 100_000)],
    *[(name, 1000) for name in ("none", "single", "two_level", "three_level")],
]


def guests() -> dict[str, dict[str, int]]:
    """Count cycles and segments of guest runs with the zkVM's executor."""
    found = {}
    for name, build in GUEST_RUNS.items():
        run = build()
        execution = native.execute(run.elf, run.stdin, list(run.claims))
        found[name] = {
            "user": execution.user_cycles,
            "paging": execution.paging_cycles,
            "total": execution.total_cycles,
            "segments": execution.segments,
        }
    return found


def plans() -> dict[str, dict[str, int]]:
    """Count the jobs of plans, their levels, their edges, and their widest aggregation."""
    found = {}
    for strategy, leaves in PLANS:
        plan = builders.plan(strategy, leaves)
        widths = [len(aggregation.children) for aggregation in plan.aggregations]
        found[f"{strategy} {leaves}"] = {
            "jobs": plan.jobs,
            "levels": plan.levels,
            "edges": sum(widths),
            "widest": max(widths, default=0),
        }
    return found


def memory() -> dict[str, dict[str, int]]:
    """Count the bytes that Python allocates for a plan.

    ``peak`` is the most at any moment, ``kept`` is what stays for as long as the plan lives.
    """
    found = {}
    for strategy in ("two_level", "three_level"):
        leaves = tuple(range(10_000))
        make_plan(strategy, leaves)  # what is made once in a process exists from here on
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            plan = make_plan(strategy, leaves)
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        found[f"{strategy} {len(plan.leaves)}"] = {"peak": peak - before, "kept": after - before}
    return found


def files() -> dict[str, dict[str, int]]:
    """Count the files and folders that Python code waits for until they are on disk.

    SQLite's own waits are not counted.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recorder = builders.busy_recorder()
        ledger = Ledger(folder / "ledger.json", folder / "runner.prom")
        ledger.record("run-0", recorder)
        with builders.full_cache(folder / "proofs") as cache:
            actions: dict[str, Callable[[], object]] = {
                "textfile": lambda: write_textfile(folder / "x.prom", recorder.render()),
                "run into ledger and textfile": lambda: ledger.record("run-1", recorder),
                "proof into the cache": lambda: builders.put(cache, builders.KEPT),
            }
            return {what: {"fsync": syncs(action)} for what, action in actions.items()}


def syncs(action: Callable[[], object]) -> int:
    """Count how often ``action`` calls ``os.fsync``."""
    with mock.patch.object(os, "fsync", wraps=os.fsync) as fsync:
        action()
    return fsync.call_count


def receipts() -> dict[str, dict[str, int]]:
    """Count the bytes of a leaf's composite receipt and of an aggregation over it.

    Both are proved for this. ``seal`` is the proof itself, in an aggregation together with that of
    its child. ``envelope`` is the rest: claims, journals, lengths and versions.
    """
    leaf_run, run = builders.fibonacci_run(2), builders.aggregation_run(1)
    leaf = native.prove(leaf_run.elf, leaf_run.stdin, []).receipt
    found = {"leaf fibonacci": leaf}
    found["aggregation over 1 leaf"] = native.prove(run.elf, run.stdin, [leaf]).receipt
    native.verify(leaf, leaf_run.guest.image_id)
    native.verify(found["aggregation over 1 leaf"], run.guest.image_id)
    seals = {name: native.describe(receipt).seal_bytes for name, receipt in found.items()}
    return {
        name: {"bytes": len(data), "seal": seals[name], "envelope": len(data) - seals[name]}
        for name, data in found.items()
    }


def count(*, real: bool = False) -> Figures:
    """Count everything.

    Args:
        real: whether receipts are counted too, which have to be proved.
    """
    found = {"guests": guests(), "plans": plans(), "memory": memory(), "files": files()}
    return found | ({"receipts": receipts()} if real else {})
