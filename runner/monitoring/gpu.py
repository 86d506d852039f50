"""What the GPUs do while a run proves on them, by NVIDIA's management library.

The driver is asked a few times a second; that costs the run nothing measurable. A machine without a
driver, or an installation without ``nvidia-ml-py`` (extra ``gpu``), has no GPUs here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Driver", "GpuFigures", "GpuMonitor", "nvml"]

INTERVAL_S = 0.25


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """One GPU over one run.

    Attributes:
        name: of the model.
        utilization: mean share of time in which a kernel ran, from 0 to 1.
        memory_bytes: most that was in use at once, by any process.
        memory_total_bytes: what there is.
        samples: how often it was asked.
    """

    name: str
    utilization: float
    memory_bytes: int
    memory_total_bytes: int
    samples: int


class Driver(Protocol):
    """What is asked of the driver. Every method may raise OSError or RuntimeError."""

    def names(self) -> list[str]:
        """The GPUs' models, by index."""

    def sample(self, index: int) -> tuple[float, int, int]:
        """Utilization from 0 to 1, bytes in use, bytes in all."""


class _Nvml:
    """The driver, through ``nvidia-ml-py``."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401  # it has no types
        self._nvml = library
        library.nvmlInit()
        count = library.nvmlDeviceGetCount()
        self._handles = [library.nvmlDeviceGetHandleByIndex(index) for index in range(count)]

    def names(self) -> list[str]:
        return [str(self._nvml.nvmlDeviceGetName(handle)) for handle in self._handles]

    def sample(self, index: int) -> tuple[float, int, int]:
        handle = self._handles[index]
        busy = self._nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        memory = self._nvml.nvmlDeviceGetMemoryInfo(handle)
        return busy / 100, int(memory.used), int(memory.total)


def nvml() -> Driver | None:
    """The driver of this machine; None where there is none, or no library to ask it."""
    try:
        import pynvml  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        return None
    try:
        return _Nvml(pynvml)
    except pynvml.NVMLError:
        return None


class GpuMonitor:
    """Watches all GPUs from entering to leaving.

    Args:
        driver: finds the driver; it is asked for on entering, and again for nothing.
        interval_s: seconds between two samples.
    """

    def __init__(
        self, driver: Callable[[], Driver | None] = nvml, interval_s: float = INTERVAL_S
    ) -> None:
        self._find = driver
        self._driver: Driver | None = None
        self._interval_s = interval_s
        self._names: list[str] = []
        self._busy: list[float] = []
        self._used: list[int] = []
        self._total: list[int] = []
        self._samples = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> GpuMonitor:
        """Start watching."""
        self._driver = self._find()
        if self._driver is not None:
            self._names = self._driver.names()
            self._busy = [0.0] * len(self._names)
            self._used = [0] * len(self._names)
            self._total = [0] * len(self._names)
            self._thread = threading.Thread(target=self._watch, name="gpu-monitor", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def figures(self) -> list[GpuFigures]:
        """What was seen so far, by index; empty without a GPU."""
        seen = max(self._samples, 1)
        return [
            GpuFigures(
                name, self._busy[index] / seen, self._used[index], self._total[index], self._samples
            )
            for index, name in enumerate(self._names)
        ]

    def _watch(self) -> None:
        while True:
            self._sample()
            if self._stop.wait(self._interval_s):
                return

    def _sample(self) -> None:
        assert self._driver is not None  # noqa: S101  # the thread is only started with one
        try:
            rows = [self._driver.sample(index) for index in range(len(self._names))]
        except Exception:  # noqa: BLE001  # a driver that fails once must not end a run of hours
            return
        for index, (busy, used, total) in enumerate(rows):
            self._busy[index] += busy
            self._used[index] = max(self._used[index], used)
            self._total[index] = total
        self._samples += 1
