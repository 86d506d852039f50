"""Processes end with the one that they follow, whoever is their parent."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner import lifeline

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "import os, subprocess, sys, time; from pathlib import Path; from runner import lifeline; "
FOLLOW = HEAD + "lifeline.follow(); print(os.getpid(), flush=True); time.sleep(600)"
HOLD = HEAD + "lifeline.hold(Path(sys.argv[1])); "
# The process in between ends at once, so that the holder is not the parent of the follower.
BETWEEN = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]])"
START = HOLD + (
    f"subprocess.run([sys.executable, '-c', {BETWEEN!r}, {FOLLOW!r}], start_new_session=True); "
)
FORK = HOLD + f"os.fork() or exec({FOLLOW!r}); "


def run(script: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **env},
    )


@pytest.mark.parametrize("script", [START, FORK], ids=["started by another", "forked"])
@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_process_ends_with_the_one_that_it_follows(tmp_path: Path, script: str, how: str) -> None:
    with run(script + "sys.stdin.read()", str(tmp_path)) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert int(holder.stdout.readline()) != holder.pid
        assert holder.poll() is None
        if how == "killed":
            holder.kill()
        holder.stdin.close()
        # The follower has this pipe too, so that its end is the end of both.
        assert holder.stdout.read() == ""
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == (how == "killed")


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_a_process_that_comes_too_late_does_not_start(tmp_path: Path, how: str) -> None:
    end = "os.kill(os.getpid(), 9)" if how == "killed" else ""
    script = HOLD + f"print(os.environ[{lifeline.VARIABLE!r}], flush=True); {end}"
    with run(script, str(tmp_path)) as holder:
        said = holder.communicate()[0].strip()
    with run(FOLLOW, **{lifeline.VARIABLE: said}) as follower:
        assert follower.communicate()[0] == ""
        assert follower.returncode == 1


def test_what_another_machine_holds_ends_nothing_here(tmp_path: Path) -> None:
    with run(FOLLOW, **{lifeline.VARIABLE: f"elsewhere.example:{tmp_path / 'none'}"}) as follower:
        assert follower.stdout is not None
        assert int(follower.stdout.readline()) == follower.pid
        follower.kill()


def test_what_was_left_by_one_that_was_killed_is_removed(tmp_path: Path) -> None:
    for _ in range(2):
        with run(HOLD + "os.kill(os.getpid(), 9)", str(tmp_path)) as holder:
            holder.communicate()
    assert len(list(tmp_path.iterdir())) == 1
