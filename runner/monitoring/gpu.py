"""Utilization and memory of the GPUs during a run, from NVIDIA's management library.

The driver is asked a few times a second, which costs the run nothing measurable. On a machine
without a driver, or without ``nvidia-ml-py`` (the extra ``gpu``), no GPUs are reported.
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
    """The figures of one GPU over one run.

    Attributes:
        name: the name of the GPU's model.
        utilization: the mean share of the time in which a kernel ran, from 0 to 1.
        memory_bytes: the most memory that was in use at once, by all processes together.
        memory_total_bytes: the memory that the GPU has.
        samples: the number of times that the driver was asked.
    """

    name: str
    utilization: float
    memory_bytes: int
    memory_total_bytes: int
    samples: int


class Driver(Protocol):
    """The questions that a monitor asks of the driver.

    The monitor asks for the names once, before its first sample, and passes on what that raises. A
    sample may raise any exception, and is then left out.
    """

    def names(self) -> list[str]:
        """Return the names of the GPUs' models, by the GPU's index."""

    def sample(self, index: int) -> tuple[float, int, int]:
        """Return a GPU's utilization from 0 to 1, its bytes in use, and all its bytes."""


class _Nvml:
    """The driver, asked through ``nvidia-ml-py``."""

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
    """Return this machine's driver, or None if there is no driver or no library to ask it."""
    try:
        import pynvml  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        return None
    try:
        return _Nvml(pynvml)
    except pynvml.NVMLError:
        return None


class GpuMonitor:
    """A context manager that watches all GPUs while it is entered.

    Args:
        driver: a function that finds the driver. It is called once, on entering.
        interval_s: the seconds between two samples.
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
        """Return the figures so far, by the GPU's index. Without a GPU the list is empty."""
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
