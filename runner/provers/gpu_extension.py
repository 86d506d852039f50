"""Whether an adapter's native module for GPUs works on this machine, for the doctor.

The module is loaded in a process of its own, because CUDA may end the process in which it fails,
and because the doctor's process must not be one that uses a GPU.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from runner.gpus import usable
from runner.provers.prover import GpuExtension
from runner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.gpus import Gpu

__all__ = ["gpu_extension"]

_LOAD = (
    "import importlib, json, sys;"
    "build = importlib.import_module(sys.argv[1]).build_info();"
    "sys.stdout.write(chr(10) + json.dumps(build))"
)
"""What loads the module. The facts are on a line of their own, because a library may print too."""
_PATIENCE_S = 5.0
"""The seconds that the module may take to load."""


def gpu_extension(
    name: str,
    remedy: str,
    *,
    gpus: Callable[[], Sequence[Gpu]] = usable,
    patience_s: float = _PATIENCE_S,
) -> GpuExtension:
    """Find out whether a native module for GPUs is installed, and whether it loads here.

    It is loaded only where there is a GPU, because it may need the driver for that.

    Args:
        name: the name of the module. It has a function ``build_info``.
        remedy: what installs the module.
        gpus: a function that returns the GPUs that this process may use.
        patience_s: the seconds that the module may take to load.
    """
    if importlib.util.find_spec(name) is None:
        return GpuExtension(name, installed=False, reason=f"{name} is not installed", remedy=remedy)
    look = "look at `nvidia-smi`"
    if not gpus():
        reason = f"{name} is installed, but this process sees no NVIDIA GPU"
        remedy = f"{look} and CUDA_VISIBLE_DEVICES"
        return GpuExtension(name, installed=True, reason=reason, remedy=remedy)
    build, failure = _build_info(name, patience_s)
    if failure:
        reason = f"{name} is installed, but does not load: {failure}"
        return GpuExtension(name, installed=True, reason=reason, remedy=f"{look}, or {remedy}")
    return GpuExtension(name, installed=True, build=build)


def _build_info(name: str, patience_s: float) -> tuple[dict[str, Any], str]:
    """The facts about a module's build, as a process of its own finds them, or why it does not."""
    command = [sys.executable, "-c", _LOAD, name]
    try:
        done = subprocess.run(  # noqa: S603  # this Python, and a name from an adapter
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=patience_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}, f"it took longer than {patience_s:g} s"
    except OSError as error:
        return {}, one_line(error)
    if done.returncode < 0:
        return {}, f"signal {-done.returncode} ended the process"
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return {}, said[-1].strip()
    try:
        build = json.loads(done.stdout.rpartition("\n")[2])
    except ValueError:
        build = None
    if not isinstance(build, dict):
        return {}, "it says nothing about its build"
    return build, ""
