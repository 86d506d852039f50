"""What the kinds of receipt need that are made by recursion: succinct and groth16."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from runner.model import ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GPU_MODULE", "RECURSIVE", "docker_engine", "gpu_wraps", "why_unavailable"]

GPU_MODULE = "runner_risc0_cuda"
"""The same extension, compiled to prove on a GPU. Workers load it for their first proof."""

_X86_64 = {"x86_64", "amd64"}
RECURSIVE = (ReceiptKind.SUCCINCT, ReceiptKind.GROTH16)
"""The kinds of receipt that are made by recursion."""


def why_unavailable(
    kind: ReceiptKind,
    build: Mapping[str, Any],
    *,
    docker: bool,
    machine: str,
    on_gpu: bool = False,
) -> tuple[str, str] | None:
    """Find out why a kind of receipt cannot be made.

    Args:
        kind: The kind of receipt, succinct or groth16.
        build: The facts about the build that the native module gives.
        docker: Whether a Docker engine answers.
        machine: The processor's architecture, as ``platform.machine()`` gives it.
        on_gpu: Whether a GPU can make a Groth16 proof.

    Returns:
        The reason and the remedy, or None if the receipt can be made.
    """
    if not build["recursion"]:
        return (
            "this build has no recursion programs (they are downloaded when it is built)",
            "run `make setup` with a network, or `RECURSION_SRC_PATH=FILE make setup`",
        )
    if kind is not ReceiptKind.GROTH16 or on_gpu:
        return None
    if machine.lower() not in _X86_64:
        return (
            f"its prover needs Docker on x86-64 (this is {machine}) or a GPU",
            "use an x86-64 machine with Docker",
        )
    if not docker:
        return (
            "no Docker engine answers, and no GPU has the kernels for it",
            "start Docker, or run `RUNNER_CUDA=all make setup` (docs/gpu.md)",
        )
    return None


def docker_engine() -> bool:
    """Whether a Docker engine answers."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    # `docker info` fails without an engine, while `docker --version` needs only the client.
    command = [docker, "info", "--format", "{{.ServerVersion}}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def gpu_wraps() -> bool:
    """Whether the extension for GPUs has the kernels of Groth16."""
    try:
        return bool(importlib.import_module(GPU_MODULE).build_info()["all_kernels"])
    except ImportError:
        return False
