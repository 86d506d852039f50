"""The RISC Zero extension with the real guests: executions, and a few real proofs."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import runner_risc0 as native

from runner.plan import merkle
from runner.plan.journal import MAX_CHILDREN, AggregationResult, aggregator_stdin, padded
from runner.provers.guests import AGGREGATOR, DEFAULT_FOLDER, Manifest, read_elf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CODES = {
    "bad_argument",
    "bad_elf",
    "guest_failed",
    "malformed_receipt",
    "verification_failed",
    "unavailable",
    "prover_failed",
    "cuda_failed",
    "internal",
}
REJECTED = {"malformed_receipt", "verification_failed"}
RECURSION = bool(native.build_info()["recursion"])

Claim = tuple[bytes, bytes]
"""A claim: an image id and a journal."""

GUESTS = Manifest.load(DEFAULT_FOLDER).guests


def elf(name: str) -> bytes:
    return read_elf(GUESTS[name])


def image_id(name: str) -> bytes:
    return GUESTS[name].image_id


def failure(call: Callable[..., object], *args: object) -> tuple[str, str]:
    """The code and the message with which the call fails."""
    with pytest.raises(native.NativeError) as caught:
        call(*args)
    assert len(caught.value.args) == 2
    code, message = caught.value.args
    assert code in CODES
    assert isinstance(message, str)
    assert message
    return code, message


def word(value: int) -> bytes:
    return struct.pack("<I", value)


def fibonacci(n: int) -> native.Execution:
    return native.execute(elf("fibonacci"), word(n))


def number(execution: native.Execution) -> int:
    assert len(execution.journal) == 8
    return int.from_bytes(execution.journal, "little")


def aggregate(children: Sequence[Claim], assumptions: Sequence[Claim]) -> native.Execution:
    stdin = aggregator_stdin(image_id(AGGREGATOR), children)
    return native.execute(elf(AGGREGATOR), stdin, list(assumptions))


def result_over(nodes: Sequence[tuple[int, bytes]]) -> AggregationResult:
    """The journal that an aggregation over these children should commit: leaves below, and node."""
    root = merkle.root([node for _, node in nodes])
    return AggregationResult(image_id(AGGREGATOR), sum(count for count, _ in nodes), root)


def leaf(number_of: int) -> Claim:
    """A claim of a program that does not exist. The executor believes every claim."""
    program = hashlib.sha256(b"program %d" % number_of).digest()
    return program, bytes(range(number_of % 40))


def python(code: str, *args: str, **environment: str) -> str:
    """The standard output of a fresh interpreter. A crash or an error fails the test."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


# Executions.


@pytest.mark.parametrize("name", sorted(GUESTS))
def test_image_ids_are_the_manifests(name: str) -> None:
    assert native.image_id(elf(name)) == image_id(name)


@pytest.mark.parametrize(
    ("n", "expected"),
    [(0, 0), (1, 1), (2, 1), (10, 55), (20, 6765), (93, 12_200_160_415_121_876_738)],
)
def test_fibonacci(n: int, expected: int) -> None:
    assert number(fibonacci(n)) == expected


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 55, 56, 63, 64, 65, 1023, 1024, 1031, 9000])
def test_sha256(length: int) -> None:
    message = random.Random(length).randbytes(length)
    execution = native.execute(elf("sha256"), padded(message))
    assert execution.journal == hashlib.sha256(message).digest()


def test_aggregation_of_leaves() -> None:
    claims = [leaf(i) for i in range(9)]
    claims.append((image_id("fibonacci"), fibonacci(10).journal))
    execution = aggregate(claims, claims)
    expected = result_over([(1, merkle.leaf_hash(*claim)) for claim in claims])
    assert AggregationResult.decode(execution.journal) == expected
    assert execution.journal == expected.encode()
    assert "aggregator verified: children=" in execution.log


