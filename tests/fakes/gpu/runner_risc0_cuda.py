"""Stands in for the extension for GPUs: it proves with the CPU's, and shares a "GPU" as that does.

While the file that ``FAKE_GPU_FAILS`` names is there, every proof fails: as on a GPU that has too
little memory, or if ``abort`` is in the file, as on one that has too little for a start.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import runner_risc0
from runner_risc0 import NativeError

__all__ = ["NativeError", "assemble", "build_info", "prove", "prove_if_short", "prove_segment"]


# The arguments are those of the extension for the CPU, which checks them.
# ruff: noqa: ANN401


def prove(*args: Any, **options: Any) -> runner_risc0.Proof:
    """See ``runner_risc0.pyi``."""
    _may_fail()
    return runner_risc0.prove(*args, **options)


def prove_if_short(*args: Any, **options: Any) -> runner_risc0.Proof | runner_risc0.Execution:
    """See ``runner_risc0.pyi``."""
    _may_fail()
    return runner_risc0.prove_if_short(*args, **options)


def prove_segment(segment: bytes, **options: Any) -> tuple[bytes, float]:
    """See ``runner_risc0.pyi``."""
    _may_fail()
    return runner_risc0.prove_segment(segment, **options)


def assemble(*args: Any, **options: Any) -> bytes:
    """See ``runner_risc0.pyi``."""
    return runner_risc0.assemble(*args, **options)


def _may_fail() -> None:
    switch = os.environ.get("FAKE_GPU_FAILS")
    if switch and Path(switch).exists():
        if Path(switch).read_text() == "abort":
            os.abort()
        raise NativeError("cuda_failed", "out of memory")


def build_info() -> dict[str, Any]:
    """See ``runner_risc0.pyi``."""
    return runner_risc0.build_info() | {"cuda": True}
