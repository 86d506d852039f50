"""The sampler of Python stacks, and the guests' cycles by function."""

from __future__ import annotations

import struct
import sys

import pytest
import runner_risc0 as native

from profiling import engine, guest
from profiling.sampler import RUN, Sampler, names
from profiling.stacks import folded_text
from runner.files import SHIPPED
from runner.model import Child, ProofJob, ReceiptKind
from runner.plan.journal import aggregator_stdin
from runner.provers.guests import AGGREGATOR, read_elf
from runner.provers.prover import ProverSpec
from tests.fakes.clock import FakeClock

sys.path.insert(0, str(SHIPPED / "scripts"))

from tests.profiling.stacks import GUESTS, MAIN


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
def test_a_file_that_is_not_a_program_binary_is_refused(binary: bytes) -> None:
    with pytest.raises(ValueError, match="not a program binary"):
        guest.parts(binary)


def test_without_a_demangler_names_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert guest.demangled(["_RNvC1a4main"]) == ["_RNvC1a4main"]