def test_a_child_that_stands_twice_needs_one_assumption() -> None:
    children = [leaf(1), leaf(2), leaf(1)]
    execution = aggregate(children, children[:2])
    expected = result_over([(1, merkle.leaf_hash(*claim)) for claim in children])
    assert AggregationResult.decode(execution.journal) == expected


def test_aggregation_of_aggregates_and_leaves() -> None:
    own = image_id(AGGREGATOR)
    groups = [[leaf(1), leaf(2), leaf(3)], [leaf(4)]]
    below = [aggregate(group, group).journal for group in groups]
    children = [(own, below[0]), leaf(5), (own, below[1])]
    results = [AggregationResult.decode(journal) for journal in below]
    expected = result_over(
        [
            (3, results[0].combined_hash),
            (1, merkle.leaf_hash(*leaf(5))),
            (1, results[1].combined_hash),
        ]
    )
    journal = aggregate(children, children).journal
    assert AggregationResult.decode(journal) == expected
    top = [(own, journal)]
    assert AggregationResult.decode(aggregate(top, top).journal) == expected


def test_cycles_add_up() -> None:
    message = bytes(100_000)
    small = fibonacci(10)
    large = native.execute(elf("sha256"), padded(message), segment_po2=14)
    for execution in (small, large):
        parts = execution.user_cycles, execution.paging_cycles, execution.reserved_cycles
        assert sum(parts) == execution.total_cycles
        assert min(parts) > 0
        assert execution.total_cycles % 2**13 == 0
    assert small.segments == 1
    assert small.total_cycles.bit_count() == 1
    assert large.segments > 1
    assert large.total_cycles <= large.segments * 2**14
    assert large.journal == hashlib.sha256(message).digest()


def test_an_execution_can_be_repeated() -> None:
    runs = [fibonacci(50) for _ in range(3)]
    assert len({(run.journal, run.user_cycles, run.total_cycles, run.log) for run in runs}) == 1


def test_a_loaded_program_starts_as_it_was_however_often_it_ran() -> None:
    """The last few programs are kept loaded. What they wrote to their memory must not be kept."""
    # Each of these files is read as the same kernel.
    others = [elf("fibonacci") + bytes(count) for count in range(1, 6)]
    found = set()
    for other in others:
        run = native.execute(elf("fibonacci"), word(20))
        found.add((run.journal, run.user_cycles, run.paging_cycles))
        native.execute(elf("sha256"), padded(b"x" * 5000))
        assert native.image_id(elf("fibonacci")) == image_id("fibonacci")
        assert native.image_id(other) == image_id("fibonacci")
    assert len(found) == 1


def test_the_guest_failed_with_its_own_message() -> None:
    code, message = failure(fibonacci, 94)
    assert code == "guest_failed"
    assert "n is above 93" in message
    assert "\n" not in message


def test_a_profile_fails_as_the_execution_does() -> None:
    calls: dict[str, Callable[[], object]] = {
        "guest_failed": lambda: native.profile(elf("fibonacci"), word(94)),
        "bad_elf": lambda: native.profile(b"", word(1)),
        "bad_argument": lambda: native.profile(elf("fibonacci"), word(1), segment_po2=30),
    }
    for expected, call in calls.items():
        assert failure(call)[0] == expected


def own_result(count: int, self_id: bytes | None = None) -> Claim:
    own = image_id(AGGREGATOR)
    return own, AggregationResult(self_id or own, count, bytes(32)).encode()


def raw_aggregation(children: Sequence[Claim], count: int | None = None) -> bytes:
    """The input of an aggregation, also one that the encoder would refuse."""
    stdin = image_id(AGGREGATOR) + word(len(children) if count is None else count)
    return stdin + b"".join(program + padded(journal) for program, journal in children)


