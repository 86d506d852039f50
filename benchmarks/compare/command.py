"""Compares two versions in one go on this machine: is the second one slower?

    python -m benchmarks.compare                  the work tree against where it left main
    python -m benchmarks.compare BASE             ... against a commit, branch or tag
    python -m benchmarks.compare BASE HEAD        two commits
    python -m benchmarks.compare --noise 6        how far apart equal versions seem here

Both versions run the benchmarks of the work tree in turn. Each round changes the order, so that a
machine that slows down slows both. The ratio is that of the shortest times. A benchmark that is
slower than its bound is measured once more, and if it is slower again, the exit code is 1. Unusable
input gives the exit code 2.

Processor time is compared, because other work on the machine hardly changes it. Wall time is
compared in the groups disk, processes and proof, which are about waiting.

Measured files are written in memory (/dev/shm) where there is such a folder. How long a disk takes
depends on what else it does, and that would hide everything the code does. --folder measures on a
disk.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.compare import gate, sides, turns
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY = Path("/dev/shm")
USUAL = "not real and not slow"


def main(arguments: list[str] | None = None, root: Path = sides.ROOT) -> int:
    """Run the command line in the repository ``root`` and return the exit code."""
    options = parsed(arguments)
    try:
        with ExitStack() as stack:
            bounds = bounds_of(options.bound)
            comparison = prepared(options, root, stack)
            if options.noise:
                return turns.noise(comparison, options.noise, bounds)
            return turns.compare(comparison, options.rounds, bounds)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except sides.SuiteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("base", nargs="?", metavar="BASE", help="revision to compare with")
    parser.add_argument("head", nargs="?", metavar="HEAD", help="revision; default: the work tree")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each version (5)")
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="for each benchmark in a pass (0.2)"
    )
    parser.add_argument(
        "--bound",
        action="append",
        default=[],
        metavar="[GROUP=]RATIO",
        help="largest ratio taken for noise, for all groups or one; repeatable",
    )
    parser.add_argument("-k", metavar="EXPRESSION", help="which benchmarks, as for pytest")
    parser.add_argument("-m", default=USUAL, metavar="MARKS", help=f"({USUAL}); real: proofs")
    parser.add_argument("--build", action="store_true", help="build each version's extension")
    parser.add_argument("--folder", type=Path, help="where measured files are written")
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="keep every pass as JSON")
    parser.add_argument("--noise", type=int, metavar="N", help="compare BASE N times with itself")
    return parser.parse_args(arguments)


def prepared(options: argparse.Namespace, root: Path, stack: ExitStack) -> turns.Comparison:
    """Check the command line, then check out the versions that it names.

    Raises:
        InputError: the command line is unusable.
        SuiteError: a version cannot be checked out or built.
    """
    for name in ("rounds", "noise", "seconds"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            raise InputError(f"--{name}", value, "nothing to measure", "give at least 1")
    base_name = options.base or ("HEAD" if options.noise else sides.default_base(root))
    base_commit = sides.resolve("BASE", base_name, root)
    head_name = base_commit if options.noise else options.head
    head_commit = sides.resolve("HEAD", head_name, root) if head_name else None
    for commit in filter(None, dict.fromkeys([base_commit, head_commit])):
        if not options.build and not sides.has_the_installed_extension(commit, root):
            names = " or ".join(sides.SOURCES)
            problem = f"its {names} is not the work tree's, which the extension is built from"
            remedy = "give --build, which builds each version's own (minutes)"
            raise InputError("BASE, HEAD", commit[:10], problem, remedy)
    if options.folder is not None and not options.folder.is_dir():
        raise InputError("--folder", str(options.folder), "no such folder", "make it, or leave out")
    place = temporary(stack)
    memory = MEMORY if os.access(MEMORY, os.W_OK) else None
    files = temporary(stack, options.folder.resolve() if options.folder else memory)
    base = checked_out("base", base_commit, place, root, stack)
    head = sides.work_tree("head", root)
    if head_commit is not None:
        head = checked_out("head", head_commit, place, root, stack)
    suite = sides.copy_suite(place / "suite", root)
    return turns.Comparison(base, head, suite, files, options)


def bounds_of(texts: Sequence[str]) -> dict[str, float]:
    """Read ``--bound``: the ratios by group, and under ``""`` the one for all groups.

    Raises:
        InputError: a text holds no number above 1, or names a group that does not exist.
    """
    found = {}
    for text in texts:
        group, _, number = text.rpartition("=")
        try:
            found[group] = float(number)
        except ValueError:
            found[group] = 0.0
        if not 1 < found[group] < float("inf"):
            raise InputError("--bound", text, "not a ratio above 1", "give e.g. 1.2 or disk=2")
        if group and group not in gate.BOUNDS:
            raise InputError("--bound", text, "no such group", f"use {', '.join(gate.BOUNDS)}")
    return found


def temporary(stack: ExitStack, parent: Path | None = None) -> Path:
    """Make a folder that is removed when the comparison ends."""
    folder = tempfile.TemporaryDirectory(prefix="bench-compare-", dir=parent)
    return Path(stack.enter_context(folder))


def checked_out(label: str, commit: str, place: Path, root: Path, stack: ExitStack) -> sides.Side:
    """Check out a commit, and build its extension where the installed one is not of its sources."""
    folder = stack.enter_context(sides.checkout(commit, place / label, root))
    extension = None
    if not sides.has_the_installed_extension(commit, root):
        extension = sides.build_extension(folder, place / f"{label}-extension")
    return sides.Side(label, folder, sides.describe(commit, root), extension)
