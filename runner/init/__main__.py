"""The command ``python -m runner.init FOLDER``, which makes a project that works."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.errors import InputError, RunnerError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

TEMPLATE = Path(__file__).resolve().parent / "template"
"""The files of a new project. Where a file's name must not count here, it is ``dot-NAME``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.init",
        description="Make a project: a guest with a test, its configuration, inputs, a CI file.",
    )
    parser.add_argument("folder", type=Path, help="where; it must be empty, or not there yet")
    folder = parser.parse_args(arguments).folder
    try:
        _make(folder)
    except RunnerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"wrote {folder}; its README.md has the commands:\n\n")
    for line in (folder / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            sys.stdout.write(f"{line}\n")
    return 0


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError("folder", str(folder), "is not empty", "give a new one")
        for source in sorted(TEMPLATE.rglob("*")):
            name = source.relative_to(TEMPLATE)
            copy = folder / Path(*(part.replace("dot-", ".", 1) for part in name.parts))
            if source.is_dir():
                copy.mkdir()
            else:
                shutil.copyfile(source, copy)
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise InputError("folder", str(folder), problem, "choose another folder") from None


if __name__ == "__main__":
    streams.run(main)
