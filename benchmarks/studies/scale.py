"""Large batches: which time and memory plans and executed batches take at which size.

    python -m benchmarks.studies.scale plans         10^4, 10^5 and 10^6 leaves (half a minute)
    python -m benchmarks.studies.scale batches       10^3, 10^4 and 10^5 leaves (ten minutes)
    python -m benchmarks.studies.scale batches --leaves 1000 20000 --strategies auto

Every line of the table comes from a process of its own, so that its peak of memory is its own.
Memory is the peak of resident memory (VmHWM in /proc). ``getrusage`` would not do: what it says of
a child process begins with what the parent had.

``plans`` makes and encodes the inputs, finds identical ones, and makes and validates the plan. Then
it makes what the executor (``parents``) and the record (JSON) need of the plan, and reads the plan
back as a verifier would.

``batches`` runs the whole command with ``prover=execute`` and sha256 leaves that all differ. The
peak of the workers is that of the largest one. The last line of a strategy is the slope between its
smallest and its largest batch, which is what one more leaf costs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from runner.codec.reads import word_field
from runner.engines.machine import machine, packages
from runner.plan.inputs import InputSpec, TemplateSeries, leaves
from runner.plan.plan import Plan, distinct
from runner.plan.strategy import STRATEGIES, make_plan

ROOT = Path(__file__).resolve().parents[2]
Row = dict[str, Any]
MIB = 1024 * 1024
SINGLE = 4095  # the most children that one aggregation takes


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies.scale",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("what", choices=("plans", "batches"))
    parser.add_argument("--leaves", type=int, nargs="+", help="numbers of leaves")
    parser.add_argument(
        "--strategies", nargs="+", help="strategies (plans: all of them; batches: none and auto)"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(plan(args.strategies[0], args.leaves[0])))
        return 0
    plans = args.what == "plans"
    sizes = sorted(args.leaves or ((10**4, 10**5, 10**6) if plans else (10**3, 10**4, 10**5)))
    strategies = args.strategies or ([*STRATEGIES] if plans else ["none", "auto"])
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        for strategy in strategies:
            of_one: list[Row] = []
            for size in sizes:
                if plans and strategy == "single" and size > SINGLE:
                    size = SINGLE  # noqa: PLW2901  # measured once, at the largest size that it can do
                    if of_one:
                        break
                row = measured(strategy, size) if plans else batch(Path(name), strategy, size)
                of_one.append({"strategy": strategy, "leaves": size, **row})
                show(of_one[-1])
            if len(of_one) > 1:
                show(slope(of_one[0], of_one[-1]))
            rows += of_one
    print(json.dumps({"machine": machine(), **packages(), "rows": rows}))
    return 0


def show(row: Row) -> None:
    told = [f"{row['strategy']:<12} {row['leaves']:>9,}"]
    for name, value in row.items():
        if name in ("strategy", "leaves"):
            continue
        number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
        told.append(f"{name} {number}")
    print("  ".join(told), flush=True)


def slope(small: Row, large: Row) -> Row:
    """Say by how many bytes and microseconds everything grows with one more leaf."""
    more = large["leaves"] - small["leaves"]
    found: Row = {"strategy": "  a leaf more", "leaves": more}
    for name, value in large.items():
        if name in ("strategy", "leaves", "aggregations", "leaves a second"):
            continue
        unit, factor = ("bytes", MIB) if name.endswith("MiB") else ("µs", 1e6)
        found[f"{name.rpartition(' ')[0]} {unit}"] = (value - small[name]) / more * factor
    return found


# -- plans ---------------------------------------------------------------------------------------


def measured(strategy: str, count: int) -> Row:
    command = [sys.executable, "-m", __spec__.name, "plans", "--one"]
    command += ["--strategies", strategy, "--leaves", str(count)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    row: Row = json.loads(done.stdout)
    return row


def plan(strategy: str, count: int) -> Row:
    """Measure processor seconds, which other work hardly changes, and the peak of memory."""
    spec = InputSpec((word_field("data", "bytes"),), (TemplateSeries("leaf-{i}"),))
    clock = time.process_time()
    batch_leaves = leaves(spec, count=count)
    encoded = time.process_time()
    positions, _ = distinct(leaf.stdin for leaf in batch_leaves)
    made = make_plan(strategy, positions)
    planned = time.process_time()
    planned_mib = peak_mib("self")
    assert len(made.parents) == made.jobs
    text = json.dumps(made.to_json())
    used = time.process_time()
    used_mib = peak_mib("self")
    assert Plan.from_json(json.loads(text)) == made
    return {
        "aggregations": len(made.aggregations),
        "inputs s": encoded - clock,
        "plan s": planned - encoded,
        "planned MiB": planned_mib,
        "parents, JSON s": used - planned,
        "used MiB": used_mib,
        "read back s": time.process_time() - used,
        "all MiB": peak_mib("self"),
    }


# -- batches -------------------------------------------------------------------------------------


def batch(folder: Path, strategy: str, count: int) -> Row:
    """Run one command and watch it from outside."""
    output = folder / f"{strategy}-{count}"
    given = ["prover=execute", "guest=sha256", f"guest.count={count}", f"strategy={strategy}"]
    command = [
        sys.executable,
        "-m",
        "runner",
        *given,
        "progress=none",
        "log_level=error",
        f"output={output}",
    ]
    clock = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=ROOT) as process:
        own, workers = 0.0, 0.0
        while process.poll() is None:
            own = max(own, peak_mib(process.pid))
            workers = max([workers, *map(peak_mib, children(process.pid))])
            time.sleep(0.05)
    wall = time.perf_counter() - clock
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    summary = json.loads((output / "result.json").read_bytes())["summary"]
    written = sum(path.stat().st_size for path in output.iterdir() if path.is_file())
    return {
        "aggregations": summary["aggregations"],
        "wall s": wall,
        "leaves a second": count / wall,
        "runner MiB": own,
        "largest worker MiB": workers,
        "files MiB": written / MIB,
    }


def children(pid: int) -> list[int]:
    """The children of all threads of a process: each worker is started by a thread of its own."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread or the whole process has ended meanwhile
            found += map(int, path.read_text().split())
    return found


def peak_mib(pid: int | str) -> float:
    """The peak of a process's memory; 0 once the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) / 1024 if found else 0.0


if __name__ == "__main__":
    sys.exit(main())
