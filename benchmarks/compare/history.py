"""Draws saved benchmark runs, version by version: how each time compares with the first one.

    python -m benchmarks.compare.history                     runs that `make bench` saved here
    python -m benchmarks.compare.history FOLDER FILE ...     others, e.g. of `--save FOLDER`
    python -m benchmarks.compare.history --out history.png   .svg or .png

Times of two machines say nothing about the code, so one picture shows one machine. Where a version
was measured several times, its shortest times count. Processor time (cpu) and wall time are drawn
apart. Everything that is not committed on top of one commit counts as one version.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.compare import gate
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "zk-batch-runner"
SAVED = Path(os.environ.get("RUNNER_CACHE") or CACHE).expanduser() / "benchmarks"
"""The folder in which `make bench` saves its runs."""
LEAST_SPAN = 1.5
"""The y axis reaches at least from 1/1.5 to 1.5, so that noise does not look like a mountain."""

FINE, COARSE = [1 / 2, 2 / 3, 4 / 5, 1, 1.25, 1.5, 2], [2.0**n for n in range(-8, 9)]


@dataclass
class Version:
    """What was measured of one version on one machine.

    Attributes:
        commit: the commit's id, with a ``+`` where there were uncommitted changes.
        time: the time of the commit, or of the first run where the commit has none.
        times: the shortest time of each benchmark.
        runs: the number of runs.
    """

    commit: str
    time: datetime
    times: gate.Pass = field(default_factory=dict)
    runs: int = 0


def saved_files(paths: Iterable[Path]) -> list[Path]:
    """Find the JSON files: those that are given, and all below the folders that are given.

    Raises:
        InputError: a path does not exist.
    """
    found = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.rglob("*.json"))
        elif path.is_file():
            found.append(path)
        else:
            remedy = "`make bench` saves runs; or name files and folders"
            raise InputError("FOLDER", str(path), "there is no such file or folder", remedy)
    return found


def versions(files: Iterable[Path], host: str | None = None) -> tuple[str, list[Version]]:
    """Read the machine and its versions from the oldest to the newest.

    Args:
        files: files that pytest-benchmark saved.
        host: the machine; None takes the one with the most runs.

    Raises:
        InputError: a file is something else, or there is no run of that machine.
    """
    runs = [(_read(path), path) for path in files]
    hosts = Counter(str(run["machine_info"].get("host")) for run, _ in runs)
    if not hosts or (host is not None and host not in hosts):
        known = ", ".join(hosts) or "none; `make bench` saves runs"
        raise InputError("--host", host, "no saved run", f"machines with runs: {known}")
    chosen = host or hosts.most_common(1)[0][0]
    found: dict[str, Version] = {}
    for run, _ in runs:
        if run["machine_info"].get("host") != chosen:
            continue
        commit = run["commit_info"]
        name = str(commit["id"])[:7] + ("+" if commit.get("dirty") else "")
        time = datetime.fromisoformat(commit.get("time") or run["datetime"])
        version = found.setdefault(name, Version(name, time))
        version.times = gate.best([version.times, _times(run)])
        version.runs += 1
    return chosen, sorted(found.values(), key=lambda v: v.time)


def series(found: Sequence[Version]) -> dict[str, dict[str, list[float]]]:
    """Return each version's time divided by the first there is, by group and benchmark.

    A version that did not run a benchmark has NaN.
    """
    names = {name: timing.group for version in found for name, timing in version.times.items()}
    result: dict[str, dict[str, list[float]]] = {}
    for name, group in sorted(names.items(), key=lambda item: (item[1], item[0])):
        times = [v.times[name].seconds if name in v.times else math.nan for v in found]
        first = next(time for time in times if not math.isnan(time))
        result.setdefault(group, {})[name] = [time / first for time in times]
    return result


def draw(host: str, found: Sequence[Version], out: Path) -> None:
    """Draw one panel for each group into ``out``."""
    import matplotlib as mpl

    mpl.use("Agg")
    # No time stamps and no random ids: the same runs give the same file.
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    panels = series(found)
    rows = math.ceil(len(panels) / 2)
    figure, grid = plt.subplots(
        rows, 2, figsize=(11, 2.9 * rows), sharex=True, squeeze=False, layout="constrained"
    )
    for axes, (group, lines) in zip(grid.flat, panels.items(), strict=False):
        _panel(axes, group, lines, found)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    runs = sum(version.runs for version in found)
    figure.suptitle(
        f"Benchmarks on {host}: time by that of the first version ({runs} runs, shortest times)"
    )
    metadata = {"Date": None} if out.suffix == ".svg" else {}
    figure.savefig(out, dpi=110, metadata=metadata)
    plt.close(figure)


def _panel(axes: Axes, group: str, lines: dict[str, list[float]], found: Sequence[Version]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    places = range(len(found))
    bound = gate.BOUNDS.get(group, 1.0)  # a group that no longer exists has none
    axes.axhspan(1 / bound, bound, color="0.92", label=f"noise bound {bound:g}")
    span = max(LEAST_SPAN, bound)
    for name, ratios in lines.items():
        last = next(v.times[name].seconds for v in reversed(found) if name in v.times)
        label = f"{gate.short(name).partition(': ')[2]}, last {gate.seconds(last)}"
        axes.plot(places, ratios, marker="o", markersize=3.5, linewidth=1.2, label=label)
        span = max([span, *(max(r, 1 / r) for r in ratios if not math.isnan(r))])
    axes.set_yscale("log", base=2)
    axes.set_ylim(1 / (span * 1.1), span * 1.1)
    axes.yaxis.set_major_locator(FixedLocator(FINE if span <= 2 else COARSE))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axes.set_xticks(list(places), [f"{v.commit}\n{v.time:%d %b %H:%M}" for v in found])
    axes.tick_params(axis="x", labelbottom=True, labelsize=7)
    axes.set_title(group, loc="left", fontweight="bold")
    axes.legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _times(run: dict[str, Any]) -> gate.Pass:
    """Read the times of a run, with those in processor time marked so that they stay apart."""
    clocks = {item["fullname"]: item.get("options", {}).get("timer") for item in run["benchmarks"]}
    return {
        _place(name) + (" (cpu)" if clocks[name] == "process_time" else ""): timing
        for name, timing in gate.read_pass(run).items()
    }


def _place(name: str) -> str:
    """Where a benchmark stands now; runs from before the suite had its own folder lack that."""
    return name.replace("benchmarks/bench_", "benchmarks/suite/bench_", 1)


def _read(path: Path) -> dict[str, Any]:
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        gate.read_pass(data)
        _ = data["machine_info"]["host"], data["commit_info"]["id"], data["datetime"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"not a saved run ({type(error).__name__}: {error})"
        raise InputError("FILE", str(path), problem, "leave it out, or remove it") from None
    return data


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare.history",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", type=Path, help=f"({SAVED})")
    parser.add_argument("--out", type=Path, default=Path("bench-history.svg"), metavar="FILE")
    parser.add_argument("--host", help="of which machine; the one with most runs")
    options = parser.parse_args(arguments)
    try:
        if options.out.suffix not in {".svg", ".png"}:
            raise InputError("--out", str(options.out), "no such format", "end it in .svg or .png")
        host, found = versions(saved_files(options.paths or [SAVED]), options.host)
        draw(host, found, options.out)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        print(f"error: {error}; pip install -e '.[report]'", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: --out = {options.out}: {error.strerror}", file=sys.stderr)
        return 2
    print(f"{options.out}: {len(found)} versions, {sum(v.runs for v in found)} runs on {host}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
