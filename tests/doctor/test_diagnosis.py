"""The doctor, with a made-up extension and tools."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runner import doctor
from runner.provers import diagnosis, machine

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from runner.provers.machine import Native

ELF = b"program"
IMAGE_ID = hashlib.sha256(b"id of " + ELF).digest()


class FakeNative:
    def __init__(self, *, recursion: bool = False, cuda: bool = False) -> None:
        self.info: dict[str, Any] = {
            "module_version": "0.1.0",
            "risc0_zkvm": "3.0.6",
            "receipt_kinds": ["composite", *(["succinct", "groth16"] if recursion else [])],
            "recursion": recursion,
            "cuda": cuda,
            "envelope_version": 1,
        }

    def build_info(self) -> dict[str, Any]:
        return self.info

    def image_id(self, elf: bytes, /) -> bytes:
        if not elf.startswith(b"prog"):
            raise RuntimeError("bad_elf")
        return hashlib.sha256(b"id of " + elf).digest()


def absent() -> Native:
    raise ImportError("No module named 'runner_risc0'")


def no_tools(_command: Sequence[str]) -> str:
    return ""


def manifest(folder: Path, elf: bytes = ELF, image_id: bytes = IMAGE_ID) -> Path:
    (folder / "elfs").mkdir()
    (folder / "elfs/fibonacci.bin").write_bytes(elf)
    entry = {
        "image_id": image_id.hex(),
        "elf": "elfs/fibonacci.bin",
        "elf_sha256": hashlib.sha256(elf).hexdigest(),
    }
    text = json.dumps({"format": 1, "guests": {"fibonacci": entry}})
    (folder / "manifest.json").write_text(text)
    return folder


@pytest.fixture
def guests(tmp_path: Path) -> Path:
    return manifest(tmp_path)


def test_all_is_well(guests: Path) -> None:
    report = diagnosis.diagnose(guests, {}, load=FakeNative, ask=no_tools)
    assert report.ready
    assert report.todo == []
    assert report.guests == [
        diagnosis.GuestState("fibonacci", IMAGE_ID.hex(), "ok", recomputed=True)
    ]
    assert report.cores > 0


def test_without_the_extension(guests: Path) -> None:
    report = diagnosis.diagnose(guests, {}, load=absent, ask=no_tools)
    assert not report.ready
    assert report.native is None
    assert "runner_risc0" in report.native_problem
    assert "make setup" in report.todo[0]
    assert not any(kind.available for kind in report.receipts)
    assert report.guests == [diagnosis.GuestState("fibonacci", IMAGE_ID.hex(), "ok")]


class TestGuests:
    def state(self, folder: Path) -> str:
        report = diagnosis.diagnose(folder, {}, load=FakeNative, ask=no_tools)
        assert not report.ready
        assert "fibonacci" in report.todo[0]
        return report.guests[0].state

    def test_missing(self, guests: Path) -> None:
        (guests / "elfs/fibonacci.bin").unlink()
        assert self.state(guests) == "missing"

    def test_altered(self, guests: Path) -> None:
        (guests / "elfs/fibonacci.bin").write_bytes(b"prog changed")
        assert self.state(guests) == "altered"

    def test_wrong_image_id(self, tmp_path: Path) -> None:
        assert self.state(manifest(tmp_path, image_id=bytes(32))) == "wrong image id"

    def test_not_a_program(self, tmp_path: Path) -> None:
        assert self.state(manifest(tmp_path, elf=b"text")) == "not a program (bad_elf)"

    @pytest.mark.parametrize("text", [None, "{}", "no json"])
    def test_no_manifest(self, text: str | None, guests: Path) -> None:
        (guests / "manifest.json").unlink()
        if text is not None:
            (guests / "manifest.json").write_text(text)
        report = diagnosis.diagnose(guests, {}, load=FakeNative, ask=no_tools)
        assert not report.ready
        assert "manifest.json" in report.todo[0]


class TestReceiptKinds:
    @staticmethod
    def kinds(
        native: FakeNative, docker: str = "", machine: str = "x86_64"
    ) -> dict[str, diagnosis.Ability]:
        found = diagnosis.abilities(native.info, docker=docker, machine=machine)
        return {kind.kind: kind for kind in found}

    def test_without_recursion_programs(self) -> None:
        kinds = self.kinds(FakeNative(), docker="28.2.2")
        assert kinds["composite"].available
        for name in ("succinct", "groth16"):
            assert not kinds[name].available
            assert "recursion programs" in kinds[name].reason
            assert "RECURSION_SRC_PATH" in kinds[name].remedy

    @pytest.mark.parametrize(
        ("docker", "machine", "cuda", "groth16"),
        [
            ("28.2.2", "x86_64", False, True),
            ("", "x86_64", False, False),
            ("28.2.2", "aarch64", False, False),
            ("", "aarch64", True, True),
        ],
    )
    def test_groth16(self, docker: str, machine: str, cuda: bool, groth16: bool) -> None:
        kinds = self.kinds(FakeNative(recursion=True, cuda=cuda), docker, machine)
        assert kinds["succinct"].available
        assert kinds["groth16"].available is groth16
        assert bool(kinds["groth16"].reason and kinds["groth16"].remedy) is not groth16


class TestTools:
    def test_first_line_of_what_answers(self) -> None:
        assert machine.ask(("printf", r"\none\ntwo\n")) == "one"
        assert machine.ask(("printf", r"nvcc: NVIDIA\nCuda, release 12.9, V12.9\n")) == (
            "Cuda, release 12.9, V12.9"
        )

    @pytest.mark.parametrize("command", [("/no/such",), ("false",), ("true",)])
    def test_empty_otherwise(self, command: tuple[str, ...]) -> None:
        assert machine.ask(command) == ""


def test_proof_cache_folder(tmp_path: Path) -> None:
    assert machine.proof_cache({"RUNNER_PROOFS": str(tmp_path)}) == tmp_path
    assert machine.proof_cache({"XDG_CACHE_HOME": "/x"}).as_posix() == "/x/zk-batch-runner/proofs"
    assert machine.folder_state(tmp_path).startswith("ready, ")
    assert machine.folder_state(tmp_path / "a/b").startswith("made when needed, ")
    (tmp_path / "file").touch()
    assert machine.folder_state(tmp_path / "file/b") == f"not writable ({tmp_path / 'file'})"


class TestCommand:
    @pytest.fixture(autouse=True)
    def _fakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "runner_risc0", FakeNative())
        monkeypatch.setattr(machine, "TOOLS", {"docker engine": ("false",)})

    def test_json(self, guests: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert doctor.main(["--json", "--guests", str(guests)]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["ready"] is True
        assert report["native"]["receipt_kinds"] == ["composite"]
        assert [kind["kind"] for kind in report["receipts"]] == ["composite", "succinct", "groth16"]

    def test_text(self, guests: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert doctor.main(["--guests", str(guests)]) == 0
        text = capsys.readouterr().out
        assert "composite proofs work here" in text
        assert f"ok, image id recomputed  {IMAGE_ID.hex()}" in text
        assert "docker engine     not found" in text

    def test_exit_code_1_says_what_to_do(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert doctor.main(["--guests", str(tmp_path)]) == 1
        assert "to do: " in capsys.readouterr().out
