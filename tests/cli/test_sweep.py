"""The plan of a sweep: which jobs are done, which folders the others get, and what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.batch.identity import MadeFrom
from runner.cli.sweep import (
    AssignedFolder,
    FolderRequest,
    SweepFolders,
    SweepJob,
    SweepRecord,
    inspect_folder,
)
from runner.errors import BatchFailedError, InputError
from runner.folder import FORMAT, LEAVES, RESULT, SUMS, write_json, write_sums

OK = {"format": FORMAT, "status": "ok", "summary": {"wall_s": 2.5}}


def made(config: str, programs: str = "same") -> MadeFrom:
    return MadeFrom(config, programs)


def leave(sweep: Path, name: str, config: str, *, status: str = "ok") -> Path:
    """Make a job's folder as a run leaves it."""
    folder = sweep / name
    folder.mkdir(parents=True)
    record = {**OK, "status": status, "made_from": made(config).to_json()}
    write_json(folder / RESULT, record)
    if status == "ok":
        (folder / LEAVES).write_text("{}\n")
        write_sums(folder, [RESULT, LEAVES])
    return folder


def assign(sweep: Path, *jobs: MadeFrom | None) -> list[str]:
    """The folders that the jobs get, in order. Brackets mark those that have a result already."""
    requests = [FolderRequest(str(number), job) for number, job in enumerate(jobs)]
    assigned = SweepFolders(sweep).assign(requests)
    return [f"({one.name})" if one.finished else one.name for one in assigned]


def test_a_fresh_sweep_numbers_its_folders(tmp_path: Path) -> None:
    assert assign(tmp_path / "none", made("a"), made("b")) == ["0", "1"]


def test_jobs_are_matched_by_what_they_are_made_from_not_by_number(tmp_path: Path) -> None:
    leave(tmp_path, "0", "a")
    leave(tmp_path, "1", "b")
    assert assign(tmp_path, made("new"), made("b"), made("a")) == ["2", "(1)", "(0)"]


def test_what_failed_is_redone_in_its_folder(tmp_path: Path) -> None:
    leave(tmp_path, "0", "a", status="failed")
    leave(tmp_path, "1", "b", status="interrupted")
    assert assign(tmp_path, made("b"), made("a"), made("c")) == ["1", "0", "2"]


def test_other_programs_mean_the_job_is_redone_in_its_folder(tmp_path: Path) -> None:
    leave(tmp_path, "0", "a")
    assert assign(tmp_path, made("a", "newer")) == ["0"]


def test_no_finished_result_of_another_job_is_overwritten(tmp_path: Path) -> None:
    leave(tmp_path, "0", "a")
    leave(tmp_path, "7", "b", status="failed")
    assert assign(tmp_path, made("x"), made("y")) == ["8", "1"]


def test_repeats_of_one_job_each_need_a_result(tmp_path: Path) -> None:
    leave(tmp_path, "0", "a")
    assert assign(tmp_path, made("a"), made("a")) == ["(0)", "1"]


def test_a_folder_without_a_result_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    assert assign(tmp_path, None, made("b")) == ["0", "1"]


@pytest.mark.parametrize("damage", ["altered", "missing", "not json", "no sums", "older"])
def test_a_damaged_result_is_not_taken_for_done(damage: str, tmp_path: Path) -> None:
    folder = leave(tmp_path, "0", "a")
    if damage == "altered":
        (folder / LEAVES).write_text("{ }\n")
    elif damage == "missing":
        (folder / LEAVES).unlink()
    elif damage == "not json":
        (folder / RESULT).write_text("[")
        write_sums(folder, [RESULT, LEAVES])
    elif damage == "no sums":
        (folder / SUMS).unlink()
    else:
        (folder / RESULT).write_text(json.dumps(OK | {"summary": None}))
        write_sums(folder, [RESULT, LEAVES])
    assert not inspect_folder(folder).done
    assert assign(tmp_path, made("a")) == ["0"]


def test_a_result_that_does_not_say_what_it_was_made_from_is_kept(tmp_path: Path) -> None:
    folder = leave(tmp_path, "0", "a")
    write_json(folder / RESULT, OK)
    write_sums(folder, [RESULT, LEAVES])
    assert assign(tmp_path, made("a")) == ["1"]


@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abcd"), max_size=6))
def test_every_job_has_one_folder_and_none_is_given_twice(old: list[str], new: list[str]) -> None:
    folders = SweepFolders(Path("/nowhere"))
    first = folders.assign([FolderRequest(str(i), made(c)) for i, c in enumerate(old)])
    second = folders.assign([FolderRequest(str(i), made(c)) for i, c in enumerate(new)])
    names = [one.name for one in (*first, *second)]
    assert len(set(names)) == len(old) + len(new)
    assert not any(one.finished for one in (*first, *second))
    assert AssignedFolder("0") in first or not old


JOB = SweepJob(0, "0", ("a=1", "b=2"))
BAD = InputError("a", 1, "too small", "give 2")


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ([1.0, 2.0], 0),
        ([1.0, BAD], 2),
        ([BAD, BAD], 2),
        ([BAD, BatchFailedError("no", "x")], 1),
        ([1.0, ValueError("x")], 1),
    ],
)
def test_the_exit_code_says_whether_input_alone_is_at_fault(
    ends: list[float | Exception], code: int
) -> None:
    record = SweepRecord(Path("o"), [], [JOB.ended(end) for end in ends])
    assert record.exit_code == code
    record.interrupted = True
    assert record.exit_code == 130


def test_each_failure_is_one_line_with_what_tells_the_job_from_the_others() -> None:
    other = SweepJob(1, "1", ("a=1", "b=3"))
    third = SweepJob(2, "2", ("a=1", "b=4"), "skipped", 1.0, 0)
    record = SweepRecord(
        Path("o"), [], [JOB.ended(1.5), other.ended(ValueError("two\nlines")), third]
    )
    assert record.lines() == [
        "sweep: 2 of 3 jobs are done, 1 of them were done before, 1 failed; outputs in o",
        "error: job 1 b=3, folder 1: two lines (exit code 1)",
    ]


def test_a_job_that_was_never_finished_is_not_ok(tmp_path: Path) -> None:
    record = SweepRecord(tmp_path, ["runner"], [JOB.ended(1.5), JOB])
    assert record.exit_code == 1
    record.write()
    data = json.loads((tmp_path / "sweep.json").read_text())
    assert [job["status"] for job in data["jobs"]] == ["ok", "unfinished"]
    assert data["jobs"][0]["overrides"] == ["a=1", "b=2"]
