"""Draws folded stacks with inferno, the Rust port of the FlameGraph scripts."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Missing", "draw"]

PROGRAM = "inferno-flamegraph"


class Missing(Exception):  # noqa: N818  # a state of the machine, not a fault
    """inferno is not installed; the message is one line and names the remedy."""


def draw(folded: Path, svg: Path, title: str, subtitle: str, unit: str) -> None:
    """Write an interactive SVG with the outermost functions at the top.

    A click zooms, and Ctrl-F searches.

    Raises:
        Missing: inferno is not installed.
        RuntimeError: inferno failed; the message is what it printed last.
    """
    program = shutil.which(PROGRAM)
    if program is None:
        raise Missing(f"there is no {PROGRAM}: cargo install inferno --locked")
    command = [program, "--deterministic", "--colors", "java", "--title", title]
    command += ["--subtitle", subtitle, "--countname", unit, "--width", "1600"]
    command += ["--inverted", "--minwidth", "0.05", str(folded)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RuntimeError(f"{PROGRAM} failed: {said[-1] if said else done.returncode}")
    svg.write_bytes(done.stdout)
