"""Comparing two versions: the judgement, which versions, and the whole thing on a small clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.compare import command, gate, sides, turns
from runner.errors import InputError
from runner.files import SHIPPED

if TYPE_CHECKING:
    from pathlib import Path

GIT = os.environ | {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "somebody"),
    **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "somebody@example.org"),
}


def timed(group: str = "plan", **seconds: float) -> gate.Pass:
    return {name: gate.Timing(group, value) for name, value in seconds.items()}


# -- the judgement ----------------------------------------------------------------------------


def test_the_shortest_times_are_compared() -> None:
    base = [timed(a=3.0, b=2.0), timed(a=1.0, b=9.0)]
    head = [timed(a=2.0, b=2.0), timed(a=7.0, b=7.0)]
    rows = {row.name: row for row in gate.judge(base, head, {"": 1.5})}
    assert (rows["a"].ratio, rows["a"].verdict) == (2.0, "slower")
    assert (rows["b"].ratio, rows["b"].verdict) == (1.0, "same")


def test_what_is_not_there_on_one_side() -> None:
    rows = gate.judge([timed(gone=1.0)], [timed(new=1.0)], {})
    assert [(row.name, row.ratio, row.verdict) for row in rows] == [("new", None, "new")]


@pytest.mark.parametrize(
    ("head", "verdict"), [(1.5, "same"), (1.51, "slower"), (0.67, "same"), (0.66, "faster")]
)
def test_a_bound_belongs_to_the_noise(head: float, verdict: str) -> None:
    assert gate.judge([timed(a=1.0)], [timed(a=head)], {"": 1.5})[0].verdict == verdict


@pytest.mark.parametrize(
    ("group", "bounds", "bound"),
    [
        ("disk", {}, gate.BOUNDS["disk"]),
        ("plan", {}, gate.BOUNDS["plan"]),
        ("disk", {"": 3.0}, 3.0),
        ("disk", {"": 3.0, "disk": 4.0}, 4.0),
        ("plan", {"disk": 4.0}, gate.BOUNDS["plan"]),
    ],
)
def test_the_nearest_bound_counts(group: str, bounds: dict[str, float], bound: float) -> None:
    assert gate.judge([], [timed(group, a=1.0)], bounds)[0].bound == bound


times = st.floats(1e-9, 1e3)


@given(st.lists(times, min_size=1), st.lists(times, min_size=1), st.floats(1.01, 10))
def test_either_version_may_be_the_base(base: list[float], head: list[float], bound: float) -> None:
    """Slower one way round is faster the other way round, and nothing is both."""
    old, new = [timed(a=s) for s in base], [timed(a=s) for s in head]
    there = gate.judge(old, new, {"": bound})[0]
    back = gate.judge(new, old, {"": bound})[0]
    if there.verdict == "slower":
        assert min(head) > min(base)
        assert back.verdict in {"faster", "same"}  # same: at the bound, to the last digit
    assert not (there.verdict == "slower" and back.verdict == "slower")


def test_the_table_shows_who_is_slower() -> None:
    base = [{"benchmarks/suite/bench_plan.py::test_build[x]": gate.Timing("plan", 0.002)}]
    head = [{"benchmarks/suite/bench_plan.py::test_build[x]": gate.Timing("plan", 0.004)}]
    lines = gate.table(gate.judge(base, head, {})).splitlines()
    assert lines[1].split() == [
        *("plan:", "build[x]", "2", "ms", "4", "ms", "2.00"),
        *(f"{gate.BOUNDS['plan']:.2f}", "slower"),
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.2e-5, "42 µs")]
)
def test_times_for_people(value: float | None, text: str) -> None:
    assert gate.seconds(value) == text


def test_a_busy_machine_is_said() -> None:
    assert turns.warning(2.0, 2) is None
    assert "load 2.1 on 2 cores" in str(turns.warning(2.1, 2))


def test_every_group_has_a_bound() -> None:
    suite = "".join(p.read_text() for p in (SHIPPED / sides.BENCHMARKS).glob("bench_*.py"))
    assert set(re.findall(r'group="([a-z]+)"', suite)) == set(gate.BOUNDS)


def test_bounds_from_the_command_line() -> None:
    assert command.bounds_of(["1.2", "disk=2"]) == {"": 1.2, "disk": 2.0}


@pytest.mark.parametrize("text", ["x", "1", "0.9", "disk=", "nan", "inf"])
def test_unusable_bounds(text: str) -> None:
    with pytest.raises(InputError, match="not a ratio above 1"):
        command.bounds_of([text])


# -- which versions ---------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=GIT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path, text: str) -> str:
    """A commit in which runner/__init__.py has other words."""
    path = folder / "runner" / "__init__.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a change")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


def test_a_branch_is_compared_with_where_it_left_main(repo: Path) -> None:
    left = commit(repo, "'one'")
    git(repo, "switch", "--quiet", "--create", "mine")
    commit(repo, "'two'")
    commit(repo, "'three'")
    assert sides.default_base(repo) == left


def test_main_is_compared_with_its_last_commit_but_one(repo: Path) -> None:
    first = commit(repo, "'one'")
    last = commit(repo, "'two'")
    assert sides.resolve("BASE", sides.default_base(repo), repo) == first
    (repo / "runner" / "__init__.py").write_text("'not committed'")
    assert sides.resolve("BASE", sides.default_base(repo), repo) == last


def test_the_first_commit_has_nothing_to_compare_with(repo: Path) -> None:
    commit(repo, "'one'")
    with pytest.raises(InputError, match="not a revision"):
        sides.resolve("BASE", sides.default_base(repo), repo)


def test_no_repository(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a git repository"):
        sides.default_base(tmp_path)


def test_a_commit_without_a_runner(repo: Path) -> None:
    commit(repo, "'one'")
    git(repo, "rm", "--quiet", "-r", "runner")
    git(repo, "commit", "--quiet", "--message", "gone")
    with pytest.raises(InputError, match="has no runner/"):
        sides.resolve("HEAD", "HEAD", repo)


def test_a_commit_that_no_benchmark_can_be_imported_on_is_one_clear_line(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a commit has the modules that the suite imports elsewhere, or not at all."""
    old = commit(repo, "'flat'")
    suite = repo / sides.BENCHMARKS
    suite.mkdir(parents=True)
    (suite / "builders.py").write_text(
        "from runner.plan import plan\nfrom runner.model import Job\n"
    )
    (repo / "runner" / "plan").mkdir()
    for name in ("model.py", "plan/__init__.py", "plan/plan.py"):
        (repo / "runner" / name).touch()
    first = commit(repo, "'rooms'")
    commit(repo, "'later'")
    assert sides.needed(repo) == ["runner/plan/plan.py", "runner/model.py"]
    assert sides.resolve("BASE", first, repo) == first
    assert command.main([old], repo) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "lacks runner/plan/plan.py, which every benchmark imports" in line
    given = re.search(r"give (\w+) or a later commit", line)
    assert given
    assert first.startswith(given[1])


