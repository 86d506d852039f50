"""What can be counted exactly: cycles and segments, plan sizes, memory of a plan, receipt bytes.

    python benchmarks/exact.py            count, compare with benchmarks/exact.json
    python benchmarks/exact.py --write    accept what was counted
    ... --real                            receipt bytes too: one leaf and one aggregation are proved

Exit code 0: as recorded, or written; 1: something differs (a table says what); 2: unusable input.
A test counts the same and compares, so a change in any figure is a decision somebody takes.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import tracemalloc
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import builders
import runner_risc0 as native

from runner.monitoring.ledger import Ledger
from runner.monitoring.textfile import write_textfile
from runner.plan.strategy import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Figures = dict[str, dict[str, dict[str, int]]]
"""Section, item, figure: ``{"plans": {"single 6": {"jobs": 7}}}``."""

RECORDED = Path(__file__).resolve().with_name("exact.json")
ACCEPT = "make bench-exact ARGS=--write"
TOLERANCE = {"memory": 0.01}
"""Share by which a section may differ; the others must be equal. Bytes of Python objects do not
depend on the hash seed, but by up to 0.2 % on the Python version (3.11 to 3.13) and on what the
process did before."""

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
    """Cycles and segments of guest runs, from the zkVM's executor."""
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
    """Proofs to make, depth, parent-child edges and widest aggregation."""
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
    """Bytes that Python allocates for a plan: at the worst moment, and for as long as it lives."""
    found = {}
    for strategy in ("two_level", "three_level"):
        leaves = tuple(range(10_000))
        make_plan(strategy, leaves)  # what is made once a process is there already
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
    """Files and folders that Python code waits for until they are on disk (not SQLite's own)."""
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
    """How often ``action`` calls ``os.fsync``."""
    with mock.patch.object(os, "fsync", wraps=os.fsync) as fsync:
        action()
    return fsync.call_count


def receipts() -> dict[str, dict[str, int]]:
    """Bytes of a leaf's composite receipt and of an aggregation over it, from real proofs.

    ``seal`` is the proof itself, an aggregation's with its child's; ``envelope`` the rest: claims,
    journals, lengths, versions.
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
    """Everything; ``receipts`` only with ``real``, which takes proofs."""
    found = {"guests": guests(), "plans": plans(), "memory": memory(), "files": files()}
    return found | ({"receipts": receipts()} if real else {})


def differences(recorded: Figures, found: Figures) -> list[tuple[str, str, str, str]]:
    """Rows (what, recorded, found, change) of every figure that is not as recorded.

    Args:
        recorded: all sections.
        found: the sections to compare; a section that is missing here is not compared.
    """
    rows = []
    for section, items in found.items():
        old, new = dict(_flat(recorded.get(section, {}))), dict(_flat(items))
        for name in [*old, *(name for name in new if name not in old)]:
            before, after = old.get(name), new.get(name)
            if before is None or after is None:
                change = "new" if before is None else "gone"
                rows.append((f"{section}: {name}", _shown(before), _shown(after), change))
            elif abs(after - before) > TOLERANCE.get(section, 0) * before:
                change = f"{after / before - 1:+.2%}" if before else "from 0"
                rows.append((f"{section}: {name}", _shown(before), _shown(after), change))
    return rows


def table(rows: list[tuple[str, str, str, str]]) -> str:
    """The rows for people, and how to accept them."""
    head = ("figure", "recorded", "now", "change")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(4)]
    lines = []
    for what, *figures in [head, *rows]:
        right = "  ".join(f"{f:>{w}}" for f, w in zip(figures, widths[1:], strict=True))
        lines.append(f"{what:<{widths[0]}}  {right}")
    real = " ARGS='--write --real'" if any(row[0].startswith("receipts") for row in rows) else ""
    accept = f"make bench-exact{real}" if real else ACCEPT
    return "\n".join([*lines, "", f"If this is meant: `{accept}`, and commit exact.json."])


def load(path: Path) -> Figures:
    """The recorded figures.

    Raises:
        OSError: cannot be read.
        ValueError: not JSON.
    """
    figures: Figures = json.loads(path.read_text(encoding="utf-8"))
    return figures


def save(figures: Figures, path: Path) -> None:
    """One item a line, so that a diff shows what changed."""
    sections = []
    for section, items in figures.items():
        lines = [f"    {json.dumps(name)}: {json.dumps(item)}" for name, item in items.items()]
        sections.append(f"  {json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n  }")
    path.write_text("{\n" + ",\n".join(sections) + "\n}\n", encoding="utf-8")


def _shown(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _flat(items: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[str, int]]:
    for item, figures in items.items():
        for figure, value in figures.items():
            yield f"{item}, {figure}", value


def main(arguments: list[str] | None = None, path: Path = RECORDED) -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="accept what was counted")
    parser.add_argument("--real", action="store_true", help="receipt bytes too (half a minute)")
    options = parser.parse_args(arguments)
    try:
        recorded = load(path) if path.exists() else {}
    except (OSError, ValueError) as error:
        print(
            f"{RECORDED}: {error}; restore it from git, or remove it and --write", file=sys.stderr
        )
        return 2
    found = count(real=options.real)
    if options.write:
        save({**recorded, **found}, path)
        kept = "" if options.real or "receipts" not in recorded else "; receipts as they were"
        print(f"written to {path}{kept}")
        return 0
    rows = differences(recorded, found)
    figures = sum(1 for items in found.values() for _ in _flat(items))
    print(table(rows) if rows else f"{figures} figures, all as recorded in {path.name}")
    return 1 if rows else 0


if __name__ == "__main__":
    sys.exit(main())
