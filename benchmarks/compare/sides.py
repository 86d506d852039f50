"""One version of a comparison: its checkout, its extension, and one run of the suite on it.

Both versions run the suite of the work tree. It runs in a folder of its own and takes ``runner``
and the guests from the version's folder, so a version that is older than a benchmark can be
measured too, as long as it has the modules that the suite imports.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.compare import gate
from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("native/risc0", "native/shared")
"""The folders that the extension is built from."""
BENCHMARKS = "benchmarks/suite"
IMPORTED = ("builders.py", "conftest.py")
"""The files of the suite that every benchmark imports."""
SUITE = ("pyproject.toml", "benchmarks", "tests/__init__.py", "tests/fakes", "tests/native/data")
NO_BENCHMARK_FOUND = 5  # pytest's exit code


class SuiteError(Exception):
    """The suite did not run as a whole on a version that has to run it."""


@dataclass(frozen=True)
class Side:
    """One version of the two that are compared.

    Attributes:
        label: ``base`` or ``head``.
        folder: the folder that holds its ``runner/`` and ``guests/``.
        commit: its id, time and so on, as a saved run records them.
        extension: the folder with its own ``runner_risc0``; None where it uses the installed one.
    """

    label: str
    folder: Path
    commit: dict[str, Any]
    extension: Path | None = None

    @property
    def name(self) -> str:
        """The name of the version in tables and messages."""
        dirty = " and what is not committed" if self.commit["dirty"] else ""
        return f"{self.label} {self.commit['id'][:10]}{dirty}"


# -- git --------------------------------------------------------------------------------------


def git(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Run git in the repository ``root``."""
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
    )


def resolve(field: str, revision: str, root: Path) -> str:
    """Find the commit that a revision names.

    Raises:
        InputError: it names no commit, or one that the suite cannot measure.
    """
    found = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", root=root)
    commit = found.stdout.strip()
    if found.returncode != 0 or not commit:
        remedy = "give a commit, branch or tag"
        raise InputError(field, revision, "not a revision of this repository", remedy)
    if not has(commit, "runner/__init__.py", root):
        raise InputError(field, revision, "has no runner/ to measure", "give a later commit")
    missing = [path for path in needed(root) if not has(commit, path, root)]
    if missing:
        # The newest commit that added one of them is the first that has them all.
        added = git("log", "-1", "--diff-filter=A", "--format=%h", "--", *missing, root=root)
        remedy = f"give {added.stdout.strip() or 'a commit that has it,'} or a later commit"
        raise InputError(
            field, revision, f"lacks {missing[0]}, which every benchmark imports", remedy
        )
    return commit


def has(commit: str, path: str, root: Path) -> bool:
    """Tell whether a commit has a file."""
    return git("cat-file", "-e", f"{commit}:{path}", root=root).returncode == 0


def needed(root: Path) -> list[str]:
    """List the modules of the runner, as files, that a version needs to run the suite at all."""
    found: list[str] = []
    for file in (root / BENCHMARKS / name for name in IMPORTED):
        tree = ast.parse(file.read_text(encoding="utf-8")) if file.exists() else ast.Module([], [])
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runner."):
                path = str(node.module).replace(".", "/")
                names = [f"{path}/{alias.name}.py" for alias in node.names]
                found += [name for name in [f"{path}.py", *names] if (root / name).is_file()]
    return list(dict.fromkeys(found))


def is_dirty(root: Path) -> bool:
    """Tell whether the work tree differs from its commit."""
    return bool(git("status", "--porcelain", root=root).stdout.strip())


def default_base(root: Path) -> str:
    """Find the revision to compare the work tree with: where it left main, or the commit before.

    Raises:
        InputError: this is no git repository.
    """
    head = git("rev-parse", "--verify", "--quiet", "HEAD", root=root).stdout.strip()
    if not head:
        raise InputError("BASE", None, "this is not a git repository", "compare in a clone")
    for main in ("main", "origin/main"):
        found = git("merge-base", main, "HEAD", root=root)
        if found.returncode == 0 and (found.stdout.strip() != head or is_dirty(root)):
            return found.stdout.strip()
    return "HEAD" if is_dirty(root) else "HEAD^"


def describe(commit: str, root: Path) -> dict[str, Any]:
    """Describe a commit as a saved run records it."""
    time = git("show", "--no-patch", "--pretty=%cI", commit, root=root).stdout.strip()
    return {"id": commit, "time": time, "dirty": False, "branch": "(compared)"}


def work_tree(label: str, root: Path) -> Side:
    """Describe the work tree as it is, with what is not committed."""
    told = describe(resolve("HEAD", "HEAD", root), root)
    return Side(label, root, told | {"dirty": is_dirty(root)})


