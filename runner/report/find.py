"""Finds the runs at or below folders, those that left no result too."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from runner.errors import InputError
from runner.folder import RESULT
from runner.report.untrusted import JsonObject, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["LostRun", "find", "read_lost"]


@dataclass(frozen=True, slots=True)
class LostRun:
    """A run of a sweep that left no result: refused, killed, or still under way.

    Attributes:
        folder: of the run; ``name`` tells it from the others.
        overrides: what it was started with.
        last_words: why, as far as the sweep's record or else its log says.
    """

    folder: Path
    overrides: tuple[str, ...]
    last_words: str
    name: str = ""


def find(places: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The runs' folders at or below ``places``, each once, in natural order.

    Returns:
        Folders with a ``result.json``; folders of runs that Hydra has started and that left none.

    Raises:
        InputError: a place is not there, or holds no run.
    """
    found: dict[Path, None] = {}
    lost: dict[Path, None] = {}
    for place in places:
        folder = place.parent if place.name == RESULT and place.is_file() else place
        if not folder.is_dir():
            raise InputError("folder", str(place), "no such folder", "give a run's or a sweep's")
        if (folder / RESULT).is_file():
            found[folder] = None
            continue
        below = {path.parent for path in folder.rglob(RESULT) if path.is_file()}
        started = {path.parent for path in folder.rglob(".hydra") if path.is_dir()} - below
        if not below and not started:
            raise InputError(
                "folder",
                str(place),
                f"no {RESULT} in it or below",
                "give the output folder of a run or a sweep",
            )
        found |= dict.fromkeys(sorted(below, key=_natural))
        lost |= dict.fromkeys(sorted(started, key=_natural))
    return list(found), list(lost)


def read_lost(folder: Path) -> LostRun:
    """What there is to say of a run that left no result."""
    overrides: list[str] = []
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
        said = yaml.safe_load(_some(folder / ".hydra" / "overrides.yaml"))
        overrides = [one_line(str(word), 200) for word in said] if isinstance(said, list) else []
    return LostRun(folder, tuple(overrides), _recorded(folder) or _logged(folder))


def _recorded(folder: Path) -> str:
    """The error that ``sweep.json`` beside the folder has for it."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        sweep = JsonObject(json.loads((folder.parent / "sweep.json").read_bytes()), "")
        for item in sweep.items("jobs"):
            job = JsonObject(item, "job")
            if job.data.get("folder") == folder.name and job.data.get("error"):
                return job.text("error")
    return ""


def _logged(folder: Path) -> str:
    with contextlib.suppress(OSError):
        lines = _some(folder / "run.log").splitlines()
        wrong = [line for line in lines if " ERROR " in line or " WARNING " in line]
        return one_line(wrong[-1], 500) if wrong else ""
    return ""


def _some(path: Path) -> str:
    """The last 64 KiB."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16)))
        return file.read(1 << 16).decode("utf-8", "replace")


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """So that run 10 comes after run 9."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(p)) if p.isdecimal() and len(p) < 20 else (1, p) for p in parts]
