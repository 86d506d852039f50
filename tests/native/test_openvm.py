"""The OpenVM extension: what it refuses, and a stored receipt that it accepts.

``tests/native/data/openvm-fibonacci-10.receipt`` is a real proof of ``fibonacci(10)`` on the VM in
``guests/openvm/vm.bin``. Only the tests marked ``real`` prove anything.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import InputError, ProverError
from runner.model import Child, ReceiptKind
from runner.plan.journal import AggregationResult, aggregator_stdin
from runner.provers.guests import AGGREGATOR, Manifest, default_folder
from runner.provers.prover import ProverSpec, load_prover
from tests.native.flips import unnoticed_flips

if TYPE_CHECKING:
    from runner.model import Guest
    from runner.provers.prover import Prover

native = pytest.importorskip(
    "runner_openvm", reason="the OpenVM extension is not installed (make setup-openvm)"
)

RECEIPT = Path(__file__).parent / "data" / "openvm-fibonacci-10.receipt"
JOURNAL = (55).to_bytes(8, "little")
HEADER = 4 + 2 + 2 + 8 + len(JOURNAL) + 8


@pytest.fixture(scope="module")
def prover() -> Prover:
    return load_prover(ProverSpec("openvm", ReceiptKind.SUCCINCT))


@pytest.fixture(scope="module")
def pinned() -> Manifest:
    return Manifest.load(default_folder("openvm"))


@pytest.fixture(scope="module")
def fibonacci(pinned: Manifest) -> Guest:
    return pinned.get("fibonacci")


@pytest.fixture(scope="module")
def receipt() -> bytes:
    return RECEIPT.read_bytes()


@pytest.mark.parametrize("name", ["fibonacci", "sha256", "aggregator"])
def test_the_pinned_image_ids_are_the_programs(prover: Prover, pinned: Manifest, name: str) -> None:
    guest = pinned.get(name)
    assert prover.image_id(guest.elf_path.read_bytes()) == guest.image_id


def test_a_receipt_is_verified(prover: Prover, fibonacci: Guest, receipt: bytes) -> None:
    assert prover.verify(receipt, fibonacci.image_id) == JOURNAL
    info = prover.describe(receipt)
    assert (info.kind, info.journal, info.assumptions) == ("succinct", JOURNAL, 0)
    assert info.seal_bytes == len(receipt) - HEADER


def test_a_receipt_of_another_program_is_refused(
    prover: Prover, pinned: Manifest, receipt: bytes
) -> None:
    with pytest.raises(ProverError, match="another program"):
        prover.verify(receipt, pinned.get("sha256").image_id)


def test_another_journal_is_refused(prover: Prover, fibonacci: Guest, receipt: bytes) -> None:
    forged = receipt.replace(JOURNAL, (56).to_bytes(8, "little"), 1)
    with pytest.raises(ProverError, match="journal"):
        prover.verify(forged, fibonacci.image_id)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_byte_of_a_proof_can_be_changed(data: st.DataObject) -> None:
    whole = RECEIPT.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    change = data.draw(st.integers(1, 255))
    damaged = bytearray(whole)
    damaged[place] ^= change
    prover = load_prover(ProverSpec("openvm", ReceiptKind.SUCCINCT))
    image_id = Manifest.load(default_folder("openvm")).get("fibonacci").image_id
    with pytest.raises(ProverError):
        prover.verify(bytes(damaged), image_id)


@pytest.mark.usefixtures("prover")
def test_a_sample_of_all_bytes_is_noticed(fibonacci: Guest, receipt: bytes) -> None:
    places = [
        *range(HEADER),
        *range(HEADER, len(receipt), 1009),
        *range(len(receipt) - 4000, len(receipt), 29),
    ]
    assert unnoticed_flips(native, receipt, places, fibonacci.image_id, random.Random(1)) == []


def test_a_yes_has_one_spelling(receipt: bytes) -> None:
    """The library's decoder takes every byte but zero for a yes."""
    refusals = []
    for place in (place for place in range(HEADER, len(receipt)) if receipt[place] == 1):
        damaged = bytearray(receipt)
        damaged[place] = 3
        try:
            native.describe(bytes(damaged))
        except native.NativeError as error:
            refusals.append(error.args[1])
    assert sum("are not its encoding" in refusal for refusal in refusals) == 1


