"""Judges two versions by their benchmarks: which one is slower, beyond what noise explains?

The time of a benchmark is the shortest of all its rounds in all passes, because other work on the
machine only ever adds to it. docs/figures/benchmark-noise.md compares this rule with others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

BOUNDS = {
    "keys": 1.1,
    "metrics": 1.1,
    "cache": 1.15,
    "plan": 1.15,
    "executor": 1.15,
    "native": 1.15,
    "disk": 1.35,
    "processes": 1.35,
    "proof": 1.15,
}
"""For each group the largest ratio that is still taken for noise.

docs/figures/benchmark-noise.md says how they were found, and which of them were confirmed by
comparing a version with itself."""


@dataclass(frozen=True)
class Timing:
    """The time of one benchmark on one version.

    Attributes:
        group: the group of the benchmark in the suite.
        seconds: the shortest time of one call.
    """

    group: str
    seconds: float


Pass: TypeAlias = "dict[str, Timing]"
"""The times of one run of the whole suite, by benchmark."""


@dataclass(frozen=True)
class Row:
    """One benchmark on both versions.

    Attributes:
        name: the name of the benchmark.
        base: its seconds on base; None where it does not run there.
        head: its seconds on head.
        bound: the largest ratio of head to base that is taken for noise.
    """

    name: str
    base: float | None
    head: float
    bound: float

    @property
    def ratio(self) -> float | None:
        """Head divided by base; above 1 head is slower."""
        return None if self.base is None else self.head / self.base

    @property
    def verdict(self) -> str:
        """``slower``, ``faster``, ``same``, or ``new`` where base has no time to compare with."""
        if self.ratio is None:
            return "new"
        if self.ratio > self.bound:
            return "slower"
        return "faster" if self.ratio < 1 / self.bound else "same"


def read_pass(saved: Mapping[str, Any]) -> Pass:
    """Read one run of the suite from the JSON of pytest-benchmark.

    Raises:
        KeyError: the JSON is not that of pytest-benchmark.
    """
    return {
        item["fullname"]: Timing(item["group"] or "", float(item["stats"]["min"]))
        for item in saved["benchmarks"]
    }


def best(passes: Iterable[Pass]) -> Pass:
    """Take the shortest time of every benchmark."""
    found: Pass = {}
    for one in passes:
        for name, timing in one.items():
            if name not in found or timing.seconds < found[name].seconds:
                found[name] = timing
    return found


def bound_of(group: str, bounds: Mapping[str, float]) -> float:
    """Return the bound for a group.

    The caller's bound for the group comes first, then the caller's bound for all groups (under
    ``""``), then the default.
    """
    return bounds.get(group, bounds.get("", BOUNDS[group]))


def judge(base: Sequence[Pass], head: Sequence[Pass], bounds: Mapping[str, float]) -> list[Row]:
    """Make one row for each benchmark that runs on ``head``, in the order of the suite."""
    old = best(base)
    return [
        Row(
            name,
            old[name].seconds if name in old else None,
            timing.seconds,
            bound_of(timing.group, bounds),
        )
        for name, timing in best(head).items()
    ]


def short(name: str) -> str:
    """Shorten ``.../bench_plan.py::test_build[single-1000]`` to ``plan: build[single-1000]``."""
    module, _, function = name.partition("::")
    module = module.rpartition("/")[2].removeprefix("bench_").removesuffix(".py")
    return f"{module}: {function.removeprefix('test_')}"


def seconds(value: float | None) -> str:
    """Show a time with three digits and its unit."""
    if value is None:
        return "-"
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {unit}"
    return f"{value * 1e9:.3g} ns"


def table(rows: Sequence[Row]) -> str:
    """Show the rows as a table on the terminal."""
    cells = [("benchmark", "base", "head", "head/base", "bound", "")]
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        verdict = "" if row.verdict == "same" else row.verdict
        times = seconds(row.base), seconds(row.head)
        cells.append((short(row.name), *times, ratio, f"{row.bound:.2f}", verdict))
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    return "\n".join(
        f"{line[0]:<{widths[0]}}  "
        + "  ".join(f"{line[c]:>{widths[c]}}" for c in range(1, 5))
        + f"  {line[5]}".rstrip()
        for line in cells
    )
