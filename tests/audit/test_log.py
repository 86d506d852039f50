"""The audit log on disk: other writers and kills spoil nothing, and other files are left alone."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner.audit import log as log_file
from runner.audit.chain import MAX_LINE
from runner.audit.log import AuditLog, read_log
from runner.errors import AuditBrokenError, AuditError
from runner.files import SHIPPED
from tests.audit.logs import events, names
from tests.threads import side_by_side

if TYPE_CHECKING:
    from pathlib import Path


def test_lines_are_appended_and_taken_out_of_the_list(path: Path) -> None:
    log = AuditLog(path, clock=lambda: 0.0)
    log.check()
    assert not path.parent.exists()
    waiting = [{"event": "a"}, {"event": "b"}]
    head = log.append(waiting)
    assert (waiting, head.lines) == ([], 3)
    assert names(path) == ["log_opened", "a", "b"]
    assert events(path)[0]["time"] == "1970-01-01T00:00:00.000000Z"
    before = path.read_bytes()
    assert AuditLog(path).append([{"event": "c"}]).lines == 4
    assert path.read_bytes().startswith(before)
    assert names(path)[-1] == "c"
    log.check()


@pytest.mark.parametrize("lines", [1, 3])
def test_wherever_a_writer_was_killed_the_next_one_goes_on(path: Path, lines: int) -> None:
    AuditLog(path).append([{"event": "a", "name": "x" * 40}] * (lines - 1))
    text = path.read_bytes()
    start = text.rfind(b"\n", 0, -1) + 1
    whole = text[:start].count(b"\n")
    for kept in range(start, len(text)):
        path.write_bytes(text[:kept])
        if kept > start:
            with pytest.raises(AuditBrokenError, match="it has no end"):
                list(read_log(path))
        AuditLog(path).check()
        AuditLog(path).append([{"event": "next"}])
        found = events(path)
        assert path.read_bytes().startswith(text[:kept])
        assert found[-1]["event"] == "next"
        if kept == len(text) - 1:  # only its newline was missing
            assert len(found) == whole + 2
        elif kept > start:
            assert found[-2]["torn_bytes"] == kept - start
            assert found[-2]["event"] == ("torn" if whole else "log_opened")
        else:
            assert len(found) == whole + 1 + (whole == 0)


def test_killed_again_while_it_names_a_fragment(path: Path) -> None:
    AuditLog(path).append([{"event": "a"}])
    good = path.read_bytes()
    for rest in (b"frag\n", b'frag\n{"seq":3,"prev', b'frag\n{"se\n{"seq":'):
        path.write_bytes(good + rest)
        AuditLog(path).append([{"event": "next"}])
        assert names(path) == ["log_opened", "a", "torn", "next"]


def test_a_long_log_is_read_from_its_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "_CHUNK", 64)
    log = AuditLog(path)
    log.append([{"event": "a", "name": "x" * 1000}, {"event": "b"}])
    with path.open("ab") as file:
        file.write(b"y" * 500)
    log.append([{"event": "c"}])
    assert names(path) == ["log_opened", "a", "b", "torn", "c"]


def test_nobody_goes_on_from_a_changed_last_line(path: Path) -> None:
    AuditLog(path).append([{"event": "a"}])
    text = path.read_bytes().replace(b'"event":"a"', b'"event":"b"')
    path.write_bytes(text)
    for action in (AuditLog(path).check, lambda: AuditLog(path).append([{"event": "c"}])):
        with pytest.raises(AuditError, match="in its last line: it was changed"):
            action()
    assert path.read_bytes() == text


@pytest.mark.parametrize("content", [b"root:x:0:0\n", b"{}\n", b"\n", b"# HELP x\n" * 20_000])
def test_another_file_is_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(AuditError, match="something else than an audit log"):
        AuditLog(path).append([{"event": "a"}])
    assert path.read_bytes() == content


def test_megabytes_of_something_else_are_not_read_to_their_start(path: Path) -> None:
    AuditLog(path).append([{"event": "a"}])
    with path.open("ab") as file:
        file.write(b"x" * (4 * MAX_LINE))
    with pytest.raises(AuditError, match="no line of an audit log"):
        AuditLog(path).append([{"event": "b"}])


def test_a_full_disk_takes_a_part_and_no_event_comes_twice(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(path)
    log.append([{"event": "first"}])
    size = len(path.read_bytes())
    write, room = os.write, [0]

    def full(handle: int, data: bytes) -> int:
        if room[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(handle, data[: room[0]])
        room[0] -= done
        return done

    waiting = [{"event": f"e{i}"} for i in range(5)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        for room[0] in (0, 1, 200, 400, 7):
            with pytest.raises(AuditError, match="No space left"):
                log.append(waiting)
    assert len(path.read_bytes()) == size + 1 + 200 + 400 + 7
    log.append(waiting)
    assert [name for name in names(path) if name[0] == "e"] == [f"e{i}" for i in range(5)]


def test_a_lock_that_is_never_released_is_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    AuditLog(path).append([{"event": "a"}])
    monkeypatch.setattr(log_file, "_WAIT_S", 0.0)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(AuditError, match="locked by another process"):
            AuditLog(path).append([{"event": "b"}])
    assert AuditLog(path).append([{"event": "b"}]).lines == 3


WRITER = """
import sys
from pathlib import Path
from runner.audit.log import AuditLog
log, who, times = AuditLog(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
for number in range(times):
    both = (2 * number, 2 * number + 1)
    log.append([{"event": "e", "who": who, "number": n, "x": "x" * 50} for n in both])
    print(number, flush=True)
"""


def writer(path: Path, who: str, times: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), who, str(times)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=SHIPPED,
    )


def numbers(path: Path, who: str) -> list[int]:
    return [event["number"] for event in events(path) if event.get("who") == who]


def test_processes_append_side_by_side(path: Path) -> None:
    writers = [writer(path, str(i), 25) for i in range(4)]
    for process in writers:
        process.communicate()
        assert process.returncode == 0
    assert len(events(path)) == 1 + 4 * 50
    for i in range(4):
        assert numbers(path, str(i)) == list(range(50))


def test_threads_append_side_by_side(path: Path) -> None:
    def append(who: str) -> None:
        for number in range(20):
            AuditLog(path).append([{"event": "e", "who": who, "number": number}])

    side_by_side(append, map(str, range(4)))
    for i in range(4):
        assert numbers(path, str(i)) == list(range(20))


def test_a_writer_that_is_killed_harms_nobody(path: Path) -> None:
    steady = writer(path, "steady", 60)
    for attempt in range(6):
        victim = writer(path, f"victim {attempt}", 100_000)
        assert victim.stdout is not None
        for _ in range(random.randint(1, 12)):
            said = int(victim.stdout.readline())
        victim.kill()
        victim.communicate()
        assert victim.returncode == -signal.SIGKILL
        # Every number that was printed is on disk, and none is there twice or out of order.
        AuditLog(path).append([{"event": "after"}])
        found = numbers(path, f"victim {attempt}")
        assert found == list(range(len(found)))
        assert len(found) >= 2 * (said + 1)
    steady.communicate()
    assert numbers(path, "steady") == list(range(120))