@pytest.mark.parametrize(
    ("stdin", "claims", "what"),
    [
        (raw_aggregation([]), [], "nothing to aggregate"),
        (raw_aggregation([leaf(7)]), [], "no receipt found"),
        (raw_aggregation([leaf(7), leaf(8)]), [leaf(7)], "no receipt found"),
        (raw_aggregation([leaf(7)], count=2), [leaf(7)], "ended too early"),
        (raw_aggregation([leaf(7)])[:-4], [leaf(7)], "ended too early"),
        (
            raw_aggregation([(image_id(AGGREGATOR), b"short")]),
            [(image_id(AGGREGATOR), b"short")],
            "68 bytes",
        ),
        (
            raw_aggregation([own_result(1, bytes(32))]),
            [own_result(1, bytes(32))],
            "another program",
        ),
        (
            raw_aggregation([own_result(2**32 - 1), leaf(7)]),
            [own_result(2**32 - 1), leaf(7)],
            "32-bit count",
        ),
    ],
    ids=[
        "no children",
        "no assumption",
        "one assumption of two",
        "one child of two",
        "cut journal",
        "aggregate with a short journal",
        "aggregate of another aggregator",
        "too many leaves",
    ],
)
def test_the_aggregator_refuses(stdin: bytes, claims: list[Claim], what: str) -> None:
    code, message = failure(native.execute, elf(AGGREGATOR), stdin, claims)
    assert code == "guest_failed"
    assert what in message


def test_the_largest_count_fits() -> None:
    children = [own_result(2**32 - 2), leaf(7)]
    result = AggregationResult.decode(aggregate(children, children).journal)
    assert result.verified_count == 2**32 - 1


def test_the_most_children_that_one_aggregation_takes() -> None:
    claims = [(bytes(32), word(i)) for i in range(MAX_CHILDREN + 1)]
    most = claims[:-1]
    result = AggregationResult.decode(aggregate(most, most).journal)
    assert result == result_over([(1, merkle.leaf_hash(*claim)) for claim in most])
    stdin = raw_aggregation(claims)
    code, message = failure(native.execute, elf(AGGREGATOR), stdin, claims)
    assert code == "guest_failed"
    assert f"more than {MAX_CHILDREN} children" in message


def test_an_assumption_with_another_journal_does_not_count() -> None:
    program, journal = leaf(7)
    for claim in [(program, journal + b"\0"), (bytes(32), journal)]:
        code, _ = failure(aggregate, [(program, journal)], [claim])
        assert code == "guest_failed"


@pytest.mark.parametrize("name", sorted(GUESTS))
def test_empty_input_fails_the_guest(name: str) -> None:
    code, message = failure(native.execute, elf(name), b"")
    assert code == "guest_failed"
    assert "ended too early" in message


@pytest.mark.parametrize("po2", [0, 12, 23, 2**32 - 1])
def test_segment_size_out_of_range(po2: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: native.execute(elf("fibonacci"), word(1), segment_po2=po2),
        lambda: native.prove(elf("fibonacci"), word(1), segment_po2=po2),
    ]
    for call in calls:
        code, message = failure(call)
        assert code == "bad_argument"
        assert str(po2) in message


def test_segments_too_small_for_the_guest_are_a_bad_argument() -> None:
    code, message = failure(lambda: native.execute(elf("sha256"), padded(b""), segment_po2=13))
    assert code == "bad_argument"
    assert "segment_po2 13 is too small" in message


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_image_id_has_32_bytes(size: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: native.execute(elf("fibonacci"), word(1), [(bytes(size), b"")]),
        lambda: native.verify(b"", bytes(size)),
    ]
    for call in calls:
        code, message = failure(call)
        assert code == "bad_argument"
        assert message.endswith(f"not {size}")


def test_an_unknown_kind_is_a_bad_argument() -> None:
    code, message = failure(lambda: native.prove(elf("fibonacci"), word(1), kind="fake"))
    assert code == "bad_argument"
    assert "fake" in message


