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

__all__ = ["NativeError", "build_info", "prove"]


def prove(
    elf: bytes,
    stdin: bytes,
    receipts: list[bytes],
    *,
    kind: str = "composite",
    segment_po2: int = 20,
    threads: int = 0,
    gpu_lock: str,
) -> runner_risc0.Proof:
    """See ``runner_risc0.pyi``."""
    switch = os.environ.get("FAKE_GPU_FAILS")
    if switch and Path(switch).exists():
        if Path(switch).read_text() == "abort":
            os.abort()
        raise NativeError("cuda_failed", "out of memory")
    return runner_risc0.prove(
        elf,
        stdin,
        receipts,
        kind=kind,
        segment_po2=segment_po2,
        threads=threads,
        gpu_lock=gpu_lock,
    )


def build_info() -> dict[str, Any]:
    """See ``runner_risc0.pyi``."""
    return runner_risc0.build_info() | {"cuda": True}
