"""Runs in an output folder that an earlier run has used, or that another is using."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner.audit.__main__ import main as audit
from runner.batch.run import run as run_batch
from runner.cache.cache import NoCache
from runner.errors import BatchFailedError, InputError
from runner.files import SHIPPED
from runner.folder import LEAVES, REPORT, RESULT, ROOT, SIGNATURE, SUMS, clear_result
from runner.locks import RUN_LOCK, locked
from runner.verify.__main__ import main as verify
from tests import builders
from tests.builders import stdin
from tests.fakes.prover import ADAPTER
from tests.special_files import identity, make_special

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings
    from tests.fakes.behaviours import Behaviours

KILLED = """
import os, signal, sys
from pathlib import Path
from runner.batch.run import run
from runner.engines.inline import InlineEngine
from tests import builders

class Dying(InlineEngine):
    def submit(self, *_):
        os.kill(os.getpid(), signal.SIGKILL)

output, guests = map(Path, sys.argv[1:])
run(builders.batch_settings(output, guests, make_engine=Dying, audit=output / "audit.jsonl"))
"""


@pytest.fixture
def audited(settings: Settings) -> Settings:
    return dataclasses.replace(settings, audit=settings.output / "audit.jsonl")


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _verify(settings: Settings) -> int:
    return verify([str(settings.output), "--guests", str(settings.guests), "--adapter", ADAPTER])


@pytest.mark.parametrize("strategy", ["single", "none"])
def test_after_a_failed_run_the_folder_has_no_result_and_says_so(
    strategy: str, audited: Settings, behaviours: Behaviours, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = dataclasses.replace(audited, strategy=builders.strategy(strategy), count=8)
    run_batch(earlier)
    for name in (SIGNATURE, REPORT, "notes.txt"):
        (audited.output / name).write_text("of the earlier run")
    assert _verify(audited) == 0
    behaviours.on("fail", stdin=stdin(0))
    with pytest.raises(BatchFailedError):
        run_batch(dataclasses.replace(audited, cache=NoCache()))
    capsys.readouterr()
    assert _verify(audited) == 2
    assert "has no result, the run in it ended 'failed'; give" in capsys.readouterr().err
    assert audit([str(audited.output)]) == 0
    assert "2 runs (1 failed, 1 ok)" in capsys.readouterr().out
    kept = {name for name in _names(audited.output) if not name.startswith("receipts/")}
    assert kept == {RESULT, LEAVES, "audit.jsonl", "notes.txt", RUN_LOCK}
    assert '"missing"' in (audited.output / LEAVES).read_text().splitlines()[0]
    assert json.loads((audited.output / RESULT).read_text())["status"] == "failed"
    assert not (audited.output / "receipts" / "job-7.receipt").exists()
    behaviours.clear()
    run_batch(audited)
    assert _verify(audited) == 0
    assert audit([str(audited.output)]) == 0


def test_after_a_killed_run_the_folder_has_no_result(
    audited: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run_batch(audited)
    killed = [sys.executable, "-c", KILLED, str(audited.output), str(audited.guests)]
    done = subprocess.run(killed, cwd=SHIPPED, check=False)
    assert done.returncode == -signal.SIGKILL
    assert _verify(audited) == 2
    assert f"has no readable {SUMS} (No such file or directory)" in capsys.readouterr().err
    assert audit([str(audited.output)]) == 0
    assert not {RESULT, LEAVES, ROOT} & _names(audited.output)
    run_batch(audited)  # the lock of the killed run is in nobody's way
    assert _verify(audited) == 0


def test_a_run_that_is_refused_leaves_the_earlier_result(audited: Settings) -> None:
    run_batch(audited)
    with pytest.raises(InputError, match=re.escape("guest.count")):
        run_batch(dataclasses.replace(audited, count=0))
    assert _verify(audited) == 0


@pytest.mark.parametrize("kind", ["fifo", "socket", "device", "folder"])
@pytest.mark.parametrize("name", [SUMS, RESULT, ROOT])
def test_what_cannot_be_replaced_is_refused_before_any_proof(
    name: str, kind: str, audited: Settings, monkeypatch: pytest.MonkeyPatch, behaviours: Behaviours
) -> None:
    audited.output.mkdir()
    monkeypatch.chdir(audited.output)
    before = make_special(kind, audited.output / name)
    (audited.output / LEAVES).write_text("of the earlier run")
    with pytest.raises(InputError, match=f"{name} cannot be replaced .*regular file.*; remove it"):
        run_batch(audited)
    assert identity(audited.output / name) == before
    assert (audited.output / LEAVES).read_text() == "of the earlier run"
    assert len(behaviours.runs()) == 0


def test_links_to_an_earlier_result_are_removed_and_not_what_they_lead_to(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    for name in (RESULT, "job-0.receipt"):
        (elsewhere / name).write_text("another's")
    (folder / RESULT).symlink_to(elsewhere / RESULT)
    (folder / "receipts").symlink_to(elsewhere)
    clear_result(folder)
    assert _names(elsewhere) == {RESULT, "job-0.receipt"}
    assert not os.path.lexists(folder / RESULT)


def test_a_page_without_a_record_is_not_the_runs_own(tmp_path: Path) -> None:
    (tmp_path / REPORT).write_text("of a sweep")
    clear_result(tmp_path)
    assert _names(tmp_path) == {REPORT}


def test_a_second_run_in_a_folder_says_so_before_any_proof(
    audited: Settings, behaviours: Behaviours
) -> None:
    run_batch(audited)
    proofs = len(behaviours.runs())
    with (
        locked(audited.output / RUN_LOCK),
        pytest.raises(InputError, match="another run is at work in this folder; wait until"),
    ):
        run_batch(dataclasses.replace(audited, count=5))
    assert len(behaviours.runs()) == proofs
    assert _verify(audited) == 0
    run_batch(audited)
