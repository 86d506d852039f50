"""The command ``python -m runner.init FOLDER``, which makes a project that works."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.errors import InputError, RunnerError
from runner.files import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

TEMPLATES = Path(__file__).resolve().parent / "templates"
"""The files of a new project: those of all, and those for one zkVM. Where a file's name must not
count here, it is ``dot-NAME``."""

ZKVMS = ("risc0", "openvm")
_RUNTIME = {"guests/rt": "guests/openvm/rt", "guests/core/src": "guests/core/src"}
"""The folders of a project for OpenVM that are copies of the runner's own, which has them there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.init",
        description="Make a project: a guest with a test, its configuration, inputs, a CI file.",
    )
    parser.add_argument("folder", type=Path, help="where; it must be empty, or not there yet")
    parser.add_argument(
        "--zkvm",
        choices=ZKVMS,
        default=ZKVMS[0],
        help="the zkVM that the guest is written for (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    folder = options.folder
    try:
        _make(folder, options.zkvm)
    except RunnerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    sys.stdout.write(f"wrote {folder}; its README.md has the commands:\n\n")
    for line in (folder / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            sys.stdout.write(f"{line}\n")
    return 0


def _make(folder: Path, zkvm: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InputError("folder", str(folder), "is not empty", "give a new one")
        for files in (TEMPLATES / "all", TEMPLATES / zkvm):
            _copy(files, folder)
        if zkvm == "openvm":
            for name, shipped in _RUNTIME.items():
                _copy(SHIPPED / shipped, folder / name)
            (folder / "guests" / "Cargo.toml").write_text(_workspace(), encoding="utf-8")
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise InputError("folder", str(folder), problem, "choose another folder") from None


def _copy(files: Path, folder: Path) -> None:
    """Copy the files of a folder, and of those in it, into another one."""
    for source in sorted(files.rglob("*")):
        if source.is_file():
            parts = source.relative_to(files).parts
            copy = folder.joinpath(*(part.replace("dot-", ".", 1) for part in parts))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)


def _workspace() -> str:
    """The workspace of the runner's own guests for OpenVM, with the members of a new project.

    So a project has the very versions of OpenVM's crates that the runner's VM was made with.
    """
    text = (SHIPPED / "guests" / "openvm" / "Cargo.toml").read_text(encoding="utf-8")
    text = text[text.index("[workspace]") :]
    return re.sub(r"(?m)^members = .*$", 'members = ["core", "rt", "square"]', text)


if __name__ == "__main__":
    streams.run(main)
