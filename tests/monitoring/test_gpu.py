"""Figures of the GPUs, as a fake driver gives them, since most machines have no GPU."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

from runner.batch.counters import RunCounters
from runner.errors import JobFailedError, ProverError
from runner.events import JobFailed, JobFinished, JobRetried
from runner.gpus import Gpu, nvml
from runner.metric_table import CUDA_ERRORS, ERRORS, GPU_PROOFS, GPUS_SET_ASIDE, JOB_RETRIES
from runner.metrics import Recorder
from runner.model import GpuUse, ReceiptKind
from runner.monitoring.gpu import GpuFigures, GpuMonitor
from runner.plan.strategy import make_plan
from tests.fakes.guests import sample_guest
from tests.fakes.jobs import MemoryJobs, outcome_of

if TYPE_CHECKING:
    import pytest


class FakeDriver:
    """A driver with two GPUs. It fails once, and sets an event when its samples are used up."""

    def __init__(self, samples: list[tuple[float, int]]) -> None:
        self.samples = samples
        self.asked = 0
        self.enough = threading.Event()

    def version(self) -> str:
        return "580"

    def gpus(self) -> list[Gpu]:
        return [Gpu(0, "GPU-a", "H100"), Gpu(2, "GPU-b", "A10")]  # GPU 1 is lost

    def sample(self, index: int) -> tuple[float, int, int]:
        if index == 2:
            return 0.0, 7, 100
        self.asked += 1
        if self.asked == 2:
            raise RuntimeError("the driver is busy")
        if self.asked > len(self.samples):
            self.enough.set()
            raise RuntimeError("nothing more")
        return *self.samples[self.asked - 1], 80

    def wait(self) -> None:
        assert self.enough.wait(10)


def test_means_and_peaks_over_what_the_driver_said() -> None:
    driver = FakeDriver([(1.0, 10), (0.0, 0), (0.5, 30), (0.0, 20)])
    with GpuMonitor(lambda: driver, interval_s=0.0) as monitor:
        driver.wait()
    assert monitor.figures() == [
        GpuFigures(0, "GPU-a", "H100", 0.5, 30, 80, 3),
        GpuFigures(2, "GPU-b", "A10", 0.0, 7, 100, 3),
    ]


def test_without_a_driver_there_are_no_gpus() -> None:
    with GpuMonitor(lambda: None) as monitor:
        assert monitor.figures() == []
    assert monitor.figures() == []


def test_without_the_library_there_is_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert nvml() is None


def test_a_gpu_that_is_lost_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class LostError(Exception):
        pass

    def handle(index: int) -> int:
        if index == 1:
            raise LostError("GPU is lost")
        return index

    library = SimpleNamespace(
        NVMLError=LostError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 3,
        nvmlDeviceGetHandleByIndex=handle,
        nvmlDeviceGetUUID=lambda handle: f"GPU-{handle}",
        nvmlDeviceGetName=lambda _: "H100",
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    driver = nvml()
    assert driver is not None
    assert driver.gpus() == [Gpu(0, "GPU-0", "H100"), Gpu(2, "GPU-2", "H100")]
    assert "GPU 1 is not used, because the driver fails: GPU is lost" in caplog.text


def test_what_failed_on_the_gpu_is_counted_apart() -> None:
    recorder = Recorder()
    plan = make_plan("single", [0])
    counters = RunCounters(recorder, plan, zkvm="risc0", kind=ReceiptKind.COMPOSITE, guests=())
    job = MemoryJobs(plan, sample_guest(), sample_guest("aggregator"), [b""]).build(0)
    counters.notice(JobRetried(job, ProverError("cuda_failed", "out of memory"), 0.0))
    counters.notice(JobRetried(job, ProverError("internal", "?"), 0.0))
    last = JobFailedError("leaf 0", 2, "out of memory")
    last.__cause__ = ProverError("cuda_failed", "out of memory")
    counters.notice(JobFailed(job, last))
    assert recorder.value(CUDA_ERRORS) == 2
    assert recorder.value(ERRORS) == 3
    assert recorder.value(JOB_RETRIES) == 2


def test_what_gpus_did_for_jobs_is_counted() -> None:
    recorder = Recorder()
    plan = make_plan("none", [0, 1, 2, 3, 4])
    counters = RunCounters(recorder, plan, zkvm="risc0", kind=ReceiptKind.COMPOSITE, guests=())
    jobs = MemoryJobs(plan, sample_guest(), sample_guest("aggregator"), [b""] * 5)
    assert recorder.value(GPUS_SET_ASIDE) == 0
    uses = [GpuUse("a"), GpuUse("a", error="lost"), GpuUse("a", error="lost"), None]
    for number, use in enumerate([*uses, GpuUse("b", error="lost")]):
        job = jobs.build(number)
        counters.notice(JobFinished(job, replace(outcome_of(job), gpu=use)))
    assert recorder.value(GPU_PROOFS) == 1
    assert recorder.value(CUDA_ERRORS) == recorder.value(ERRORS) == 3
    assert recorder.value(GPUS_SET_ASIDE) == 2
    assert recorder.value(JOB_RETRIES) == 0
