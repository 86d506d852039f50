"""A guest's own limit of cycles, in batches that are executed only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.native.commands import call

if TYPE_CHECKING:
    from pathlib import Path

QUIET = ("prover=execute", "metrics=off", "audit=off", "progress=lines", "output=out")
TWO = ("guest=sha256", "+guest@programs.f=fibonacci")
INPUTS = "guest.inputs=[{guest: sha256, input: abc}, {guest: fibonacci, input: 10}]"


def test_a_guest_is_given_up_after_its_own_limit_and_the_others_are_not(tmp_path: Path) -> None:
    chosen = ("guest.max_cycles=500", "executor.on_failure=continue")
    done = call("runner", *QUIET, *TWO, INPUTS, *chosen, cwd=tmp_path)
    assert done.returncode == 1
    assert "leaf 0 failed after 1 attempt: " in done.stderr
    assert "has not ended after 500 cycles" in done.stderr
    record = json.loads((tmp_path / "out" / "result.json").read_text())
    assert [job["guest"] for job in record["jobs"]] == ["fibonacci"]


def test_its_own_limit_goes_before_the_limit_for_all(tmp_path: Path) -> None:
    chosen = ("guest.max_cycles=100000", "executor.max_cycles=500")
    done = call("runner", *QUIET, *TWO, INPUTS, *chosen, cwd=tmp_path)
    # Fibonacci has no limit of its own.
    assert done.returncode == 1
    assert "leaf 1 failed after 1 attempt: " in done.stderr
    assert "leaf 0 failed" not in done.stderr


def test_a_limit_that_is_none_is_unusable_input(tmp_path: Path) -> None:
    done = call("runner", *QUIET, "guest.max_cycles=0", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: guest.max_cycles = 0: out of range")