@pytest.mark.parametrize("length", [0, 3, 4, 7, 8, 15, 16, 40, 1000])
def test_a_receipt_that_ends_early_is_malformed(
    prover: Prover, fibonacci: Guest, receipt: bytes, length: int
) -> None:
    with pytest.raises(ProverError, match="not a receipt"):
        prover.verify(receipt[:length], fibonacci.image_id)


def test_lengths_that_nobody_could_hold_are_refused(
    prover: Prover, fibonacci: Guest, receipt: bytes
) -> None:
    for place in (8, HEADER - 8, HEADER):
        huge = bytearray(receipt)
        huge[place : place + 8] = b"\xff" * 8
        with pytest.raises(ProverError):
            prover.verify(bytes(huge), fibonacci.image_id)
    with pytest.raises(ProverError, match="more than"):
        prover.verify(receipt + bytes(1 << 20), fibonacci.image_id)


@pytest.mark.parametrize(
    ("place", "value", "problem"),
    [(0, 0, "magic"), (4, 9, "version"), (6, 1, "zkVM number 1"), (7, 1, "kind")],
)
def test_what_the_header_says_is_checked(
    prover: Prover, receipt: bytes, place: int, value: int, problem: str
) -> None:
    other = bytearray(receipt)
    other[place] = value
    with pytest.raises(ProverError, match=problem):
        prover.describe(bytes(other))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_without_a_panic(noise: bytes) -> None:
    for call in (native.describe, lambda data: native.verify(b"ZKRC" + data, bytes(32))):
        with pytest.raises(native.NativeError):
            call(noise)
    with pytest.raises(native.NativeError):
        native.commitments(b"\x7fELF" + noise)


def test_an_elf_that_asks_for_gigabytes_is_refused(prover: Prover, fibonacci: Guest) -> None:
    elf = bytearray(fibonacci.elf_path.read_bytes())
    table = int.from_bytes(elf[28:32], "little")
    headers = range(table, table + 32 * elf[44], 32)
    load = next(at for at in headers if elf[at] == 1)  # PT_LOAD
    elf[load + 20 : load + 24] = (0x7FFF_FFFC).to_bytes(4, "little")
    with pytest.raises(ProverError, match="not a program"):
        prover.image_id(bytes(elf))


DAMAGE = """
import json, resource, sys
from pathlib import Path
import runner_openvm as native
native.load_vm(Path(sys.argv[2]).read_bytes())
# Without a limit, the machine would be out of memory before the test failed.
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
elf = Path(sys.argv[1]).read_bytes()
refused = []
for place, change in json.loads(sys.argv[3]):
    damaged = bytearray(elf)
    damaged[place] ^= change
    try:
        native.commitments(bytes(damaged))
    except native.NativeError as error:
        refused.append(error.args)
print(json.dumps(refused))
"""


