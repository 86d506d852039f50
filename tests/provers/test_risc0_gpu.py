"""GPUs as a resource of workers: which there are, who sits where, and what a failure leads to."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from runner.errors import InputError, ProverError
from runner.gpus import VISIBLE, Gpu, usable
from runner.model import GpuUse, ReceiptKind
from runner.provers.prover import ProverSpec
from runner.provers.risc0 import adapter
from runner.provers.risc0.adapter import Risc0Prover
from runner.provers.risc0.gpu import SET_ASIDE_S, Seat, lock_folder, take_seat
from tests.fakes.guests import sample_guest

if TYPE_CHECKING:
    from pathlib import Path

    from runner.provers.prover import Proof

GPUS = (Gpu(0, "GPU-aa11", "H100"), Gpu(1, "GPU-ab22", "H100"), Gpu(2, "GPU-cc33", "A10"))


class FakeDriver:
    """A driver with three GPUs."""

    def version(self) -> str:
        return "580"

    def gpus(self) -> list[Gpu]:
        return list(GPUS)

    def sample(self, index: int) -> tuple[float, int, int]:
        raise RuntimeError(f"nobody asks for GPU {index}")


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        (None, [0, 1, 2]),
        ("", []),
        ("1", [1]),
        ("2,0", [2, 0]),
        ("GPU-cc33,1", [2, 1]),
        ("GPU-c", [2]),
        ("GPU-a", []),  # it names two
        ("0,7,1", [0]),  # CUDA ends the list at the first entry that names none
        ("0,0", [0]),
        ("MIG-1234", []),
    ],
)
def test_the_gpus_that_cuda_may_use(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, found: list[int]
) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(VISIBLE, visible)
    assert [gpu.index for gpu in usable(FakeDriver)] == found
    assert usable(lambda: None) == ()


def test_a_driver_that_fails_shows_no_gpus(caplog: pytest.LogCaptureFixture) -> None:
    class LostDriver(FakeDriver):
        def gpus(self) -> list[Gpu]:
            raise RuntimeError("GPU is lost")

    assert usable(LostDriver) == ()
    assert "the driver fails: GPU is lost" in caplog.text


class TestSeats:
    @pytest.fixture(autouse=True)
    def _environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VISIBLE, "is set by a seat")

    def test_workers_spread_over_the_gpus(self, tmp_path: Path) -> None:
        seats = [take_seat(GPUS[:2], tmp_path, 2) for _ in range(6)]
        assert [seat.gpu.index for seat in seats] == [0, 1, 0, 1, 0, 1]
        # Every other worker of a GPU shares a lock, so two proofs are made at once.
        locks = [seat.lock.name.removeprefix(f"{seat.gpu.uuid}.") for seat in seats]
        assert locks == ["lock-0", "lock-0", "lock-1", "lock-1", "lock-0", "lock-0"]
        seats[3].leave()
        again = take_seat(GPUS[:2], tmp_path, 2)
        assert (again.gpu.index, again.lock) == (1, seats[3].lock)

    def test_a_process_sees_its_gpu_alone(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        take_seat(GPUS[1:], tmp_path, 1)
        assert [gpu.index for gpu in usable(FakeDriver)] == [1]

    def test_a_gpu_is_set_aside_for_a_while(self, tmp_path: Path) -> None:
        now = [100.0]
        seat = Seat(GPUS[0], tmp_path / "lock", -1, clock=lambda: now[0])
        states = [seat.usable]
        seat.set_aside()
        for seconds in (SET_ASIDE_S - 1, 1):
            now[0] += seconds
            states.append(seat.usable)
        assert states == [True, False, True]

    def test_the_folder_of_the_locks_is_this_users_own(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        folder = lock_folder()
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        assert lock_folder() == folder
        folder.rmdir()
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(PermissionError, match="not a folder of this user"):
            lock_folder()

    def worker(self, folder: Path, body: str) -> str:
        """What a worker prints, which is a process of its own and takes a seat."""
        code = f"""
            import os, sys, time
            from pathlib import Path
            from runner.gpus import Gpu
            from runner.provers.risc0.gpu import take_seat

            seat = take_seat([Gpu(0, "GPU-aa11", "H100")], Path({str(folder)!r}), 1)
            {body}
        """
        command = [sys.executable, "-c", textwrap.dedent(code)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout.strip()

    def test_a_worker_that_dies_on_the_gpu_is_noticed_once(self, tmp_path: Path) -> None:
        ask = "print(seat.worker_died(), seat.worker_died())"
        assert self.worker(tmp_path, ask) == "False False"
        self.worker(tmp_path, "held = seat.trial(); held.__enter__(); os._exit(1)")
        assert self.worker(tmp_path, ask) == "True False"
        # It is a sign for every worker of the batch, until it is old.
        assert self.worker(tmp_path, ask) == "True False"
        (mark,) = tmp_path.glob("*.used-*")
        old = f"os.utime({str(mark)!r}, (time.time() - {SET_ASIDE_S + 1},) * 2); "
        assert self.worker(tmp_path, old + ask) == "False False"
        assert not mark.exists()

    def test_a_worker_that_lives_leaves_no_sign(self, tmp_path: Path) -> None:
        self.worker(tmp_path, "exec('with seat.trial(): pass')")
        assert not list(tmp_path.glob("*.used-*"))
        while_it_works = "exec('with seat.trial(): print(seat.worker_died())')"
        assert self.worker(tmp_path, while_it_works) == "False"

    def test_a_worker_of_another_batch_is_no_sign(self, tmp_path: Path) -> None:
        self.worker(tmp_path, "held = seat.trial(); held.__enter__(); os._exit(1)")
        (mark,) = tmp_path.glob("*.used-*")
        parent = f".used-{os.getpid()}-"
        mark.rename(mark.with_name(mark.name.replace(parent, f".used-{os.getpid()}1-")))
        assert self.worker(tmp_path, "print(seat.worker_died())") == "False"


@dataclass
class FakeModule:
    """An extension whose proofs name it, or fail with a code.

    Attributes:
        name: the receipt of its proofs.
        fails: the codes that its next proofs fail with; "" for one that succeeds.
        calls: the arguments of each proof.
    """

    name: str
    fails: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)

    class NativeError(Exception):
        pass

    def prove(self, *_: object, **arguments: object) -> SimpleNamespace:
        self.calls.append(arguments)
        if code := self.fails.pop(0) if self.fails else "":
            raise self.NativeError(code, f"{code} on purpose")
        run = SimpleNamespace(
            journal=b"", user_cycles=1, paging_cycles=1, total_cycles=2, segments=1, log=""
        )
        gpu_s = 0.5 if arguments["gpu_lock"] else 0.0
        return SimpleNamespace(receipt=self.name.encode(), execution=run, gpu_s=gpu_s)


class TestAdapter:
    @pytest.fixture
    def cpu(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeModule:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
        monkeypatch.setenv(VISIBLE, "is set by a seat")
        module = FakeModule("cpu")
        monkeypatch.setattr(adapter, "native", module)
        monkeypatch.setattr(adapter, "read_elf", lambda _: b"")
        return module

    @pytest.fixture
    def gpu(self, monkeypatch: pytest.MonkeyPatch) -> FakeModule:
        module = FakeModule("gpu")
        monkeypatch.setitem(sys.modules, "runner_risc0_cuda", module)
        monkeypatch.setattr(adapter, "_has_gpu_module", lambda: True)
        monkeypatch.setattr(adapter, "usable", lambda: GPUS[:2])
        return module

    @staticmethod
    def prover(kind: ReceiptKind = ReceiptKind.COMPOSITE, **settings: int | None) -> Risc0Prover:
        return Risc0Prover(ProverSpec("risc0", kind, tuple(settings.items())))

    @staticmethod
    def proof(prover: Risc0Prover) -> Proof:
        return prover.run(sample_guest(), b"", (), ReceiptKind.COMPOSITE, 3)

    def test_a_gpu_proves(self, cpu: FakeModule, gpu: FakeModule) -> None:
        prover = self.prover()
        assert (list(prover.gpus), prover.workers) == (list(GPUS[:2]), 8)
        done = self.proof(prover)
        assert (done.receipt, done.gpu) == (b"gpu", GpuUse("GPU-aa11", 0.5))
        (call,) = gpu.calls
        assert call["gpu_lock"].endswith("GPU-aa11.lock-0")
        assert call["threads"] == 3
        assert not cpu.calls

    def test_a_gpu_that_fails_is_set_aside(self, cpu: FakeModule, gpu: FakeModule) -> None:
        gpu.fails = ["cuda_failed"]
        prover = self.prover()
        done = self.proof(prover)
        why = "cuda_failed on purpose [cuda_failed]"
        assert (done.receipt, done.gpu) == (b"cpu", GpuUse("GPU-aa11", error=why))
        done = self.proof(prover)
        assert (done.receipt, done.gpu) == (b"cpu", None)
        assert (len(gpu.calls), len(cpu.calls)) == (1, 2)

    def test_a_guest_that_fails_says_nothing_of_the_gpu(
        self, cpu: FakeModule, gpu: FakeModule
    ) -> None:
        gpu.fails = ["guest_failed"]
        prover = self.prover()
        with pytest.raises(ProverError, match="guest_failed on purpose"):
            self.proof(prover)
        assert self.proof(prover).receipt == b"gpu"
        assert not cpu.calls

    def test_an_extension_that_does_not_load_sets_the_gpu_aside(
        self, cpu: FakeModule, gpu: FakeModule, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "runner_risc0_cuda", None)
        done = self.proof(self.prover())
        assert done.receipt == b"cpu"
        assert done.gpu is not None
        assert "runner_risc0_cuda" in done.gpu.error
        assert len(cpu.calls) == 1
        assert not gpu.calls

    @pytest.mark.parametrize("wanted", [0, 1])
    def test_as_many_gpus_as_are_asked_for(
        self, cpu: FakeModule, gpu: FakeModule, wanted: int
    ) -> None:
        prover = self.prover(gpus=wanted)
        prover.require(ReceiptKind.COMPOSITE)
        assert len(prover.gpus) == wanted
        assert self.proof(prover).receipt == (gpu if wanted else cpu).name.encode()

    def test_more_than_there_are_is_an_error(self, cpu: FakeModule, gpu: FakeModule) -> None:
        with pytest.raises(InputError, match=r"prover.gpus = 3: this machine shows 2 NVIDIA GPUs"):
            self.prover(gpus=3).require(ReceiptKind.COMPOSITE)
        assert not cpu.calls + gpu.calls

    def test_gpus_without_the_extension_are_an_error(
        self, cpu: FakeModule, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(adapter, "_has_gpu_module", lambda: False)
        with pytest.raises(
            InputError, match=r"prover.gpus = 1: runner_risc0_cuda is not installed"
        ):
            self.prover(gpus=1).require(ReceiptKind.COMPOSITE)
        prover = self.prover()
        prover.require(ReceiptKind.COMPOSITE)
        assert (prover.gpus, prover.workers) == ((), None)
        assert self.proof(prover).receipt == b"cpu"

    def test_locks_that_cannot_be_kept_are_an_error(
        self, cpu: FakeModule, gpu: FakeModule, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
        with pytest.raises(InputError, match=r"the GPUs' locks cannot be kept: .*; set XDG_RUN"):
            self.prover().require(ReceiptKind.COMPOSITE)
        self.prover(gpus=0).require(ReceiptKind.COMPOSITE)
        assert not cpu.calls + gpu.calls

    def test_executing_uses_no_gpu(self, cpu: FakeModule, gpu: FakeModule) -> None:
        prover = self.prover(ReceiptKind.EXECUTE, gpus=3)
        prover.require(ReceiptKind.EXECUTE)
        assert (prover.gpus, prover.workers) == ((), None)
        assert not cpu.calls + gpu.calls
