"""What the start of a worker process depends on, and why a worker could not start."""

from __future__ import annotations

import multiprocessing.spawn
import subprocess
import sys
from functools import cache
from typing import Any

__all__ = ["failure", "without_folder"]

_PATIENCE_S = 60.0


@cache
def without_folder() -> None:
    """Let workers start also where the working directory cannot be entered.

    A child has its parent's working directory from the start. multiprocessing tells it to enter
    that directory once more, which another user may not be allowed to, e.g. after ``sudo -u``.
    """
    original = multiprocessing.spawn.get_preparation_data

    def prepared(name: str) -> dict[str, Any]:
        data: dict[str, Any] = original(name)
        data.pop("dir", None)
        return data

    multiprocessing.spawn.get_preparation_data = prepared


def failure() -> str:
    """Why a process that does what a worker does at its start fails, or an empty text.

    A worker that dies before it can answer leaves its reason on standard error only. So this makes
    the imports of a worker once more, in a process whose last words are read.
    """
    main = getattr(sys.modules["__main__"].__spec__, "name", None) or "runner"
    modules = [main, "runner.engines.worker_process"]
    script = (
        f"import importlib, sys; sys.path[:] = {sys.path!r}\n"
        f"for name in {modules!r}: importlib.import_module(name)"
    )
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter
            [sys.executable, "-c", script],
            capture_output=True,
            check=False,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f" at its start: {error}"
    lines = done.stderr.split("\n")
    words = next((line for line in reversed(lines) if line.strip()), "")
    return f" at its start: {words.strip()}" if done.returncode and words else ""
