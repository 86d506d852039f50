"""The doctor, with made-up adapters and tools."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from runner.alerts.config import CONF
from runner.doctor import diagnosis, tools
from runner.doctor.__main__ import main, show
from runner.errors import InputError, ProverError
from runner.model import ReceiptKind
from runner.provers.prover import Capability, Diagnosis, GpuExtension
from runner.provers.risc0 import adapter
from runner.provers.risc0.recursive import why_unavailable
from tests.alerts.rule_files import change

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from runner.provers.prover import Prover, ProverSpec

ELF = b"program"
IMAGE_ID = hashlib.sha256(b"id of " + ELF).digest()


class FakeAdapter:
    """Answers what the doctor asks; it can prove nothing."""

    receipts: tuple[Capability, ...] = (Capability("composite", available=True),)

    def __init__(self, spec: ProverSpec) -> None:
        self.spec = spec

    @classmethod
    def diagnose(cls) -> Diagnosis:
        return Diagnosis("runner_risc0", {"module_version": "0.1.0", "cuda": False}, cls.receipts)

    def image_id(self, elf: bytes) -> bytes:
        if not elf.startswith(b"prog"):
            raise ProverError("bad_elf", "no ELF file")
        return hashlib.sha256(b"id of " + elf).digest()


class CrippledAdapter(FakeAdapter):
    receipts = (Capability("composite", available=False, reason="not built", remedy="build it"),)


def loading(adapter: type[FakeAdapter]) -> Any:  # noqa: ANN401  # it has a part of the protocol
    """A loader of adapters that has the one called risc0, and no other."""

    def load(name: str) -> type[FakeAdapter]:
        if name == "risc0":
            return adapter
        raise InputError("prover.adapter", name, "runner_openvm is not installed", "install it")

    return load


def absent(name: str) -> type[Prover]:
    raise InputError("prover.adapter", name, "runner_risc0 is not installed", "run `make setup`")


def no_tools(_command: Sequence[str]) -> str:
    return ""


def diagnose(folder: Path, adapter: type[FakeAdapter] = FakeAdapter) -> diagnosis.Report:
    return diagnosis.diagnose(
        folder, {}, names=["risc0", "openvm"], load=loading(adapter), ask=no_tools
    )


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


def test_all_is_well_though_another_zkvm_is_missing(guests: Path) -> None:
    report = diagnose(guests)
    assert report.ready
    assert report.todo == []
    assert report.guests == [
        diagnosis.GuestState("fibonacci", IMAGE_ID.hex(), "ok", recomputed=True)
    ]
    assert [(state.name, state.diagnosis is None) for state in report.provers] == [
        ("risc0", False),
        ("openvm", True),
    ]
    assert report.cores > 0


def test_without_the_guests_adapter(guests: Path) -> None:
    report = diagnosis.diagnose(guests, {}, names=["risc0"], load=absent, ask=no_tools)
    assert not report.ready
    assert "runner_risc0" in report.provers[0].problem
    assert "make setup" in report.todo[0]
    assert report.guests == [diagnosis.GuestState("fibonacci", IMAGE_ID.hex(), "ok")]


def test_a_build_that_makes_no_receipts_is_not_ready(guests: Path) -> None:
    report = diagnose(guests, CrippledAdapter)
    assert not report.ready
    assert report.todo == ["composite proofs: not built; build it"]


class TestGuests:
    def state(self, folder: Path) -> str:
        report = diagnose(folder)
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
        assert "no ELF file" in self.state(manifest(tmp_path, elf=b"text"))

    @pytest.mark.parametrize("text", [None, "{}", "no json"])
    def test_no_manifest(self, text: str | None, guests: Path) -> None:
        (guests / "manifest.json").unlink()
        if text is not None:
            (guests / "manifest.json").write_text(text)
        report = diagnose(guests)
        assert not report.ready
        assert "manifest.json" in report.todo[0]


class TestWhatRisc0Lacks:
    @pytest.mark.parametrize("kind", [ReceiptKind.SUCCINCT, ReceiptKind.GROTH16])
    def test_without_recursion_programs(self, kind: ReceiptKind) -> None:
        build = {"recursion": False}
        found = why_unavailable(kind, build, docker=True, machine="x86_64")
        assert found is not None
        assert "recursion programs" in found[0]
        assert "RECURSION_SRC_PATH" in found[1]

    @pytest.mark.parametrize(
        ("docker", "machine", "on_gpu", "can"),
        [
            (True, "x86_64", False, True),
            (False, "x86_64", False, False),
            (True, "aarch64", False, False),
            (False, "aarch64", True, True),
        ],
    )
    def test_groth16(self, docker: bool, machine: str, on_gpu: bool, can: bool) -> None:
        build = {"recursion": True}
        assert why_unavailable(ReceiptKind.SUCCINCT, build, docker=docker, machine=machine) is None
        found = why_unavailable(
            ReceiptKind.GROTH16, build, docker=docker, machine=machine, on_gpu=on_gpu
        )
        assert (found is None) is can
        assert can or all(found or ("",))

    @pytest.mark.parametrize("kernels", [True, False])
    def test_the_extension_for_gpus_decides_about_groth16(
        self, kernels: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        build = {"recursion": True, "cuda": False}
        gpu = GpuExtension("cuda", installed=True, build={"all_kernels": kernels})
        monkeypatch.setattr("runner_risc0.build_info", lambda: build)
        monkeypatch.setattr(adapter, "docker_engine", lambda: False)
        monkeypatch.setattr("runner.provers.gpu_extension.gpu_extension", lambda *_: gpu)
        found = adapter.Risc0Prover.diagnose()
        assert found.gpu is gpu
        can = {kind.kind: kind.available for kind in found.receipts}
        assert can == {"composite": True, "succinct": True, "groth16": kernels}


class TestTools:
    def test_first_line_of_what_answers(self) -> None:
        assert tools.ask(("printf", r"\none\ntwo\n")) == "one"
        assert tools.ask(("printf", r"nvcc: NVIDIA\nCuda, release 12.9, V12.9\n")) == (
            "Cuda, release 12.9, V12.9"
        )

    @pytest.mark.parametrize("command", [("/no/such",), ("false",), ("true",)])
    def test_empty_otherwise(self, command: tuple[str, ...]) -> None:
        assert tools.ask(command) == ""


def test_proof_cache_folder(tmp_path: Path) -> None:
    assert tools.proof_cache({"RUNNER_PROOFS": str(tmp_path)}) == tmp_path
    assert tools.proof_cache({"XDG_CACHE_HOME": "/x"}).as_posix() == "/x/zk-batch-runner/proofs"
    assert tools.folder_state(tmp_path).startswith("ready, ")
    assert tools.folder_state(tmp_path / "a/b").startswith("made when needed, ")
    (tmp_path / "file").touch()
    assert tools.folder_state(tmp_path / "file/b") == f"not writable ({tmp_path / 'file'})"


class TestCommand:
    """The command itself, with the adapters that are installed and the shipped guests."""

    @pytest.fixture(autouse=True)
    def _no_tools(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tools, "TOOLS", {"docker engine": ("false",)})

    def test_json(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["ready"] is True
        prover = report["provers"][0] if report["provers"][0]["name"] == "risc0" else None
        prover = prover or next(p for p in report["provers"] if p["name"] == "risc0")
        assert "composite" in prover["diagnosis"]["build"]["receipt_kinds"]
        assert [kind["kind"] for kind in prover["diagnosis"]["receipts"]] == [
            *("composite", "succinct", "groth16")
        ]

    def test_text(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main([]) == 0
        text = capsys.readouterr().out
        assert "the guests can be proved here" in text
        assert "ok, image id recomputed  " in text
        assert "docker engine     not found" in text

    def test_exit_code_1_says_what_to_do(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["--guests", str(tmp_path)]) == 1
        assert "to do: guests = " in capsys.readouterr().out


def test_hosts_that_may_vanish_unnoticed_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alerts = tmp_path / "alerts"
    shutil.copytree(CONF, alerts)
    found = diagnosis.diagnose(tmp_path, {}, names=[], load=absent, ask=no_tools, alerts=alerts)
    assert found.alerts.startswith("a host that vanishes is forgotten after 1d, ")
    assert found.alerts.endswith(f"list the hosts as `instances` in {alerts}/metrics_missing.yaml")
    show(found)
    assert found.alerts in capsys.readouterr().out
    change(alerts, "metrics_missing.yaml", instances="[a:9100]")
    found = diagnosis.diagnose(tmp_path, {}, names=[], load=absent, ask=no_tools, alerts=alerts)
    assert found.alerts == ""
    show(found)
    assert "each host that should have metrics is watched" in capsys.readouterr().out
    (alerts / "metrics_missing.yaml").unlink()
    found = diagnosis.diagnose(tmp_path, {}, names=[], load=absent, ask=no_tools, alerts=alerts)
    assert "metrics_missing.yaml" in found.alerts
