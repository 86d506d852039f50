"""``make profile`` merges the samples of two profilers, and counts guests' cycles by function."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import runner_risc0 as native
from hypothesis import given
from hypothesis import strategies as st

from profiling import engine, flamegraph, guest, host
from profiling.__main__ import host_tables
from profiling.sampler import RUN, Sampler, names
from profiling.samples import UNKNOWN, Frame, Sample, complete, parse
from profiling.stacks import KERNEL, NATIVE_THREAD, Timeline, fold, folded_text, merge, tidy
from profiling.tables import by_kind, markdown, self_time, shares, short, whole_time
from runner.files import SHIPPED
from runner.model import Child, ProofJob, ReceiptKind
from runner.plan.journal import aggregator_stdin
from runner.provers.guests import AGGREGATOR, DEFAULT_FOLDER, Manifest, read_elf
from runner.provers.prover import ProverSpec
from tests.fakes.clock import FakeClock

sys.path.insert(0, str(SHIPPED / "scripts"))

import profile_tools

if TYPE_CHECKING:
    from collections.abc import Mapping

GUESTS = Manifest.load(DEFAULT_FOLDER).guests
TOOLS = Path(os.environ.get("RUNNER_CACHE", Path.home() / ".cache/zk-batch-runner")) / "tools/bin"

MAIN, POOL = 7, 8

PERF = """\
python 7/8   100.250000:   10101010 \n\
\t         1ba9f10 risc0_zkp::core::hash::poseidon2::poseidon2_mix (/site/runner_risc0.abi3.so)
\t         1b16a51 <A as B>::f::{lambda(int)#1}::operator() (/site/runner_risc0.abi3.so)
\t           891f4 start_thread (/usr/lib/libc.so.6)

python 7/7   100.350000:   10101010 \n\
\tffffffff815ee47e do_fault ([kernel.kallsyms])
\tffffffff81000c82 asm_exc_page_fault ([kernel.kallsyms])
\t           10000 malloc (/usr/lib/libc.so.6)
\t          979825 runner_risc0::prove (/site/runner_risc0.abi3.so)
\t           fac1e _PyEval_EvalFrameDefault (/lib/libpython3.11.so.1.0)
\t            1080 _start (/usr/bin/python3.11)
"""


def stack(*symbols: str, library: str = "lib.so") -> tuple[Frame, ...]:
    return tuple(Frame(symbol, library) for symbol in symbols)


def sample(*symbols: str, tid: int = POOL, library: str = "lib.so") -> Sample:
    return Sample(tid, 1.0, 10, stack(*symbols, library=library))


# --- samples -------------------------------------------------------------------------------------


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


# --- tables --------------------------------------------------------------------------------------


def proofs() -> Mapping[tuple[Frame, ...], int]:
    leaf, aggregation = (
        Frame(f"profiling.engine.{name}", "python") for name in ("leaf", "aggregation")
    )
    return {
        (leaf, *stack("prove", "poly_1")): 30,
        (leaf, *stack("prove", "poly_2")): 20,
        (leaf, *stack("prove", "hash")): 50,
        (aggregation, *stack("prove", "hash")): 10,
        stack("import"): 5,
    }


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


# --- the sampler and the engine ------------------------------------------------------------------


def test_the_sampler_keeps_changes_only() -> None:
    clock = FakeClock()
    sampler = Sampler(100, clock)
    first = clock()
    for seen in ({MAIN: ("a",)}, {MAIN: ("a",)}, {MAIN: ("a", "b")}, {}):
        sampler.look(seen)
        clock.sleep(1)
    changes = [(first, ("a",)), (first + 2, ("a", "b")), (first + 3, ())]
    assert sampler.record() == {str(MAIN): changes}


def test_the_sampler_sees_the_thread_that_started_it() -> None:
    sampler = Sampler(1000)
    sampler.start()
    sampler.stop()
    assert RUN == "runner.cli.command._job"
    assert names(sys._getframe())[-1].endswith("test_the_sampler_sees_the_thread_that_started_it")


def job(name: str, *children: Child) -> ProofJob:
    return ProofJob(0, name, GUESTS["fibonacci"], b"", children, ReceiptKind.EXECUTE)


def test_each_kind_of_proof_has_a_python_function_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "first_jobs", {})
    spec = ProverSpec("risc0", ReceiptKind.EXECUTE)

    def stack_of(spec: ProverSpec, job: ProofJob) -> tuple[str, ...]:
        return names(sys._getframe())

    executor = engine.MarkingEngine()
    child = Child(bytes(32), b"", None)
    assert "profiling.engine.leaf" in executor.submit(stack_of, spec, job("leaf 0")).result()
    assert (
        "profiling.engine.aggregation" in executor.submit(stack_of, spec, job("a", child)).result()
    )
    assert engine.first_jobs == {"fibonacci": (spec, job("leaf 0"))}
    assert executor.submit(len, "abc").result() == 3


# --- guests --------------------------------------------------------------------------------------


def cases() -> list[tuple[str, bytes, list[tuple[bytes, bytes]], int]]:
    own = GUESTS["fibonacci"].image_id
    claims = [(own, struct.pack("<Q", value)) for value in (55, 89, 144)]
    root = aggregator_stdin(GUESTS[AGGREGATOR].image_id, claims)
    return [
        ("fibonacci", struct.pack("<I", 20), [], 20),
        (AGGREGATOR, root, claims, 20),
        (AGGREGATOR, root, claims, 14),  # it takes several segments
    ]


@pytest.mark.parametrize(("name", "stdin", "claims", "po2"), cases())
def test_a_guest_s_profile_adds_up_to_what_its_run_costs(
    name: str, stdin: bytes, claims: list[tuple[bytes, bytes]], po2: int
) -> None:
    binary = read_elf(GUESTS[name])
    run = native.execute(binary, stdin, claims, segment_po2=po2)
    profile = native.profile(binary, stdin, claims, segment_po2=po2)
    assert profile.execution.journal == run.journal
    assert sum(cost[2] for cost in profile.costs) == run.user_cycles
    paging = sum(cost[3] + cost[4] for cost in profile.costs)
    assert run.paging_cycles - paging == 10 * run.segments  # this paging belongs to no instruction

    functions = guest.of_binary(binary)
    stacks = guest.fold_cycles(profile, functions)
    assert sum(stacks.values()) == run.user_cycles + run.paging_cycles
    table = guest.rows(stacks)
    assert sum(row[1] for row in table) == run.user_cycles
    assert sum(row[2] + row[3] for row in table) == run.paging_cycles
    assert f"{name}::main" in {row[0] for row in table}
    assert not [row for row in table if row[0].startswith("0x")]
    text = folded_text(stacks)
    assert sum(int(line.rpartition(" ")[2]) for line in text.splitlines()) == sum(stacks.values())


def test_the_kernel_s_work_is_under_the_function_that_asked_for_it() -> None:
    binary = read_elf(GUESTS["fibonacci"])
    profile = native.profile(binary, struct.pack("<I", 20))
    stacks = guest.fold_cycles(profile, guest.of_binary(binary))
    hashing = [s for s in stacks if s[-1].symbol == "kernel::ecall_sha"]
    assert hashing
    assert all(s[0].symbol == "_start" for s in hashing)


def test_addresses_without_a_symbol_keep_their_number() -> None:
    functions = guest.Symbols([0x100, 0x200], ["f", "g"])
    assert [functions.name(at) for at in (0x50, 0x100, 0x1FC, 0x204)] == [
        "0x00000050",
        "f",
        "f",
        "g",
    ]


@pytest.mark.parametrize("binary", [b"", b"R0BF", b"\x7fELF" + bytes(60)])
def test_what_is_no_program_binary_is_refused(binary: bytes) -> None:
    with pytest.raises(ValueError, match="not a program binary"):
        guest.parts(binary)


def test_without_a_demangler_names_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert guest.demangled(["_RNvC1a4main"]) == ["_RNvC1a4main"]


# --- tools ---------------------------------------------------------------------------------------


def test_missing_tools_are_one_line_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(host.Unavailable, match="apt-get install linux-perf"):
        host.require()
    with pytest.raises(flamegraph.Missing, match="cargo install inferno"):
        flamegraph.draw(tmp_path / "x.folded", tmp_path / "x.svg", "", "", "cycles")
    for name, text in (("perf", "No permission"), (flamegraph.PROGRAM, "No stack counts found")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {text} >&2\nexit 1\n")
        program.chmod(0o755)
    with pytest.raises(host.Unavailable, match=r"No permission.*perf_event_paranoid"):
        host.require()
    with pytest.raises(RuntimeError, match="No stack counts found"):
        flamegraph.draw(tmp_path / "x.folded", tmp_path / "x.svg", "", "", "cycles")


def test_inferno_is_built_once_a_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profile_tools, "apt_install", lambda *_: False)
    env = {"PATH": "", "CARGO_HOME": str(tmp_path)}
    profile_tools.install(env, tmp_path)
    assert "no Rust toolchain" in capsys.readouterr().err
    installed = f'"inferno {profile_tools.INFERNO} (registry+https://x)" = ["inferno-flamegraph"]'
    (tmp_path / ".crates.toml").write_text(f"[v1]\n{installed}\n")
    profile_tools.install(env, tmp_path)
    assert capsys.readouterr().err == ""


def profile(folder: Path, path: str, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "profiling", "--out", str(folder), *overrides],
        cwd=SHIPPED,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_tools_there_are_still_the_guests_tables(tmp_path: Path) -> None:
    done = profile(tmp_path / "out", str(tmp_path), "prover=execute", "guest.count=6")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("[profile]")]
    assert [line.split(":")[0] for line in said] == [
        "[profile] without the host's profile",
        "[profile] guest-aggregator.folded is not drawn",
        "[profile] guest-fibonacci.folded is not drawn",
    ]
    table = (tmp_path / "out" / "guest-aggregator.md").read_text()
    assert "| function | user | page in | page out | share |" in table
    assert table in done.stdout


def test_a_run_that_cannot_start_keeps_its_exit_code(tmp_path: Path) -> None:
    done = profile(tmp_path / "out", str(tmp_path), "guest=nonesuch")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.real
def test_a_real_proof_is_seen_from_python_down_to_the_kernels(tmp_path: Path) -> None:
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    if shutil.which(flamegraph.PROGRAM, path=path) is None:
        pytest.skip("inferno is not installed")
    try:
        host.require()
    except host.Unavailable as reason:
        pytest.skip(str(reason))
    done = profile(tmp_path / "out", path, "strategy=none", "guest.count=1")
    assert done.returncode == 0, done.stderr
    total: Counter[str] = Counter()
    for line in (tmp_path / "out" / "host.folded").read_text().splitlines():
        frames, _, weight = line.rpartition(" ")
        total["all"] += int(weight)
        python = frames.find("runner.provers.risc0.Risc0Prover.run_[j]")
        rust = frames.find("prove_segment")
        hashing = frames.find("poseidon2_mix")
        total["proving"] += int(weight) * (0 <= python < rust)
        total["hashing"] += int(weight) * (0 <= python < rust < hashing)
        total["constraints"] += int(weight) * ("rv32im_v2_" in frames)
    assert total["proving"] > 0.5 * total["all"]
    assert total["hashing"] > 0.2 * total["all"]
    # The share is that small with vector instructions; without them it is most of the time.
    assert total["constraints"] > 0.02 * total["all"]
    svg = (tmp_path / "out" / "host.svg").read_text()
    assert "runner.provers.worker.perform" in svg


def test_where_no_proof_took_long_the_table_is_of_the_run() -> None:
    quick = by_kind(proofs())
    assert "| function | library | the run |" in host_tables(quick)
    long = {
        name: Counter({s: w * 10**9 for s, w in found.items()}) for name, found in quick.items()
    }
    assert "| function | library | leaf | aggregation |" in host_tables(long)
