"""The audit log: its chain shows every change, and neither other writers nor a kill spoil it."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.audit import log as log_file
from runner.audit.chain import GENESIS, MAX_LINE, Chain, make_line, torn
from runner.audit.events import AuditEvent
from runner.audit.log import AuditLog, Head, read_log
from runner.audit.trail import AuditTrail
from runner.errors import AuditBrokenError, AuditError
from runner.files import SHIPPED

if TYPE_CHECKING:
    from pathlib import Path

OPENED = {"event": "log_opened", "format": "zk-batch-runner audit log", "version": 1, "log": "ab"}


def chained(events: list[dict[str, Any]]) -> list[bytes]:
    """The text of a log with these events. An event that is bytes becomes a fragment of a line."""
    lines, digest = [], GENESIS
    for seq, event in enumerate([OPENED, *events], start=1):
        line, digest = make_line(seq, digest, event)
        lines.append(line)
    return lines


def fault(data: bytes) -> str | None:
    """The number of the first bad line, and what is wrong with it; None for a log that holds."""
    chain = Chain()
    try:
        for raw in data.splitlines(keepends=True):
            chain.take(raw)
        chain.end()
    except AuditBrokenError as error:
        return str(error)
    return None


def events(path: Path) -> list[dict[str, Any]]:
    return [line.fields for line in read_log(path)]


def names(path: Path) -> list[str]:
    return [event["event"] for event in events(path)]


# -- the chain --------------------------------------------------------------------------------

json_values = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
logs = st.lists(
    st.dictionaries(st.sampled_from(["event", "time", "name", "ä\u2028"]), json_values),
    min_size=1,
    max_size=5,
).map(chained)


@given(logs)
def test_what_was_written_holds_and_reads_back(lines: list[bytes]) -> None:
    assert fault(b"".join(lines)) is None
    assert all(line.isascii() and line.count(b"\n") == 1 for line in lines)


@given(logs, st.data())
def test_a_change_of_any_byte_shows(lines: list[bytes], data: st.DataObject) -> None:
    text = bytearray(b"".join(lines))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    found = fault(bytes(text))
    assert found is not None
    line = b"".join(lines)[:at].count(b"\n") + 1
    number = int(found.split()[1].rstrip(":"))
    # A newline more or less moves the text after it, where the fault is seen at the latest.
    assert line <= number <= line + 1


@given(logs, st.data())
def test_a_line_gone_doubled_or_moved_shows(lines: list[bytes], data: st.DataObject) -> None:
    how = data.draw(st.sampled_from(["gone", "doubled", "moved"]))
    at = data.draw(st.integers(0, len(lines) - 2))
    if how == "gone":
        del lines[at]
    elif how == "doubled":
        to = data.draw(st.integers(0, len(lines)))
        lines.insert(to, lines[at])
    else:
        to = data.draw(st.integers(at + 1, len(lines) - 1))
        lines[at], lines[to] = lines[to], lines[at]
    assert fault(b"".join(lines)) is not None


@given(logs, st.data())
def test_what_is_cut_off_within_a_line_shows(lines: list[bytes], data: st.DataObject) -> None:
    text = b"".join(lines)
    kept = data.draw(st.integers(0, len(text) - 1))
    whole = text[:kept].endswith(b"\n")
    assert (fault(text[:kept]) is None) == whole


def test_a_line_of_another_log_does_not_fit() -> None:
    one = chained([{"event": "a"}, {"event": "b"}])
    other, _ = make_line(2, "ab" * 32, {"event": "a"})
    assert "from elsewhere" in str(fault(one[0] + other + one[2]))


def test_a_log_begins_with_its_opening() -> None:
    line, _ = make_line(1, GENESIS, {"event": "run_started"})
    assert "not the first line" in str(fault(line))
    later, _ = make_line(1, GENESIS, {**OPENED, "version": 2})
    assert "not the first line of an audit log of version 1" in str(fault(later))
    assert fault(b"") == "line 1: the log is empty"


@pytest.mark.parametrize("junk", [b"\n", b"{}\n", b"\xff\x00\n", b'{"seq":2}\n', b"null\n"])
def test_lines_from_elsewhere_are_faults(junk: bytes) -> None:
    first, last = chained([{"event": "a"}])
    assert str(fault(first + junk + last)).startswith("line 2: ")
    assert str(fault(first + last + junk)).startswith("line 3: ")


def test_a_fragment_holds_only_with_the_line_that_names_it() -> None:
    first, second = chained([{"event": "torn", **torn(b'{"seq":2,"pr')}])
    assert fault(first + b'{"seq":2,"pr\n' + second) is None
    assert str(fault(first + b'{"seq":2,"pR\n' + second)).startswith("line 2: ")
    assert "is gone" in str(fault(first + second))
    assert str(fault(first + b'{"seq":2,"pr\n')).startswith("line 2: ")


def test_the_fields_of_the_chain_are_its_own() -> None:
    for name in ("seq", "prev", "hash"):
        with pytest.raises(ValueError, match="own fields"):
            make_line(1, GENESIS, {name: 1})
    with pytest.raises(ValueError, match="at most"):
        make_line(1, GENESIS, {"event": "x" * MAX_LINE})


# -- the file ---------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "logs" / "audit.jsonl"


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

    threads = [threading.Thread(target=append, args=(str(i),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
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


# -- the trail of a run -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class A(AuditEvent):
    event = "a"
    job: int | None = None


@dataclass(frozen=True, kw_only=True)
class B(AuditEvent):
    event = "b"
    job: int | None = None


def test_events_are_on_disk_soon_and_at_the_end_at_the_latest(path: Path) -> None:
    with AuditTrail(path, "r1", every_s=0.0) as trail:
        trail.add(A(job=1))
        until = time.monotonic() + 30
        while not path.exists() or len(events(path)) < 2:
            assert time.monotonic() < until
            time.sleep(0.005)
    with AuditTrail(path, "r2", every_s=3600.0) as trail:
        for number in range(20):
            trail.add(B(job=number))
        head = trail.finish("ok", None)
    found = events(path)
    assert head == Head(23, found[-1]["hash"])
    assert [event["job"] for event in found[2:-1]] == list(range(20))
    assert [event["run"] for event in found[1:]] == ["r1"] + ["r2"] * 21
    assert (found[-1]["event"], found[-1]["status"]) == ("run_finished", "ok")


def test_a_run_is_sealed_by_its_own_last_line(path: Path) -> None:
    def runs(who: str) -> None:
        for number in range(30):
            with AuditTrail(path, f"{who}{number}", every_s=0.0) as trail:
                trail.add(A())
                heads[f"{who}{number}"] = trail.finish("ok", None)

    heads: dict[str, Head] = {}
    threads = [threading.Thread(target=runs, args=(who,)) for who in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = events(path)
    assert len(found) == 1 + 3 * 30 * 2
    for run, head in heads.items():
        sealed = found[head.lines - 1]
        last = (sealed["run"], sealed["event"], sealed["hash"])
        assert last == (run, "run_finished", head.hash)


def test_events_wait_while_the_log_cannot_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    append, tried = AuditLog.append, threading.Event()

    def broken(self: AuditLog, waiting: list[dict[str, Any]]) -> Head:
        tried.set()
        raise AuditError(str(self.path), "no space left")

    monkeypatch.setattr(AuditLog, "append", broken)
    with AuditTrail(path, "r1", every_s=0.0) as trail:
        trail.add(A())
        assert tried.wait(30)
        trail.add(B())
        with pytest.raises(AuditError):
            trail.finish("ok", None)
        monkeypatch.setattr(AuditLog, "append", append)
        trail.finish("failed", "no space left")
    assert names(path) == ["log_opened", "a", "b", "run_finished", "run_finished"]
    assert "trying again" in caplog.text