def test_what_fails_before_proving_fails_the_same_way() -> None:
    calls: dict[str, Callable[[], object]] = {
        "guest_failed": lambda: native.prove(elf("fibonacci"), word(94)),
        "bad_elf": lambda: native.prove(b"", word(1)),
        "malformed_receipt": lambda: native.prove(elf("fibonacci"), word(1), [b"no receipt"]),
    }
    for expected, call in calls.items():
        assert failure(call)[0] == expected
    assert failure(lambda: native.prove(elf("fibonacci"), word(94), threads=2))[0] == "guest_failed"


@pytest.mark.skipif(RECURSION, reason="this build makes succinct receipts")
@pytest.mark.parametrize("kind", ["succinct", "groth16"])
def test_without_recursion_only_composite_receipts(kind: str) -> None:
    code, message = failure(lambda: native.prove(elf("fibonacci"), word(1), kind=kind))
    assert code == "unavailable"
    assert "recursion" in message
    assert native.build_info()["receipt_kinds"] == ["composite"]


def test_errors_survive_pickling() -> None:
    with pytest.raises(native.NativeError) as caught:
        native.image_id(b"")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is native.NativeError
    assert copy.args == caught.value.args
    assert copy.args[0] == "bad_elf"


def test_the_stub_names_every_code() -> None:
    documented = native.NativeError.__doc__
    assert documented is not None
    assert {code for code in CODES if code in documented} == CODES


def test_build_info() -> None:
    info = native.build_info()
    assert set(info) == {
        "module_version",
        "risc0_zkvm",
        "receipt_kinds",
        "recursion",
        "cuda",
        "envelope_version",
        "simd",
    }
    assert info["receipt_kinds"][0] == "composite"
    assert info["envelope_version"] == 1


# Files that are not program binaries.

BROKEN_ELVES = """
import random, struct, sys
from pathlib import Path
import runner_risc0 as native

good = Path(sys.argv[1]).read_bytes()
identity = native.image_id(good)
chance = random.Random(1)

def outcome(elf, run=False):
    try:
        found = native.execute(elf, bytes(4)) if run else native.image_id(elf)
    except native.NativeError as error:
        return error.args[0]
    return "same" if found == identity else "other"

kernel = good.index(b"\\x7fELF", 64)
lengths = [*range(0, 300, 11), *range(kernel - 8, kernel + 120, 9)]
lengths += [chance.randrange(len(good)) for _ in range(30)]
for length in lengths:
    print("cut", outcome(good[:length]), outcome(good[:length], run=True))
places = [*range(0, 240, 2), *range(kernel - 4, kernel + 260, 2)]
places += [chance.randrange(len(good)) for _ in range(60)]
# The upper half of a segment's size: some sizes are large enough to take seconds.
slow = set()
for start in (32, kernel):
    (table,) = struct.unpack_from("<I", good, start + 28)
    (count,) = struct.unpack_from("<H", good, start + 44)
    for index in range(count):
        slow.update((start + table + 32 * index + 22, start + table + 32 * index + 23))
for place in places:
    if place in slow:
        continue
    flipped = bytearray(good)
    flipped[place] ^= 1 << chance.randrange(8)
    print("flip", outcome(bytes(flipped)))
for _ in range(20):
    print("junk", outcome(chance.randbytes(chance.randrange(2000)), run=True))
    print("junk", outcome(good[:64] + chance.randbytes(2000)))
"""


def test_broken_binaries_never_end_the_process() -> None:
    path = GUESTS["fibonacci"].elf_path
    lines = python(BROKEN_ELVES, str(path)).splitlines()
    seen: dict[str, set[str]] = {}
    for line in lines:
        kind, *outcomes = line.split()
        seen.setdefault(kind, set()).update(outcomes)
    assert len(lines) > 380
    assert seen["junk"] == {"bad_elf"}
    # The end of a file is the table of sections, which is not loaded.
    assert {"bad_elf"} <= seen["cut"] <= {"bad_elf", "same", "guest_failed", "other"}
    assert {"bad_elf", "other"} <= seen["flip"] <= {"bad_elf", "other", "same"}


