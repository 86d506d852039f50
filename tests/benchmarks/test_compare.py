"""Two versions are compared on a small clone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.compare import sides
from runner.files import SHIPPED
from tests.benchmarks.repositories import GIT, commit, git

if TYPE_CHECKING:
    from pathlib import Path


SLOW = """
_plain = proof_key

def proof_key(**fields):
    hashlib.sha256(bytes(2**22))
    return _plain(**fields)
"""
BROKEN = """
def proof_key(**fields):
    raise RuntimeError("broken here")
"""


@pytest.fixture
def clone(repo: Path) -> Path:
    """A repository with this runner and its benchmarks, in two commits that are the same."""
    for name in ("runner", *sides.SUITE):
        source, target = SHIPPED / name, repo / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "target"))
        else:
            shutil.copy(source, target)
    (repo / ".gitignore").write_text("__pycache__/\n")
    text = (repo / "runner" / "__init__.py").read_text()
    commit(repo, text)
    git(repo, "commit", "--quiet", "--allow-empty", "--message", "nothing changed")
    return repo


def run(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    quick = ["--rounds", "1", "--seconds", "0.001", "-k", "proof_key and not 1048576"]
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.compare", *quick, *arguments],
        cwd=clone,
        env=GIT | {"PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def add_to_keys(clone: Path, text: str) -> None:
    path = clone / "runner" / "cache" / "keys.py"
    path.write_text(path.read_text() + text)


def test_equal_versions_pass(clone: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    done = run(clone, "--bound", "1000", "--save", str(saved))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is slower than its bound, of 1 benchmarks." in done.stdout
    assert len(list(saved.glob("*.json"))) == 2
    assert len(git(clone, "worktree", "list").splitlines()) == 1


def test_a_slower_version_fails_after_a_second_look(clone: Path) -> None:
    add_to_keys(clone, SLOW)
    done = run(clone)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "and what is not committed" in done.stdout
    assert "Slower than the bound, twice: plan: proof_key[4]." in done.stdout


def test_a_benchmark_that_fails_on_head_fails_the_comparison(clone: Path) -> None:
    path = clone / sides.BENCHMARKS / "bench_plan.py"
    path.write_text(path.read_text().replace("len(key) == 64", 'key != "broken"'))
    add_to_keys(clone, BROKEN)
    done = run(clone, "-k", "proof_key or single-1000")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed on head, this fails the comparison" in done.stdout
    assert "broken here" in done.stdout


def test_a_benchmark_that_fails_on_base_is_not_compared(clone: Path) -> None:
    plain = (clone / "runner" / "cache" / "keys.py").read_text()
    add_to_keys(clone, BROKEN)
    git(clone, "commit", "--quiet", "--all", "--message", "broken")
    (clone / "runner" / "cache" / "keys.py").write_text(plain)
    done = run(clone, "HEAD", "-k", "proof_key or single-1000", "--bound", "1000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "failed on base, not compared" in done.stdout
    assert "new" in done.stdout


def test_noise_is_how_far_a_version_is_from_itself(clone: Path) -> None:
    done = run(clone, "HEAD", "--noise", "1", "--bound", "1000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 of 1 ratios beyond the bound" in done.stdout


def test_no_benchmark_chosen_is_one_line(clone: Path) -> None:
    done = run(clone, "-k", "nosuch")
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("warning: load")]
    assert "choose no benchmark" in line
