"""The NVIDIA GPUs of this machine, as NVIDIA's management library (NVML) names them.

NVML is asked instead of CUDA, because CUDA fixes a process's GPUs on its first call, and a worker
chooses its GPU only later. Without a driver, or without ``nvidia-ml-py`` (the extra ``gpu``), there
are no GPUs.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["VISIBLE", "Driver", "Gpu", "nvml", "usable"]

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable by which CUDA is told which GPUs a process may use: indices or ids."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of this machine.

    Attributes:
        index: its place in NVML's list, from 0.
        uuid: its id, e.g. ``GPU-1c9a...``, which no other GPU has.
        name: the name of its model.
    """

    index: int
    uuid: str
    name: str


class Driver(Protocol):
    """The questions that are asked of the driver."""

    def version(self) -> str:
        """Return the driver's version. It may raise any exception."""

    def gpus(self) -> list[Gpu]:
        """Return all GPUs of the machine that work, by index. It may raise any exception."""

    def sample(self, index: int) -> tuple[float, int, int]:
        """Return a GPU's utilization from 0 to 1, its bytes in use, and all its bytes.

        It may raise any exception.
        """


class _Nvml:
    """The driver, asked through ``nvidia-ml-py``."""

    def __init__(self, library: Any) -> None:  # noqa: ANN401  # it has no types
        self._nvml = library
        self._handles: dict[int, Any] = {}
        library.nvmlInit()
        for index in range(library.nvmlDeviceGetCount()):
            try:
                self._handles[index] = library.nvmlDeviceGetHandleByIndex(index)
            except library.NVMLError as error:  # e.g. it is lost, and the others are not
                log.warning("GPU %d is not used, because the driver fails: %s", index, error)

    def version(self) -> str:
        return str(self._nvml.nvmlSystemGetDriverVersion())

    def gpus(self) -> list[Gpu]:
        return [
            Gpu(
                index,
                str(self._nvml.nvmlDeviceGetUUID(handle)),
                str(self._nvml.nvmlDeviceGetName(handle)),
            )
            for index, handle in self._handles.items()
        ]

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


def usable(driver: Callable[[], Driver | None] = nvml) -> Sequence[Gpu]:
    """The GPUs that this process may use, in the order of ``CUDA_VISIBLE_DEVICES`` where it is set.

    The variable is read as CUDA reads it: a list of indices or ids, an id may be shortened, and the
    first entry that names no GPU ends the list.

    Args:
        driver: a function that finds the driver.
    """
    found = driver()
    if found is None:
        return ()
    try:
        gpus = found.gpus()
    except Exception as error:  # noqa: BLE001  # a GPU that is lost must not end a batch
        log.warning("no GPU is used, because the driver fails: %s", error)
        return ()
    visible = os.environ.get(VISIBLE)
    if visible is None:
        return tuple(gpus)
    chosen: list[Gpu] = []
    for entry in visible.split(","):
        named = [gpu for gpu in gpus if _names(entry.strip(), gpu)]
        if len(named) != 1 or named[0] in chosen:
            break
        chosen += named
    return tuple(chosen)


def _names(entry: str, gpu: Gpu) -> bool:
    return entry == str(gpu.index) or (entry.startswith("GPU-") and gpu.uuid.startswith(entry))