def test_a_binary_that_asks_for_all_memory_is_refused() -> None:
    binary = bytearray(elf("fibonacci"))
    for start in (binary.index(b"\x7fELF"), binary.index(b"\x7fELF", 64)):
        (table,) = struct.unpack_from("<I", binary, start + 28)
        (count,) = struct.unpack_from("<H", binary, start + 44)
        headers = [start + table + 32 * index for index in range(count)]
        load = next(at for at in headers if binary[at : at + 4] == word(1))
        greedy = bytearray(binary)
        greedy[load + 20 : load + 24] = word(0xB000_0000)
        for call in (native.image_id, lambda data: native.execute(data, word(1))):
            code, message = failure(call, bytes(greedy))
            assert code == "bad_elf"
            assert "134217728" in message


def test_code_that_is_no_code_fails_the_guest() -> None:
    binary = bytearray(elf("fibonacci"))
    (entry,) = struct.unpack_from("<I", binary, 32 + 24)
    user_end = binary.index(b"\x7fELF", 64)
    (table,) = struct.unpack_from("<I", binary, 32 + 28)
    at = 32 + table
    while True:
        _, offset, address, _, size = struct.unpack_from("<5I", binary, at)
        if binary[at : at + 4] == word(1) and address <= entry < address + size:
            break
        at += 32
        assert at < user_end
    start = 32 + offset + entry - address
    binary[start : start + 8] = bytes(8)
    assert failure(native.execute, bytes(binary), word(1))[0] == "guest_failed"


# The process around the zkVM.


def test_dev_mode_in_the_environment_changes_nothing() -> None:
    code = """
import json, sys
from pathlib import Path
import runner_risc0 as native
elf, receipt = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2]).read_bytes()
run = native.execute(elf, (20).to_bytes(4, "little"))
fake = bytearray(receipt)
fake[7] = 0
try:
    native.verify(bytes(fake), bytes.fromhex(sys.argv[3]))
    refused = None
except native.NativeError as error:
    refused = error.args[0]
try:
    native.verify(receipt, bytes(32))
    other = None
except native.NativeError as error:
    other = error.args[0]
print(json.dumps([
    run.journal.hex(), run.user_cycles, run.total_cycles, refused, other,
    native.verify(receipt, bytes.fromhex(sys.argv[3])).hex(),
]))
"""
    stored = Path(__file__).parent / "data" / "fibonacci-10"
    args = (
        str(GUESTS["fibonacci"].elf_path),
        str(stored.with_suffix(".receipt")),
        stored.with_suffix(".image_id").read_text().strip(),
    )
    plain, dev = [json.loads(python(code, *args, RISC0_DEV_MODE=mode)) for mode in ("", "1")]
    assert plain == dev
    assert dev[0] == (6765).to_bytes(8, "little").hex()
    assert dev[3:5] == ["malformed_receipt", "verification_failed"]


def turns_during(message: bytes) -> int:
    """The number of turns, up to 1000, of a loop in this thread while another thread hashed."""
    running, done = threading.Event(), threading.Event()

    def work() -> None:
        running.set()
        native.execute(elf("sha256"), message)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    running.wait()
    turns = 0
    while turns < 1000 and not done.is_set():
        turns += 1
    thread.join()
    return turns


def test_other_threads_run_meanwhile() -> None:
    interval = sys.getswitchinterval()
    # No switch is involuntary: this thread runs only while the other one has released the lock.
    sys.setswitchinterval(1000)
    try:
        # It is tried again, because a busy machine may not give this thread a processor in time.
        assert any(turns_during(padded(bytes(400_000))) for _ in range(10))
    finally:
        sys.setswitchinterval(interval)


