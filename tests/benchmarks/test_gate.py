"""The judgement of two versions: which times are compared, with which bounds."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.compare import command, gate, sides, turns
from runner.errors import InputError
from runner.files import SHIPPED


def timed(group: str = "plan", **seconds: float) -> gate.Pass:
    return {name: gate.Timing(group, value) for name, value in seconds.items()}


# -- the judgement ----------------------------------------------------------------------------


def test_the_shortest_times_are_compared() -> None:
    base = [timed(a=3.0, b=2.0), timed(a=1.0, b=9.0)]
    head = [timed(a=2.0, b=2.0), timed(a=7.0, b=7.0)]
    rows = {row.name: row for row in gate.judge(base, head, {"": 1.5})}
    assert (rows["a"].ratio, rows["a"].verdict) == (2.0, "slower")
    assert (rows["b"].ratio, rows["b"].verdict) == (1.0, "same")


def test_what_is_not_there_on_one_side() -> None:
    rows = gate.judge([timed(gone=1.0)], [timed(new=1.0)], {})
    assert [(row.name, row.ratio, row.verdict) for row in rows] == [("new", None, "new")]


@pytest.mark.parametrize(
    ("head", "verdict"), [(1.5, "same"), (1.51, "slower"), (0.67, "same"), (0.66, "faster")]
)
def test_a_bound_belongs_to_the_noise(head: float, verdict: str) -> None:
    assert gate.judge([timed(a=1.0)], [timed(a=head)], {"": 1.5})[0].verdict == verdict


@pytest.mark.parametrize(
    ("group", "bounds", "bound"),
    [
        ("disk", {}, gate.BOUNDS["disk"]),
        ("plan", {}, gate.BOUNDS["plan"]),
        ("disk", {"": 3.0}, 3.0),
        ("disk", {"": 3.0, "disk": 4.0}, 4.0),
        ("plan", {"disk": 4.0}, gate.BOUNDS["plan"]),
    ],
)
def test_the_nearest_bound_counts(group: str, bounds: dict[str, float], bound: float) -> None:
    assert gate.judge([], [timed(group, a=1.0)], bounds)[0].bound == bound


times = st.floats(1e-9, 1e3)


@given(st.lists(times, min_size=1), st.lists(times, min_size=1), st.floats(1.01, 10))
def test_either_version_may_be_the_base(base: list[float], head: list[float], bound: float) -> None:
    """Slower one way round is faster the other way round, and nothing is both."""
    old, new = [timed(a=s) for s in base], [timed(a=s) for s in head]
    there = gate.judge(old, new, {"": bound})[0]
    back = gate.judge(new, old, {"": bound})[0]
    if there.verdict == "slower":
        assert min(head) > min(base)
        assert back.verdict in {"faster", "same"}  # same: at the bound, to the last digit
    assert not (there.verdict == "slower" and back.verdict == "slower")


def test_the_table_shows_who_is_slower() -> None:
    base = [{"benchmarks/suite/bench_plan.py::test_build[x]": gate.Timing("plan", 0.002)}]
    head = [{"benchmarks/suite/bench_plan.py::test_build[x]": gate.Timing("plan", 0.004)}]
    lines = gate.table(gate.judge(base, head, {})).splitlines()
    assert lines[1].split() == [
        *("plan:", "build[x]", "2", "ms", "4", "ms", "2.00"),
        *(f"{gate.BOUNDS['plan']:.2f}", "slower"),
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.2e-5, "42 µs")]
)
def test_times_for_people(value: float | None, text: str) -> None:
    assert gate.seconds(value) == text


def test_a_busy_machine_is_reported() -> None:
    assert turns.warning(2.0, 2) is None
    assert "load 2.1 on 2 cores" in str(turns.warning(2.1, 2))


def test_every_group_has_a_bound() -> None:
    suite = "".join(p.read_text() for p in (SHIPPED / sides.BENCHMARKS).glob("bench_*.py"))
    assert set(re.findall(r'group="([a-z]+)"', suite)) == set(gate.BOUNDS)


def test_bounds_from_the_command_line() -> None:
    assert command.bounds_of(["1.2", "disk=2"]) == {"": 1.2, "disk": 2.0}


@pytest.mark.parametrize("text", ["x", "1", "0.9", "disk=", "nan", "inf"])
def test_unusable_bounds(text: str) -> None:
    with pytest.raises(InputError, match="not a ratio above 1"):
        command.bounds_of([text])