@contextmanager
def checkout(commit: str, folder: Path, root: Path) -> Iterator[Path]:
    """Make a temporary git work tree of ``commit``.

    Raises:
        SuiteError: git cannot make it.
    """
    made = git("worktree", "add", "--detach", "--quiet", str(folder), commit, root=root)
    if made.returncode != 0:
        raise SuiteError(f"git worktree add: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        git("worktree", "remove", "--force", str(folder), root=root)


# -- the extension ----------------------------------------------------------------------------


def has_the_installed_extension(commit: str, root: Path) -> bool:
    """Tell whether ``commit`` has the native sources of the work tree.

    The installed extension is made from those.
    """
    same = git("diff", "--quiet", commit, "--", *SOURCES, root=root).returncode == 0
    new = git("ls-files", "--others", "--exclude-standard", "--", *SOURCES, root=root).stdout
    return same and not new.strip()


def build_extension(folder: Path, into: Path) -> Path:
    """Let a version's own set-up build its extension, and return a folder with nothing else in it.

    Raises:
        SuiteError: the set-up failed; its output was shown.
    """
    python = folder / ".venv" / "bin" / "python"
    done = subprocess.run(
        [sys.executable, "scripts/setup.py", "run"], cwd=folder, stdout=sys.stderr, check=False
    )
    if done.returncode != 0:
        raise SuiteError(f"the set-up of {folder} failed; see the lines above")
    code = "import runner_risc0; print(runner_risc0.__file__)"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    found = subprocess.run(
        [python, "-c", code], cwd=into.parent, env=clean, capture_output=True, text=True, check=True
    )
    into.mkdir()
    shutil.copy(found.stdout.strip(), into)
    return into


# -- the suite --------------------------------------------------------------------------------


def copy_suite(into: Path, root: Path) -> Path:
    """Copy the work tree's benchmarks and what they need into a folder that has no runner."""
    for name in SUITE:
        source, target = root / name, into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "target"))
        else:
            shutil.copy(source, target)
    return into


def measure(
    side: Side, suite: Path, options: Sequence[str], keep: Path | None = None
) -> tuple[gate.Pass, list[str]]:
    """Run the suite once on one version.

    Args:
        side: the version.
        suite: the folder that :func:`copy_suite` made.
        options: options for pytest.
        keep: the file in which the run's JSON is kept, for ``history.py``; None keeps nothing.

    Returns:
        The times, and the lines in which pytest says what failed.

    Raises:
        InputError: the options choose no benchmark.
        SuiteError: pytest could not run, or it measured another version.
    """
    out = suite / "run.json"
    out.unlink(missing_ok=True)
    paths = [*filter(None, [side.extension]), side.folder]
    # pytest-benchmark measures nothing under pytest-xdist, and its workers would pass this on.
    here = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
    env = here | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "COLUMNS": "200",  # pytest cuts what it says of a failure at the width of the terminal
        "PYTHONHASHSEED": "0",  # sets and dicts have the same layout in every pass
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # other plugins only take time and memory
        "BENCH_COMMIT": json.dumps(side.commit),
    }
    command = [sys.executable, "-m", "pytest", "-p", "pytest_benchmark.plugin"]
    command += ["-q", "-p", "no:cacheprovider", "-rfE"]
    # Where no benchmark is chosen, the exit code alone says so.
    command += ["-W", "ignore::pytest_benchmark.logger.PytestBenchmarkWarning"]
    command += ["--continue-on-collection-errors", "--benchmark-quiet", f"--benchmark-json={out}"]
    done = subprocess.run(
        [*command, *options], cwd=suite, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode == NO_BENCHMARK_FOUND:
        chosen = " ".join(option for option in options if not option.startswith("--"))
        raise InputError("-k, -m", chosen, "choose no benchmark", "see benchmarks/suite/bench_*.py")
    if done.returncode not in (0, 1) or not out.exists():
        raise SuiteError(f"{side.name}: pytest failed\n{(done.stdout + done.stderr)[-3000:]}")
    saved = json.loads(out.read_text(encoding="utf-8"))
    wanted = {"runner": side.folder / "runner", "extension": side.extension}
    for what, folder in wanted.items():
        found = saved["commit_info"].get(what)
        if folder is not None and (found is None or Path(found).resolve() != folder.resolve()):
            raise SuiteError(f"{side.name}: the {what} measured is of {found}, not of {folder}")
    if keep is not None:
        shutil.copy(out, keep)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR "))]
    return gate.read_pass(saved), failed
