"""The command that checks an audit log, and a batch's folder against it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from runner.audit.log import AuditLog, read_log
from runner.folder import RESULT, SUMS, write_sums
from tests.audit.runs import check

if TYPE_CHECKING:
    from pathlib import Path


def test_every_line_taken_out_of_a_real_log_is_named(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = finished / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines) + 1):
        log.write_bytes(b"".join(lines[: number - 1] + lines[number:]))
        code, line = check(capsys, finished)
        assert code == 1
        assert line.startswith(f"DOES NOT HOLD: {log}: line {number}: ")


def test_a_changed_figure_is_named(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = finished / "audit.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if b'"event":"proved"' in line)
    lines[at] = re.sub(rb'"prove_s":[^,]*', b'"prove_s":1', lines[at])
    log.write_bytes(b"".join(lines))
    for target in (finished, log):
        code, line = check(capsys, target)
        assert code == 1
        assert f": line {at + 1}: it was changed" in line


def test_a_log_made_anew_shows_beside_a_hash_kept_elsewhere(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = finished / "audit.jsonl"
    kept = [line.hash for line in read_log(log)]
    assert check(capsys, log, "--head", kept[-1], "--head", kept[3])[0] == 0
    events = [line.fields for line in read_log(log)][1:]
    log.unlink()
    forged = [{k: v for k, v in e.items() if k not in ("seq", "prev", "hash")} for e in events]
    AuditLog(log).append(forged)
    assert check(capsys, log)[0] == 0  # a chain alone cannot show that it was cut off
    code, line = check(capsys, log, "--head", kept[-1])
    assert (code, kept[-1] in line) == (1, True)
    code, line = check(capsys, finished)
    assert code == 1
    assert "result.json says line" in line


def test_what_a_log_says_does_not_steer_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "audit.jsonl"
    AuditLog(log).append([{"event": "run_finished", "run": "\x1b[2J", "status": "\x1b[2J"}])
    code, line = check(capsys, log)
    assert (code, "1 run (1 of no known end)" in line) == (0, True)
    assert line.strip().isprintable()


@pytest.mark.parametrize("name", ["leaves.jsonl", "root.receipt"])
def test_files_are_those_that_were_handed_over(
    name: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = finished / name
    path.write_bytes(path.read_bytes() + b"\n")
    code, line = check(capsys, finished)
    assert (code, name in line) == (1, True)
    (finished / "SHA256SUMS").unlink()  # an attacker would remove it, or make it fit
    code, line = check(capsys, finished)
    assert code == 1
    assert f"{name}: is not what the audit log says" in line


def test_another_status_than_the_log_has_is_named(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((finished / "result.json").read_text())
    (finished / "SHA256SUMS").unlink()
    (finished / "result.json").write_text(json.dumps(record | {"status": "failed"}))
    code, line = check(capsys, finished)
    assert (code, "says the run ended 'failed', the log 'ok'" in line) == (1, True)


@pytest.mark.parametrize(
    ("seal", "code", "words"),
    [
        (None, 2, "the run had no audit log"),
        ({"file": "audit.jsonl"}, 1, "names no audit log"),
        ({"file": "nothing.jsonl", "lines": 1, "hash": ""}, 2, "cannot be read"),
        ("audit.jsonl", 1, "names no audit log"),
    ],
)
def test_a_result_without_a_usable_seal(
    seal: object, code: int, words: str, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((finished / "result.json").read_text())
    (finished / "SHA256SUMS").unlink()
    (finished / "result.json").write_text(json.dumps(record | {"audit": seal}))
    found, line = check(capsys, finished)
    assert (found, words in line) == (code, True), line


def test_unusable_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = check(capsys, tmp_path / "nothing")
    assert (code, "nothing': cannot be read (No such file or directory)" in line) == (2, True)
    code, line = check(capsys, tmp_path)
    assert (code, "has no result.json and no audit.jsonl" in line) == (2, True)
    (tmp_path / "audit.jsonl").touch()
    code, line = check(capsys, tmp_path)
    assert (code, "line 1: the log is empty" in line) == (1, True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("file", "a\0b"),
        ("file", "\ud800"),
        ("file", "\x1b[31m"),
        ("file", "/dev/zero"),
        ("file", "../nothing"),
        ("file", 1),
        ("lines", "5"),
        ("lines", 1.5),
        ("lines", True),
        ("lines", 10**400),
        ("hash", None),
        ("hash", ["x"]),
    ],
)
def test_a_record_that_names_no_log_is_refused_in_one_line(
    field: str, value: object, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((finished / RESULT).read_text())
    record["audit"][field] = value
    (finished / RESULT).write_text(json.dumps(record))
    names = [line.partition("  ")[2] for line in (finished / SUMS).read_text().splitlines()]
    write_sums(finished, names)
    code, line = check(capsys, finished)
    assert code in {1, 2}
    assert "\x1b" not in line
