"""Find the runs at or below folders, including those that left no result."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from runner.errors import InputError
from runner.folder import MAX_JSON_BYTES, RESULT
from runner.report.checked_json import JsonObject, one_line
from runner.untrusted import open_regular, parse_json, read_regular

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["LostRun", "find", "read_lost"]


@dataclass(frozen=True, slots=True)
class LostRun:
    """A run of a sweep that left no result: it was refused or killed, or is still running.

    Attributes:
        folder: the run's folder.
        overrides: the overrides that the run was started with.
        last_words: the reason, as far as the sweep's record or else the run's log gives one.
        name: a name that tells the run from the others beside it.
    """

    folder: Path
    overrides: tuple[str, ...]
    last_words: str
    name: str = ""


def find(places: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Find the folders of runs at or below the given paths, each once and in natural order.

    Args:
        places: the paths of folders, or of the ``result.json`` in a run's folder.

    Returns:
        The folders that have a ``result.json``, and the folders of runs that Hydra has started but
        that left none.

    Raises:
        InputError: a path does not exist, or there is no run at or below it.
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
    """What can be said about the run in a folder without a result."""
    overrides: list[str] = []
    with contextlib.suppress(OSError, ValueError, yaml.YAMLError, RecursionError):
        said = yaml.safe_load(_some(folder / ".hydra" / "overrides.yaml"))
        overrides = [one_line(str(word), 200) for word in said] if isinstance(said, list) else []
    return LostRun(folder, tuple(overrides), _recorded(folder) or _logged(folder))


def _recorded(folder: Path) -> str:
    """The error that ``sweep.json``, beside the run's folder, records for the run."""
    with contextlib.suppress(OSError, ValueError):
        data = read_regular(folder.parent / "sweep.json", MAX_JSON_BYTES)
        sweep = JsonObject(parse_json(data, names=True), "")
        for item in sweep.items("jobs"):
            job = JsonObject(item, "job")
            if job.data.get("folder") == folder.name and job.data.get("error"):
                return job.text("error")
    return ""


def _logged(folder: Path) -> str:
    """The last error or warning in the run's own log."""
    with contextlib.suppress(OSError):
        lines = _some(folder / "run.log").splitlines()
        wrong = [line for line in lines if " ERROR " in line or " WARNING " in line]
        return one_line(wrong[-1], 500) if wrong else ""
    return ""


def _some(path: Path) -> str:
    """The last 64 KiB of a file."""
    with open_regular(path) as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16)))
        return file.read(1 << 16).decode("utf-8", "replace")


def _natural(path: Path) -> list[tuple[int, int | str]]:
    """A sort key by which run 10 comes after run 9."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(p)) if p.isdecimal() and len(p) < 20 else (1, p) for p in parts]
