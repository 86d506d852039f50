"""The GPUs that proofs may be made on, as the NVIDIA driver shows them to this process."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.gpus import VISIBLE, nvml, usable
from runner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.gpus import Driver, Gpu

__all__ = ["GpuState", "gpu_state"]


@dataclass(frozen=True, slots=True)
class GpuState:
    """The GPUs of this machine.

    Attributes:
        driver: The version of the NVIDIA driver; empty if none answers.
        usable: The GPUs that this process may use.
        problem: Why there are none; empty if there are.
    """

    driver: str = ""
    usable: Sequence[Gpu] = ()
    problem: str = ""


def gpu_state(find: Callable[[], Driver | None] = nvml) -> GpuState:
    """Ask the driver, if there is one.

    Args:
        find: A function that finds the driver.
    """
    driver = find()
    if driver is None:
        if importlib.util.find_spec("pynvml") is None:
            return GpuState(problem="nvidia-ml-py, which asks the driver, is not installed")
        return GpuState(problem="no NVIDIA driver answers")
    try:
        version = driver.version()
        shown = driver.gpus()
    except Exception as error:  # noqa: BLE001  # a driver may raise anything
        return GpuState(problem=f"the NVIDIA driver fails: {one_line(error)}")
    if found := usable(lambda: driver):
        return GpuState(version, found)
    if shown:
        chosen = f"{VISIBLE}={os.environ.get(VISIBLE)!r}"
        return GpuState(version, problem=f"{chosen} hides every GPU of this machine")
    return GpuState(version, problem="the NVIDIA driver shows none")
