"""The OpenVM adapter on a stand-in for its extension."""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError, ProverError
from runner.model import Child, ReceiptKind
from runner.provers.openvm.memory import DEFAULT
from runner.provers.prover import load_prover
from runner.provers.segments import Sized
from tests.provers.fake_openvm import SPEC, FakeNative

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.provers.guests import Manifest
    from runner.provers.prover import Prover


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


def to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize("name", ["vm.bin", "manifest.json"])
@pytest.mark.parametrize("fault", [to_zero, os.mkfifo, huge], ids=lambda f: f.__name__)
def test_a_vm_from_elsewhere_that_never_ends_is_refused(
    fault: Callable[[Path], None], name: str, native: FakeNative, home: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(home / "openvm", tmp_path / "elsewhere")
    (folder / name).unlink()
    fault(folder / name)
    with pytest.raises(InputError, match=r"a symbolic link|not a regular file|larger than"):
        load_prover(replace(SPEC, guests=str(folder)))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"vm_sha256": 1, "vm_sha256": 2}', "[]", "NaN"])
def test_a_manifest_of_a_vm_of_other_json_is_refused(
    text: str, native: FakeNative, home: Path
) -> None:
    (home / "openvm" / "manifest.json").write_text(text)
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


def test_own_guests_may_come_with_their_vm(native: FakeNative, home: Path, tmp_path: Path) -> None:
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
    assert native.segment_memory == DEFAULT << 20
    assert (proof.receipt, proof.cycles.segments) == (b"proof of in", 2)
    assert proof.receipt is not None
    assert prover.describe(proof.receipt).kind == "succinct"


def test_the_limit_of_segments_is_among_the_settings(
    prover: Prover,
) -> None:
    assert isinstance(prover, Sized)
    assert dict(prover.sized(2))["segment_memory"] == DEFAULT
    assert prover.proof_bytes(1) < prover.proof_bytes()


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


@pytest.mark.parametrize(
    ("memory", "workers"),
    [(0, None), (12 * 10**9, None), (11 * 10**9, 3), (10**9, 1)],
)
@pytest.mark.usefixtures("native")
def test_no_more_workers_than_there_is_memory_for(
    memory: int, workers: int | None, prover: Prover, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.provers.openvm.adapter.cores", lambda: 4)
    monkeypatch.setattr("runner.provers.openvm.adapter.memory_bytes", lambda: memory)
    assert prover.workers == workers
    executes = load_prover(replace(SPEC, kind=ReceiptKind.EXECUTE))
    assert (executes.workers, executes.worker_bytes) == (None, 0)
