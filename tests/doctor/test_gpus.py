"""What the doctor says of GPUs and of the extension that proves on them, as fakes have it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from runner.doctor.__main__ import gpu_proofs
from runner.doctor.gpus import GpuState, gpu_state
from runner.files import SHIPPED
from runner.gpus import VISIBLE, Gpu
from runner.provers.gpu_extension import gpu_extension
from runner.provers.prover import GpuExtension
from tests.fakes.gpu import pynvml

FAKES = Path(pynvml.__file__).parent
ONE = (Gpu(0, "GPU-a", "H100"),)
INSTALL = "build it"


class FakeDriver:
    """A driver with one GPU, or as many as it is given."""

    def __init__(self, gpus: tuple[Gpu, ...] = ONE) -> None:
        self._gpus = gpus

    def version(self) -> str:
        return "580"

    def gpus(self) -> list[Gpu]:
        return list(self._gpus)

    def sample(self, index: int) -> tuple[float, int, int]:
        raise RuntimeError(f"nobody asks for GPU {index}")


class LostDriver(FakeDriver):
    """A driver that has lost its GPU."""

    def gpus(self) -> list[Gpu]:
        raise RuntimeError("GPU is lost")


class TestWhatTheDriverShows:
    @pytest.fixture(autouse=True)
    def _all_are_visible(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(VISIBLE, raising=False)

    def test_gpus_and_its_version(self) -> None:
        assert gpu_state(FakeDriver) == GpuState("580", ONE)

    def test_no_gpu(self) -> None:
        found = gpu_state(lambda: FakeDriver(()))
        assert found == GpuState("580", problem="the NVIDIA driver shows none")

    def test_gpus_that_are_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(VISIBLE, "7")
        found = gpu_state(FakeDriver)
        assert (found.driver, found.usable) == ("580", ())
        assert found.problem == "CUDA_VISIBLE_DEVICES='7' hides every GPU of this machine"

    def test_a_driver_that_fails(self) -> None:
        assert gpu_state(LostDriver) == GpuState(problem="the NVIDIA driver fails: GPU is lost")

    @pytest.mark.parametrize("installed", [True, False])
    def test_no_driver(self, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: installed or None)
        found = gpu_state(lambda: None)
        assert (found.driver, found.usable) == ("", ())
        assert ("is not installed" in found.problem) is not installed
        assert ("no NVIDIA driver answers" in found.problem) is installed


class TestTheExtension:
    """A module that stands in for one, loaded as the doctor loads it."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = tmp_path
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def found(self, code: str, gpus: tuple[Gpu, ...] = ONE, **more: float) -> GpuExtension:
        (self.folder / "fake_cuda.py").write_text(textwrap.dedent(code))
        importlib.invalidate_caches()
        return gpu_extension("fake_cuda", INSTALL, gpus=lambda: gpus, **more)

    def test_it_loads(self) -> None:
        found = self.found("def build_info():\n    return {'cuda': True, 'version': '1'}")
        assert found == GpuExtension(
            "fake_cuda", installed=True, build={"cuda": True, "version": "1"}
        )
        assert gpu_proofs(found, {"version": "1", "cuda": False}) == "yes, by fake_cuda (cuda: yes)"
        assert gpu_proofs(found, found.build) == "yes, by fake_cuda"
        assert "fake_cuda" not in sys.modules

    def test_it_prints_something(self) -> None:
        code = "print('loading', end='')\ndef build_info():\n    return {'cuda': True}"
        assert self.found(code).build == {"cuda": True}

    def test_it_is_not_installed(self) -> None:
        found = gpu_extension("no_such_cuda", INSTALL, gpus=lambda: ONE)
        assert not found.installed
        assert gpu_proofs(found, {}) == "no: no_such_cuda is not installed; build it"

    def test_there_is_no_gpu(self) -> None:
        """It is not loaded then, because it may need the driver."""
        mark = self.folder / "loaded"
        found = self.found(f"open({str(mark)!r}, 'w')", gpus=())
        assert found.installed
        assert not mark.exists()
        assert found.reason == "fake_cuda is installed, but this process sees no NVIDIA GPU"
        assert VISIBLE in found.remedy

    @pytest.mark.parametrize(
        ("code", "failure"),
        [
            ("raise ImportError('libcuda.so.1: no such file')", "libcuda.so.1: no such file"),
            ("import os; os.abort()", "signal 6 ended the process"),
            ("import os; os._exit(3)", "exit code 3"),
            ("import time; time.sleep(60)", "it took longer than 1 s"),
            ("build_info = list", "it says nothing about its build"),
            ("import os; build_info = lambda: os._exit(0)", "it says nothing about its build"),
        ],
    )
    def test_it_does_not_load(self, code: str, failure: str) -> None:
        found = self.found(code, patience_s=1.0 if "sleep" in code else 30.0)
        assert found.installed
        assert found.build == {}
        assert found.reason.startswith("fake_cuda is installed, but does not load: ")
        assert found.reason.endswith(failure)
        assert "nvidia-smi" in found.remedy
        assert INSTALL in found.remedy


class TestCommand:
    """The command itself in a process that has the fakes on its path."""

    def doctor(self, *arguments: str, **environment: str) -> str:
        env = {name: value for name, value in os.environ.items() if name != VISIBLE}
        path = os.pathsep.join((str(FAKES), str(SHIPPED)))
        done = subprocess.run(
            [sys.executable, "-m", "runner.doctor", *arguments],
            env=env | {"PYTHONPATH": path} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def risc0(self, report: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {each["name"]: each["diagnosis"] for each in report["provers"]}
        diagnosis: dict[str, Any] = found["risc0"]
        return diagnosis

    def test_json(self) -> None:
        report = json.loads(self.doctor("--json"))
        gpu = {"index": 0, "uuid": pynvml.UUID, "name": "no GPU (a fake driver)"}
        assert report["gpus"] == {"driver": "fake", "usable": [gpu], "problem": ""}
        found = self.risc0(report)
        assert found["gpu"] == {
            "extension": "runner_risc0_cuda",
            "installed": True,
            "build": found["build"] | {"cuda": True},
            "reason": "",
            "remedy": "",
        }

    def test_text(self) -> None:
        text = self.doctor()
        assert "  GPU driver        fake\n" in text
        assert f"  GPU 0             no GPU (a fake driver), {pynvml.UUID}\n" in text
        assert "  on GPUs           yes, by runner_risc0_cuda (cuda: yes)\n" in text

    def test_the_extension_without_a_gpu(self) -> None:
        """The guests can be proved all the same, by the CPU, so the exit code is 0."""
        text = self.doctor(**{VISIBLE: ""})
        assert "  GPUs              none: CUDA_VISIBLE_DEVICES='' hides every GPU" in text
        assert "no: runner_risc0_cuda is installed, but this process sees no NVIDIA GPU" in text