def test_executions_side_by_side() -> None:
    found: dict[int, int] = {}

    def work(n: int) -> None:
        found[n] = number(fibonacci(n))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(10, 18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {10: 55, 11: 89, 12: 144, 13: 233, 14: 377, 15: 610, 16: 987, 17: 1597}


# Real proofs.


class Proofs(NamedTuple):
    fibonacci: bytes
    sha256: native.Proof
    aggregation: native.Proof
    children: list[Claim]


PROVE = """
import sys
from pathlib import Path
import runner_risc0 as native
proof = native.prove(Path(sys.argv[1]).read_bytes(), (10).to_bytes(4, "little"))
assert native.describe(proof.receipt).seal_bytes > 100_000
Path(sys.argv[2]).write_bytes(proof.receipt)
"""


@pytest.fixture(scope="session")
def proofs(tmp_path_factory: pytest.TempPathFactory) -> Proofs:
    """The proofs of two leaves and of an aggregation over them, in which the first occurs twice.

    A process in dev mode proves the first leaf. What the tests find true of its receipt shows that
    the mode had no effect.
    """
    path: Path = tmp_path_factory.mktemp("proofs") / "fibonacci.receipt"
    python(PROVE, str(GUESTS["fibonacci"].elf_path), str(path), RISC0_DEV_MODE="1")
    first = path.read_bytes()
    second = native.prove(elf("sha256"), padded(b"hello"), threads=2)
    children = [
        (image_id("fibonacci"), native.verify(first, image_id("fibonacci"))),
        (image_id("sha256"), native.verify(second.receipt, image_id("sha256"))),
    ]
    children.append(children[0])
    top = native.prove(
        elf(AGGREGATOR),
        aggregator_stdin(image_id(AGGREGATOR), children),
        [first, second.receipt],
    )
    return Proofs(first, second, top, children)


class Parts(NamedTuple):
    """A composite receipt taken apart."""

    journal: bytes
    parameters: bytes
    segments: list[bytes]
    assumptions: list[tuple[int, bytes]]

    @classmethod
    def of(cls, receipt: bytes) -> Parts:
        assert receipt[:8] == b"ZKRC\x01\x00\x01\x01"
        journal, at = blob(receipt, 8)
        body, at = blob(receipt, at)
        assert at == len(receipt)
        return cls(journal, *cls._body(body))

    @staticmethod
    def _body(body: bytes) -> tuple[bytes, list[bytes], list[tuple[int, bytes]]]:
        segments, assumptions = [], []
        (count,) = struct.unpack_from("<I", body, 32)
        at = 36
        for _ in range(count):
            segment, at = blob(body, at)
            segments.append(segment)
        (count,) = struct.unpack_from("<I", body, at)
        at += 4
        for _ in range(count):
            inner, end = blob(body, at + 1)
            assumptions.append((body[at], inner))
            at = end
        assert at == len(body)
        return body[:32], segments, assumptions

    def body(self) -> bytes:
        parts = [self.parameters, word(len(self.segments))]
        parts += [unblob(segment) for segment in self.segments]
        parts.append(word(len(self.assumptions)))
        parts += [bytes([kind]) + unblob(inner) for kind, inner in self.assumptions]
        return b"".join(parts)

    def receipt(self) -> bytes:
        return b"ZKRC\x01\x00\x01\x01" + unblob(self.journal) + unblob(self.body())


def blob(data: bytes, at: int) -> tuple[bytes, int]:
    (length,) = struct.unpack_from("<Q", data, at)
    end = at + 8 + length
    assert end <= len(data)
    return data[at + 8 : end], end


def unblob(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data


@pytest.mark.real
def test_leaves_verify(proofs: Proofs) -> None:
    assert proofs.children[0][1] == (55).to_bytes(8, "little")
    assert proofs.children[1][1] == hashlib.sha256(b"hello").digest()
    assert proofs.sha256.execution.journal == proofs.children[1][1]
    executed = native.execute(elf("sha256"), padded(b"hello"))
    assert proofs.sha256.execution.user_cycles == executed.user_cycles
    assert proofs.sha256.execution.total_cycles == executed.total_cycles


@pytest.mark.real
def test_a_proof_of_several_segments() -> None:
    message = bytes(range(200))
    proof = native.prove(elf("sha256"), padded(message), segment_po2=14)
    own = image_id("sha256")
    assert native.verify(proof.receipt, own) == hashlib.sha256(message).digest()
    info = native.describe(proof.receipt)
    assert info.segments == proof.execution.segments > 1
    parts = Parts.of(proof.receipt)
    for segments in (
        parts.segments[:-1],
        parts.segments[1:],
        parts.segments[::-1],
        [*parts.segments, parts.segments[-1]],
        [parts.segments[0], *parts.segments],
    ):
        changed = parts._replace(segments=segments).receipt()
        assert failure(native.verify, changed, own)[0] == "verification_failed"


@pytest.mark.real
def test_the_aggregation_verifies(proofs: Proofs) -> None:
    receipt = proofs.aggregation.receipt
    journal = native.verify(receipt, image_id(AGGREGATOR))
    expected = result_over([(1, merkle.leaf_hash(*child)) for child in proofs.children])
    assert AggregationResult.decode(journal) == expected
    assert expected.verified_count == 3
    assert proofs.aggregation.execution.journal == journal


@pytest.mark.real
def test_descriptions(proofs: Proofs) -> None:
    first, second, top = (
        native.describe(receipt)
        for receipt in (proofs.fibonacci, proofs.sha256.receipt, proofs.aggregation.receipt)
    )
    for info in (first, second):
        assert (info.kind, info.segments, info.assumptions) == ("composite", 1, 0)
        assert info.seal_bytes > 100_000
    assert (top.kind, top.segments, top.assumptions) == ("composite", 1, 3)
    assert top.seal_bytes > 2 * first.seal_bytes + second.seal_bytes
    assert first.seal_bytes < len(proofs.fibonacci)
    assert (first.journal, second.journal) == (proofs.children[0][1], proofs.children[1][1])


@pytest.mark.real
def test_receipts_of_another_program_are_rejected(proofs: Proofs) -> None:
    receipts = {
        "fibonacci": proofs.fibonacci,
        "sha256": proofs.sha256.receipt,
        AGGREGATOR: proofs.aggregation.receipt,
    }
    for name, receipt in receipts.items():
        nearly = bytearray(image_id(name))
        nearly[31] ^= 1
        others = [image_id(other) for other in receipts if other != name]
        for wrong in [*others, bytes(nearly), bytes(32)]:
            code, _ = failure(native.verify, receipt, wrong)
            assert code == "verification_failed"


@pytest.mark.real
def test_taking_apart_and_putting_together_changes_nothing(proofs: Proofs) -> None:
    for receipt in (proofs.fibonacci, proofs.aggregation.receipt):
        assert Parts.of(receipt).receipt() == receipt


@pytest.mark.real
def test_children_cannot_be_exchanged(proofs: Proofs) -> None:
    parts = Parts.of(proofs.aggregation.receipt)
    first, second, third = parts.assumptions
    other = (1, Parts.of(proofs.aggregation.receipt).body())
    for assumptions in (
        [],
        [first],
        [first, second],
        [first, second, second],
        [second, second, second],
        [second, first, third],
        [first, second, third, third],
        [first, second, other],
        [(kind + 1, body) for kind, body in parts.assumptions],
        [(3, body) for _, body in parts.assumptions],
        [(0, body) for _, body in parts.assumptions],
    ):
        changed = parts._replace(assumptions=assumptions).receipt()
        code, _ = failure(native.verify, changed, image_id(AGGREGATOR))
        assert code in REJECTED


@pytest.mark.real
def test_journals_and_segments_cannot_be_exchanged(proofs: Proofs) -> None:
    first, second = Parts.of(proofs.fibonacci), Parts.of(proofs.sha256.receipt)
    own = image_id("fibonacci")
    for changed in (
        first._replace(journal=second.journal),
        first._replace(journal=b""),
        first._replace(journal=first.journal + b"\0"),
        first._replace(journal=first.journal[:-1]),
        first._replace(segments=[]),
        first._replace(segments=second.segments),
        first._replace(segments=first.segments * 2),
        first._replace(segments=second.segments + first.segments),
        first._replace(assumptions=[(1, second.body())]),
        second._replace(journal=first.journal),
    ):
        code, _ = failure(native.verify, changed.receipt(), own)
        assert code == "verification_failed"


@pytest.mark.real
def test_every_flipped_byte_of_an_aggregation_is_noticed(proofs: Proofs) -> None:
    receipt = proofs.aggregation.receipt
    parts = Parts.of(receipt)
    chance = random.Random(1)
    # Everything but the seals: the head, the end of the segment, and each child's head and end.
    (seal_words,) = struct.unpack_from("<I", parts.segments[0])
    seal_start = receipt.index(parts.segments[0]) + 4
    seal_end = seal_start + 4 * seal_words
    children_end = len(receipt)
    children_start = children_end - sum(len(body) + 9 for _, body in parts.assumptions)
    places = [*range(100), *range(seal_end, children_start + 70, 3)]
    start = children_start
    for _, body in parts.assumptions:
        start += 9 + len(body)
        places += range(start - 200, min(start + 60, children_end), 11)
    places += chance.sample(range(seal_start, children_end), 120)
    unnoticed = []
    for place in places:
        flipped = bytearray(receipt)
        flipped[place] ^= 1 << chance.randrange(8)
        try:
            native.verify(bytes(flipped), image_id(AGGREGATOR))
        except native.NativeError as error:
            if error.args[0] in REJECTED:
                continue
        unnoticed.append(place)
    assert unnoticed == []


@pytest.mark.real
def test_no_part_of_an_aggregation_is_a_receipt(proofs: Proofs) -> None:
    receipt = proofs.aggregation.receipt
    chance = random.Random(2)
    for length in [*range(120), *(chance.randrange(len(receipt)) for _ in range(100))]:
        for call in (native.describe, lambda data: native.verify(data, image_id(AGGREGATOR))):
            code, _ = failure(call, receipt[:length])
            assert code == "malformed_receipt"


@pytest.mark.real
def test_a_receipt_does_not_stand_for_another_input(proofs: Proofs) -> None:
    """The executor finds no receipt for a journal that a leaf did not commit."""
    claim = image_id("fibonacci"), (89).to_bytes(8, "little")
    stdin = aggregator_stdin(image_id(AGGREGATOR), [claim])
    code, message = failure(native.prove, elf(AGGREGATOR), stdin, [proofs.fibonacci])
    assert code == "guest_failed"
    assert "no receipt found" in message


@pytest.mark.real
@pytest.mark.skipif(not RECURSION, reason="this build has no recursion programs")
def test_succinct(proofs: Proofs) -> None:
    proof = native.prove(
        elf(AGGREGATOR),
        aggregator_stdin(image_id(AGGREGATOR), proofs.children),
        [proofs.fibonacci, proofs.sha256.receipt],
        kind="succinct",
    )
    journal = native.verify(proof.receipt, image_id(AGGREGATOR))
    assert journal == proofs.aggregation.execution.journal
    info = native.describe(proof.receipt)
    assert (info.kind, info.segments, info.assumptions) == ("succinct", 1, 0)
    assert len(proof.receipt) < len(proofs.aggregation.receipt)
    chance = random.Random(3)
    for place in [*range(40), *(chance.randrange(len(proof.receipt)) for _ in range(100))]:
        flipped = bytearray(proof.receipt)
        flipped[place] ^= 1 << chance.randrange(8)
        code, _ = failure(native.verify, bytes(flipped), image_id(AGGREGATOR))
        assert code in REJECTED
