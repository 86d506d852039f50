"""Which two versions are compared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from benchmarks.compare import command, sides
from runner.errors import InputError
from tests.benchmarks.repositories import commit, git

if TYPE_CHECKING:
    from pathlib import Path


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
