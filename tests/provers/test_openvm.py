"""The OpenVM adapter on a stand-in for its extension, and what keeps zkVMs apart."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from runner.batch.prepare import check_zkvm
from runner.errors import InputError, ProverError
from runner.inclusion import _pins as inclusion_pins
from runner.model import Child, ReceiptKind
from runner.provers import guests as guests_module
from runner.provers.guests import DEFAULT_FOLDER, Manifest, default_folder
from runner.provers.prover import BUILT_IN, ProverSpec, load_prover
from runner.verify.claims import adapter_of
from tests.fakes.guests import write_guests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runner.provers.prover import Prover

SPEC = ProverSpec("openvm", ReceiptKind.SUCCINCT)


class FakeNative(ModuleType):
    """A stand-in for ``runner_openvm`` that proves nothing and remembers what it was asked."""

    class NativeError(Exception):
        """An error with a code, like the extension's."""

    def __init__(self) -> None:
        super().__init__("runner_openvm")
        self.build: dict[str, Any] = {
            "module_version": "0.1.0",
            "openvm": "2.0.2",
            "vectors": "avx2",
            "envelope_version": 1,
        }
        self.made: list[str] = []
        self.claims: list[tuple[bytes, bytes, bytes]] = []
        self.receipts: list[bytes] = []
        self.fails: tuple[str, str] | None = None

    def _check(self) -> None:
        if self.fails:
            raise self.NativeError(*self.fails)

    def build_info(self) -> dict[str, Any]:
        return self.build

    def load_vm(self, definition: bytes) -> dict[str, Any]:
        self._check()
        system = {"log_blowup": 2, "l_skip": 4}
        parameters = {"security_bits": 90, "program": system, "recursion": system}
        return {
            "commitment": hashlib.sha256(b"vm").digest(),
            "parameters": json.dumps(parameters),
            "security_bits": 90.25,
        }

    def commitments(self, elf: bytes) -> tuple[bytes, bytes]:
        self._check()
        return hashlib.sha256(b"executable" + elf).digest(), hashlib.sha256(b"vm").digest()

    def image_id(self, executable: bytes, vm: bytes) -> bytes:
        return hashlib.sha256(executable + vm).digest()

    def make_keys(self, folder: str) -> bool:
        self._check()
        self.made.append(folder)
        return len(self.made) == 1

    def execute(
        self, elf: bytes, stdin: bytes, claims: list[tuple[bytes, bytes, bytes]], *, threads: int
    ) -> SimpleNamespace:
        self._check()
        self.claims = claims
        return SimpleNamespace(journal=stdin, instructions=1234, segments=1)

    def prove(
        self, elf: bytes, stdin: bytes, receipts: list[bytes], *, keys: str, threads: int
    ) -> SimpleNamespace:
        self._check()
        self.receipts = receipts
        run = SimpleNamespace(journal=stdin, instructions=1234, segments=2)
        return SimpleNamespace(receipt=b"proof of " + stdin, execution=run)

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        self._check()
        return receipt.removeprefix(b"proof of ")

    def describe(self, receipt: bytes) -> SimpleNamespace:
        self._check()
        return SimpleNamespace(seal_bytes=len(receipt), journal=b"")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the guests of all adapters."""
    folder = tmp_path / "home"
    (folder / "openvm").mkdir(parents=True)
    (folder / "openvm" / "vm.bin").write_bytes(b"definition")
    pin = {"vm_sha256": hashlib.sha256(b"definition").hexdigest()}
    (folder / "openvm" / "manifest.json").write_text(json.dumps(pin))
    monkeypatch.setattr(guests_module, "DEFAULT_FOLDER", folder)
    return folder


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path) -> Iterator[FakeNative]:
    fake = FakeNative()
    monkeypatch.setitem(sys.modules, "runner_openvm", fake)
    monkeypatch.delitem(sys.modules, "runner.provers.openvm.adapter", raising=False)
    monkeypatch.setenv("RUNNER_KEYS", str(tmp_path / "keys"))
    load_prover.cache_clear()
    yield fake
    load_prover.cache_clear()
    sys.modules.pop("runner.provers.openvm.adapter", None)


@pytest.fixture
def prover(native: FakeNative) -> Prover:
    return load_prover(SPEC)


@pytest.fixture
def pinned(guests: Path, native: FakeNative) -> Manifest:
    """The fake guests, with the commitments that a manifest for OpenVM has."""
    path = guests / "manifest.json"
    data = json.loads(path.read_text())
    data["zkvm"] = "openvm"
    for entry in data["guests"].values():
        executable, vm = native.commitments((guests / entry["elf"]).read_bytes())
        image_id = native.image_id(executable, vm).hex()
        entry |= {"executable": executable.hex(), "vm": vm.hex(), "image_id": image_id}
    path.write_text(json.dumps(data))
    return Manifest.load(guests)


def test_keys_are_made_before_any_worker_starts(
    native: FakeNative, prover: Prover, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        prover.require(ReceiptKind.SUCCINCT)
        prover.require(ReceiptKind.SUCCINCT)
    assert native.made == [str(tmp_path / "keys")] * 2
    assert caplog.text.count("proving keys made") == 1


def test_running_without_proofs_needs_no_keys(native: FakeNative, prover: Prover) -> None:
    prover.require(ReceiptKind.EXECUTE)
    assert native.made == []


@pytest.mark.parametrize("kind", [ReceiptKind.COMPOSITE, ReceiptKind.GROTH16])
def test_other_receipt_kinds_are_refused(prover: Prover, kind: ReceiptKind) -> None:
    with pytest.raises(InputError, match=r"prover\.kind = '\w+': OpenVM has no such receipts"):
        prover.require(kind)


@pytest.mark.parametrize("damage", ["vm.bin", "manifest.json", "bytes", "another"])
def test_the_vm_is_the_one_the_manifest_pins(native: FakeNative, home: Path, damage: str) -> None:
    if damage == "bytes":
        (home / "openvm" / "vm.bin").write_bytes(b"another")
    elif damage == "another":
        native.fails = ("bad_argument", "this process already has another one")
    else:
        (home / "openvm" / damage).unlink()
    with pytest.raises(InputError, match=r"guests\.vm = '.*vm\.bin'"):
        load_prover(SPEC)


def test_keys_that_cannot_be_kept_are_bad_input(native: FakeNative, prover: Prover) -> None:
    native.fails = ("bad_keys", "cannot be written: no space left")
    with pytest.raises(InputError, match=r"RUNNER_KEYS.*no space left"):
        prover.require(ReceiptKind.SUCCINCT)


def test_a_build_without_vector_instructions_is_warned_of(
    native: FakeNative, prover: Prover, caplog: pytest.LogCaptureFixture
) -> None:
    native.build["vectors"] = "none"
    prover.require(ReceiptKind.SUCCINCT)
    assert "without vector instructions" in caplog.text


def test_every_report_names_the_security_parameters(prover: Prover) -> None:
    versions = prover.versions
    assert (versions.zkvm, versions.zkvm_version) == ("openvm", "2.0.2")
    assert versions.extra["security_bits"] == "90.2 proven"
    assert versions.extra["program_parameters"] == "log_blowup=2 l_skip=4"


def test_weaker_parameters_than_asked_for_are_refused(native: FakeNative) -> None:
    load_prover(replace(SPEC, settings=(("security_bits", 90),))).require(ReceiptKind.SUCCINCT)
    prover = load_prover(replace(SPEC, settings=(("security_bits", 91),)))
    with pytest.raises(InputError, match=r"prover\.security_bits = 91: .* 90\.2 bits"):
        prover.require(ReceiptKind.SUCCINCT)
    assert len(native.made) == 1


def test_there_is_no_choice_of_segments(native: FakeNative) -> None:
    with pytest.raises(InputError, match=r"prover\.segment_po2 = 18: openvm has no such setting"):
        load_prover(replace(SPEC, settings=(("segment_po2", 18),)))


def test_guests_of_ones_own_may_come_with_their_vm(
    native: FakeNative, home: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    # The folder has no VM, so the one that comes with the runner is loaded.
    load_prover(replace(SPEC, guests=str(own)))
    (own / "vm.bin").write_bytes(b"another")
    (own / "manifest.json").write_text(json.dumps({"vm_sha256": "00" * 32}))
    with pytest.raises(InputError, match=r"guests\.vm = '.*/own/vm\.bin'"):
        load_prover(replace(SPEC, guests=str(own), settings=(("security_bits", 1),)))


def test_an_image_id_joins_both_commitments(
    native: FakeNative, prover: Prover, pinned: Manifest
) -> None:
    guest = pinned.get("fibonacci")
    assert prover.image_id(guest.elf_path.read_bytes()) == guest.image_id


def test_a_run_without_proofs_takes_children_by_their_pinned_commitments(
    native: FakeNative, prover: Prover, pinned: Manifest
) -> None:
    guest, aggregator = pinned.get("fibonacci"), pinned.get("aggregator")
    child = Child(guest.image_id, b"result", None)
    proof = prover.run(aggregator, b"in", (child,), ReceiptKind.EXECUTE, 0)
    assert (proof.journal, proof.receipt, proof.cycles.user) == (b"in", None, 1234)
    executable, vm = native.commitments(guest.elf_path.read_bytes())
    assert native.claims == [(executable, vm, b"result")]
    stranger = Child(bytes(32), b"result", None)
    with pytest.raises(ProverError, match=r"no guest in .* has image id 0000"):
        prover.run(aggregator, b"in", (stranger,), ReceiptKind.EXECUTE, 0)


def test_children_are_verified_by_the_guest(
    native: FakeNative, prover: Prover, pinned: Manifest
) -> None:
    children = tuple(Child(bytes(32), b"", receipt) for receipt in (b"one", b"two"))
    proof = prover.run(pinned.get("aggregator"), b"in", children, ReceiptKind.SUCCINCT, 1)
    assert native.receipts == [b"one", b"two"]
    assert (proof.receipt, proof.cycles.segments) == (b"proof of in", 2)
    assert proof.receipt is not None
    assert prover.describe(proof.receipt).kind == "succinct"


@pytest.mark.parametrize("call", ["image_id", "verify", "describe"])
def test_the_extensions_failures_are_prover_errors(
    native: FakeNative, prover: Prover, call: str
) -> None:
    native.fails = ("malformed_receipt", "not a receipt: it ends too early")
    calls: dict[str, Callable[[], object]] = {
        "image_id": lambda: prover.image_id(call.encode()),
        "verify": lambda: prover.verify(b"", bytes(32)),
        "describe": lambda: prover.describe(b""),
    }
    with pytest.raises(ProverError, match="ends too early"):
        calls[call]()


# -- zkVMs are kept apart ---------------------------------------------------------------------


def test_guests_of_another_zkvm_are_refused(prover: Prover, guests: Path) -> None:
    path = guests / "manifest.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"zkvm": "risc0"}))
    with pytest.raises(InputError, match="compiled for risc0, the prover is openvm"):
        check_zkvm(Manifest.load(guests), prover)
    path.write_text(json.dumps(data | {"zkvm": 2}))
    with pytest.raises(InputError, match="not a guest manifest"):
        Manifest.load(guests)


def test_each_adapter_has_its_own_guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_folder("risc0") == DEFAULT_FOLDER
    assert default_folder("some.module:Prover") == DEFAULT_FOLDER
    monkeypatch.setattr(guests_module, "DEFAULT_FOLDER", tmp_path)
    assert default_folder("openvm") == tmp_path
    write_guests(tmp_path / "openvm")
    assert default_folder("openvm") == tmp_path / "openvm"


@pytest.mark.parametrize(
    ("record", "adapter"),
    [
        ({"versions": {"zkvm": "openvm"}}, "openvm"),
        ({"versions": {"zkvm": "risc0"}}, "risc0"),
        ({"versions": {"zkvm": ["openvm"]}}, "risc0"),
        ({"versions": 3}, "risc0"),
        ({}, "risc0"),
    ],
)
def test_a_batch_is_checked_by_the_zkvm_it_names(
    tmp_path: Path, record: dict[str, object], adapter: str
) -> None:
    result = {"format": 1, "status": "ok", **record}
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert adapter_of(tmp_path) == adapter


@pytest.mark.parametrize("zkvm", ["../../evil", "os:system", "jolt"])
def test_a_zkvm_that_no_installed_adapter_is_of_is_refused(tmp_path: Path, zkvm: str) -> None:
    result = {"format": 1, "status": "ok", "versions": {"zkvm": zkvm}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    with pytest.raises(InputError, match=r"--adapter = .*no installed adapter is of it"):
        adapter_of(tmp_path)


def test_a_folder_that_is_no_batch_is_left_to_the_verifier(tmp_path: Path) -> None:
    assert adapter_of(tmp_path) == next(iter(BUILT_IN))


def test_an_inclusion_proof_is_checked_by_the_zkvm_whose_leaf_it_names() -> None:
    leaf = Manifest.load(DEFAULT_FOLDER).get("fibonacci")
    adapter, pins = inclusion_pins(None, leaf.image_id)
    assert (adapter, pins.leaves[leaf.image_id]) == ("risc0", "fibonacci")


def test_an_adapter_without_its_extension_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "runner_openvm", cast("ModuleType", None))
    monkeypatch.delitem(sys.modules, "runner.provers.openvm.adapter", raising=False)
    load_prover.cache_clear()
    with pytest.raises(InputError, match="runner_openvm is not installed"):
        importlib.import_module("runner.provers.openvm.adapter")
    with pytest.raises(InputError, match="setup-openvm"):
        load_prover(SPEC)
