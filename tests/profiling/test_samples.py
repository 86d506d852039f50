"""The samples of two profilers become one, and are counted by kind of proof."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from profiling.samples import UNKNOWN, Frame, Sample, complete, parse
from profiling.stacks import KERNEL, NATIVE_THREAD, Timeline, fold, folded_text, merge, tidy
from profiling.tables import by_kind, markdown, self_time, shares, short, whole_time
from runner.files import SHIPPED

sys.path.insert(0, str(SHIPPED / "scripts"))

from tests.profiling.stacks import MAIN, PERF, POOL, proofs, sample, stack


def test_perf_s_text_is_read() -> None:
    pool, main = parse(PERF.splitlines(keepends=True))
    assert (pool.tid, pool.time, pool.weight) == (8, 100.25, 10101010)
    assert [frame.symbol for frame in pool.frames] == [
        "start_thread",
        "<A as B>::f::{lambda(int)#1}::operator()",
        "risc0_zkp::core::hash::poseidon2::poseidon2_mix",
    ]
    assert pool.frames[-1].library == "runner_risc0.abi3.so"
    assert main.frames[-1] == Frame("do_fault", KERNEL)


def test_a_cut_stack_gets_the_beginning_that_others_have_most_often() -> None:
    rare, usual = sample("main", "other", "prove", "hash"), sample("main", "prove", "hash")
    cut = sample(UNKNOWN, "prove", "ntt")
    lost = sample(UNKNOWN, "elsewhere")
    done = complete([rare, usual, usual, cut, lost, sample(UNKNOWN)])
    assert done[:3] == [rare, usual, usual]
    assert done[3].frames == stack("main", "prove", "ntt")
    assert done[4:] == [lost, sample(UNKNOWN)]


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", UNKNOWN]), max_size=6)))
def test_completion_keeps_every_weight_and_every_innermost_function(
    stacks: list[list[str]],
) -> None:
    samples = [sample(*symbols) for symbols in stacks]
    done = complete(samples)
    assert [s.weight for s in done] == [s.weight for s in samples]
    assert [s.frames[-1:] for s in done] == [s.frames[-1:] for s in samples]


# --- stacks --------------------------------------------------------------------------------------


def test_native_samples_come_under_the_python_stack_of_their_moment() -> None:
    stacks = [("cli.main",), ("cli.main", "risc0.run"), ("cli.main",)]
    python = Timeline(MAIN, {MAIN: ([100.0, 100.2, 101.0], stacks)})
    pool, main = parse(PERF.splitlines())
    around = (Frame("cli.main", "python"), Frame("risc0.run", "python"))
    assert merge(pool, python) == (
        *around,
        Frame(NATIVE_THREAD, ""),
        Frame("<A as B>::f::{lambda(int)#1}::operator()", "runner_risc0.abi3.so"),
        Frame("risc0_zkp::core::hash::poseidon2::poseidon2_mix", "runner_risc0.abi3.so"),
    )
    assert merge(main, python) == (
        *around,
        Frame("runner_risc0::prove", "runner_risc0.abi3.so"),
        Frame("malloc", "libc.so.6"),
        Frame("[kernel] asm_exc_page_fault", KERNEL),
    )


def test_the_interpreter_s_own_work_is_one_frame() -> None:
    inside = Sample(
        MAIN, 5.0, 1, stack("Py_BytesMain", "_PyEval_EvalFrameDefault", library="python3.11")
    )
    before = Timeline(MAIN, {MAIN: ([9.0], [("late",)])})
    assert merge(inside, before) == (
        Frame("[interpreter start or end]", "python"),
        Frame("_PyEval_EvalFrameDefault", "python3.11"),
    )


@given(st.lists(st.floats(0, 100), unique=True).map(sorted), st.floats(-1, 101))
def test_a_stack_holds_from_its_time_on(times: list[float], at: float) -> None:
    timeline = Timeline(MAIN, {MAIN: (times, [(str(time),) for time in times])})
    past = [time for time in times if time <= at]
    assert timeline.at(MAIN, at) == ((str(past[-1]),) if past else ())
    assert timeline.at(POOL, at) is None


def test_what_only_passes_calls_on_is_left_out_unless_it_is_innermost() -> None:
    helper, closure = "rayon::iter::plumbing::helper", "<rayon_core::job::StackJob as Job>::execute"
    raw = stack("clone3", "start_thread", helper, closure, "f", "f", UNKNOWN, "g", helper)
    assert tidy(raw) == stack("f", "g", helper)
    assert tidy(()) == ()


def test_folded_text_is_what_flame_graph_tools_read() -> None:
    stacks = fold(
        [
            ((Frame("cli.main", "python"), Frame("f<a; b>", "x.so")), 1400),
            ((Frame("cli.main", "python"), Frame("f<a; b>", "x.so")), 600),
            ((Frame("[kernel] fault", KERNEL),), 3000),
            ((Frame("too short", "x.so"),), 400),
        ]
    )
    assert folded_text(stacks, 1000) == "[kernel] fault_[k] 3\ncli.main_[j];f<a: b> 2\n"


def test_proofs_are_told_apart_by_the_function_that_ran_them() -> None:
    kinds = by_kind(proofs())
    assert {name: sum(stacks.values()) for name, stacks in kinds.items()} == {
        "leaf": 100,
        "aggregation": 10,
        "the rest of the run": 5,
    }


def test_shares_are_of_each_kind_of_proof() -> None:
    kinds = {name: by_kind(proofs())[name] for name in ("leaf", "aggregation")}
    assert shares(kinds) == [
        (Frame("hash", "lib.so"), [50, 100]),
        (Frame("poly_N", "lib.so"), [50, 0]),
    ]
    assert shares(kinds, whole_time, 1) == [(Frame("hash", "lib.so"), [50, 100])]
    assert whole_time(kinds["leaf"])[Frame("prove", "lib.so")] == 100
    assert sum(self_time(proofs()).values()) == 115


def test_tables_are_markdown() -> None:
    assert markdown(["a", "b"], [["`x|y`", "1"]]) == "| a | b |\n| --- | ---: |\n| `x\\|y` | 1 |\n"
    assert short("<a::B<C> as d::E<f>>::g") == "a::B<C>::g"
    assert len(short("x" * 500)) == 90