@pytest.mark.parametrize("folder", sides.SOURCES)
def test_a_changed_extension_is_noticed(repo: Path, folder: str) -> None:
    crate = repo / folder
    crate.mkdir(parents=True)
    (crate / "lib.rs").write_text("one")
    first = commit(repo, "'one'")
    assert sides.has_the_installed_extension(first, repo)
    (crate / "new.rs").write_text("not committed")
    assert not sides.has_the_installed_extension(first, repo)
    (crate / "new.rs").unlink()
    (crate / "lib.rs").write_text("two")
    assert not sides.has_the_installed_extension(first, repo)


def test_a_checkout_goes_away(repo: Path, tmp_path: Path) -> None:
    first = commit(repo, "'one'")
    commit(repo, "'two'")
    with sides.checkout(first, tmp_path / "base", repo) as folder:
        assert (folder / "runner" / "__init__.py").read_text() == "'one'"
    assert not folder.exists()
    assert len(git(repo, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], "BASE = 'nosuch': not a revision of this repository"),
        (["HEAD", "nosuch"], "HEAD = 'nosuch': not a revision of this repository"),
        (["--rounds", "0"], "--rounds = 0: nothing to measure"),
        (["--noise", "0"], "--noise = 0: nothing to measure"),
        (["--seconds", "0"], "--seconds = 0.0: nothing to measure"),
        (["--bound", "fast"], "--bound = 'fast': not a ratio above 1"),
        (["--bound", "dsk=2"], "--bound = 'dsk=2': no such group; use keys, metrics"),
        (["HEAD", "--folder", "/nosuch"], "--folder = '/nosuch': no such folder"),
    ],
)
def test_unusable_input_is_one_line(
    repo: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(repo, "'one'")
    assert command.main(arguments, repo) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert words in said


def test_another_extension_asks_for_a_build(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(repo, "'one'")
    (repo / sides.SOURCES[0]).mkdir(parents=True)
    (repo / sides.SOURCES[0] / "lib.rs").write_text("not committed")
    assert command.main([], repo) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "its native/risc0 or native/shared is not the work tree's" in said
    assert "--build" in said


# -- the whole thing --------------------------------------------------------------------------

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