def test_damaged_program_headers_take_no_memory(fibonacci: Guest) -> None:
    """The library's tables have an entry for every address below the code."""
    elf = fibonacci.elf_path.read_bytes()
    table = int.from_bytes(elf[28:32], "little")
    headers = range(table, table + 32 * elf[44], 32)
    code = next(at for at in headers if elf[at] == 1 and elf[at + 24] & 1)
    damage = [
        (code, 0x7F, "outside of its code"),  # it is not loaded
        (code + 24, 1, "outside of its code"),  # it is not executable
        (code + 7, 0x10, "ends at byte"),  # it begins beyond the file's end
        (code + 11, 0x10, "outside of its code"),  # it is loaded elsewhere
        (code + 17, 0x40, "in the file"),  # it has more bytes in the file than in memory
        (code + 23, 0x7F, "more than"),  # it is enormous
        (27, 0x10, "outside of its code"),  # the first instruction is elsewhere
        (30, 1, "no segment table"),
        (42, 1, "no segment table"),
        (45, 0x10, "no segment table"),
    ]
    vm = default_folder("openvm") / "vm.bin"
    places = json.dumps([(place, change) for place, change, _ in damage])
    done = subprocess.run(
        [sys.executable, "-c", DAMAGE, fibonacci.elf_path, vm, places],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    refused = json.loads(done.stdout)
    assert {code for code, _ in refused} == {"bad_elf"}
    assert len(refused) == len(damage)
    for (_, message), (place, _, problem) in zip(refused, damage, strict=True):
        assert problem in message, place


def test_there_is_one_vm_a_process(prover: Prover) -> None:
    with pytest.raises(native.NativeError, match="already has another one"):
        native.load_vm(b"something else")


def test_a_malformed_definition_is_refused() -> None:
    code = "import runner_openvm\nrunner_openvm.load_vm(bytes(range(256)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not a VM definition" in done.stderr


def parameters() -> dict[str, Any]:
    """The parameters of the VM that comes with the runner."""
    read: dict[str, Any] = json.loads((default_folder("openvm") / "vm.json").read_text())
    return read


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("program", "log_stacked_height"), 17, "program.log_stacked_height is 17"),
        (("recursion", "l_skip"), 9, "recursion.l_skip is 9"),
        (("recursion", "log_blowup"), -1, "invalid value"),
        (("recursion", "lskip"), 4, "unknown field"),
        (("security_bits",), None, "invalid type"),
    ],
)
def test_a_slip_in_the_parameters_is_refused(
    path: tuple[str, ...], value: object, problem: str
) -> None:
    slip = parameters()
    place = slip
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises(native.NativeError) as caught:
        native.make_vm(json.dumps(slip))
    assert caught.value.args[0] == "bad_argument"
    assert problem in caught.value.args[1]


def test_the_vm_is_of_the_parameters_beside_it(prover: Prover) -> None:
    wanted = parameters()
    assert wanted["security_bits"] == 100
    extra = prover.versions.extra
    assert float(extra["security_bits"].split()[0]) >= 100
    for name in ("program", "recursion"):
        shown = " ".join(f"{key}={value}" for key, value in wanted[name].items())
        assert extra[f"{name}_parameters"] == shown


@pytest.mark.real
def test_parameters_that_are_too_weak_are_refused() -> None:
    weak = parameters()
    weak["recursion"]["folding_pow_bits"] = 10
    with pytest.raises(native.NativeError, match=r"bits of proven security, 100 are asked for"):
        native.make_vm(json.dumps(weak))


def test_guests_run_without_proofs(prover: Prover, pinned: Manifest, fibonacci: Guest) -> None:
    children = []
    for n, value in ((10, 55), (93, 12200160415121876738)):
        run = prover.run(fibonacci, n.to_bytes(4, "little"), (), ReceiptKind.EXECUTE, 0)
        assert run.journal == value.to_bytes(8, "little")
        assert run.cycles.user > 100
        children.append(Child(fibonacci.image_id, run.journal, None))
    aggregator = pinned.get(AGGREGATOR)
    claims = [(child.image_id, child.journal) for child in (*children, children[0])]
    stdin = aggregator_stdin(aggregator.image_id, claims)
    run = prover.run(aggregator, stdin, tuple(children), ReceiptKind.EXECUTE, 0)
    result = AggregationResult.decode(run.journal)
    assert (result.self_image_id, result.verified_count) == (aggregator.image_id, 3)
    with pytest.raises(ProverError, match="exit code 1"):
        prover.run(aggregator, stdin, tuple(children[:1]), ReceiptKind.EXECUTE, 0)


def test_a_guest_that_fails_is_an_error(prover: Prover, fibonacci: Guest) -> None:
    with pytest.raises(ProverError, match="exit code 1"):
        prover.run(fibonacci, (94).to_bytes(4, "little"), (), ReceiptKind.EXECUTE, 0)
    with pytest.raises(ProverError, match="exit code 1"):
        prover.run(fibonacci, b"", (), ReceiptKind.EXECUTE, 0)


def test_keys_in_a_folder_that_takes_no_file_are_bad_input(
    prover: Prover, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RUNNER_KEYS", str(tmp_path / "file"))
    with pytest.raises(InputError, match="RUNNER_KEYS"):
        prover.require(ReceiptKind.SUCCINCT)
