"""Stands in for NVIDIA's management library: a driver with one GPU that is always half busy."""

from __future__ import annotations

from dataclasses import dataclass

UUID = "GPU-00000000-fake-0000-0000-000000000000"


class NVMLError(Exception):
    """What the library raises."""


@dataclass
class _Utilization:
    gpu: int = 50


@dataclass
class _Memory:
    used: int = 3 << 30
    total: int = 80 << 30


def nvmlInit() -> None:  # noqa: N802  # the library's names
    """Nothing is to be done."""


def nvmlDeviceGetCount() -> int:  # noqa: N802
    return 1


def nvmlDeviceGetHandleByIndex(index: int) -> int:  # noqa: N802
    return index


def nvmlDeviceGetUUID(_handle: int) -> str:  # noqa: N802
    return UUID


def nvmlDeviceGetName(_handle: int) -> str:  # noqa: N802
    return "no GPU (a fake driver)"


def nvmlSystemGetDriverVersion() -> str:  # noqa: N802
    return "fake"


def nvmlDeviceGetUtilizationRates(_handle: int) -> _Utilization:  # noqa: N802
    return _Utilization()


def nvmlDeviceGetMemoryInfo(_handle: int) -> _Memory:  # noqa: N802
    return _Memory()
