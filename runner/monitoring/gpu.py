"""Utilization and memory of the GPUs during a run, from NVIDIA's management library.

The driver is asked a few times a second, which costs the run nothing measurable. On a machine
without GPUs (:mod:`runner.gpus`), none are reported.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner import threads
from runner.gpus import nvml

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from runner.gpus import Driver, Gpu

__all__ = ["GpuFigures", "GpuMonitor"]

INTERVAL_S = 0.25


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """The figures of one GPU over one run.

    Attributes:
        index: the GPU's number on this machine, from 0.
        uuid: the GPU's id.
        name: the name of the GPU's model.
        utilization: the mean share of the time in which a kernel ran, from 0 to 1.
        memory_bytes: the most memory that was in use at once, by all processes together.
        memory_total_bytes: the memory that the GPU has.
        samples: the number of times that the driver was asked.
    """

    index: int
    uuid: str
    name: str
    utilization: float
    memory_bytes: int
    memory_total_bytes: int
    samples: int


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
        self._gpus: list[Gpu] = []
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
            # A driver that fails leaves the run without figures, and no more than that.
            with contextlib.suppress(Exception):
                self._gpus = self._driver.gpus()
            self._busy = [0.0] * len(self._gpus)
            self._used = [0] * len(self._gpus)
            self._total = [0] * len(self._gpus)
            self._thread = threads.start("gpu-monitor", self._watch)
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
                gpu.index,
                gpu.uuid,
                gpu.name,
                self._busy[place] / seen,
                self._used[place],
                self._total[place],
                self._samples,
            )
            for place, gpu in enumerate(self._gpus)
        ]

    def _watch(self) -> None:
        while True:
            self._sample()
            if self._stop.wait(self._interval_s):
                return

    def _sample(self) -> None:
        assert self._driver is not None  # noqa: S101  # the thread is only started with one
        try:
            rows = [self._driver.sample(gpu.index) for gpu in self._gpus]
        except Exception:  # noqa: BLE001  # a driver that fails once must not end a run of hours
            return
        for place, (busy, used, total) in enumerate(rows):
            self._busy[place] += busy
            self._used[place] = max(self._used[place], used)
            self._total[place] = total
        self._samples += 1
