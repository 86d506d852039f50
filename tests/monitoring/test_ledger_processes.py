"""The ledger and the textfile with many processes, which kill -9 may end at any instant."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from runner.metric_table import PUSH_FAILURES, SEGMENTS
from runner.monitoring.ledger_file import decode
from tests.monitoring.figures import figures, run, started

if TYPE_CHECKING:
    from pathlib import Path

    from runner.monitoring.ledger import Ledger


# Children are forked with all modules loaded. Starting Python 90 times would take most of the time.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


# -- kill -9 ---------------------------------------------------------------------------------------


def record_for_ever(ledger: Ledger, name: str, acknowledge: int) -> None:
    for number in range(1_000_000):
        ledger.record(f"{name}-{number}", run())
        os.write(acknowledge, f"{name}-{number}\n".encode())


def watch(textfile: Path, ready: int) -> None:
    """Read again and again. Each text must be whole and of one moment, and no total may fall."""
    last = 0.0
    os.write(ready, b".")
    while True:
        segments, cycles, observations = figures(textfile.read_text())
        assert segments == cycles == observations >= last
        last = segments


def test_kill_9_at_any_instant_loses_no_run_and_counts_none_twice(
    ledger: Ledger, tmp_path: Path
) -> None:
    textfile = tmp_path / "runner.prom"
    ledger.record("first", run())
    counted, rng = {"first"}, random.Random(9)
    end, ready = os.pipe()
    reader = started(watch, textfile, ready)
    os.read(end, 1)
    try:
        for number in range(90):
            read, write = os.pipe()
            child = started(record_for_ever, ledger, f"r{number}", write)
            os.close(write)
            # Two of three are killed after their first run, however slow the machine is.
            seen = os.read(read, 1 << 16) if number % 3 else b""
            counted |= {line.decode() for line in seen.splitlines()}
            time.sleep(rng.uniform(0, 0.03))  # several records, each of which takes milliseconds
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            with os.fdopen(read, "rb") as pipe:
                counted |= {line.decode().strip() for line in pipe}
            contents = decode(ledger.path.read_bytes())
            # Every run for which record() returned is there, and one more was under way.
            under_way = set(contents.runs) - counted
            assert counted <= set(contents.runs)
            assert len(under_way) <= 1
            counted |= under_way
            assert len(contents.runs) == len(set(contents.runs)) == len(counted)
            assert ledger.read().value(SEGMENTS) == len(counted)
            if contents.runs:  # the run under way is recorded again, and may be counted already
                ledger.record(contents.runs[-1], run())
            assert figures(textfile.read_text()) == (len(counted),) * 3
        assert reader.is_alive(), "the reader saw a textfile that was not whole"
    finally:
        reader.kill()
        reader.join()
        os.close(end)
        os.close(ready)
    assert len(counted) > 60
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"runner.prom", ledger.path.name, f"{ledger.path.name}.lock"}


def test_what_killed_writers_left_is_removed_and_nothing_of_others(
    ledger: Ledger, tmp_path: Path
) -> None:
    for name in (ledger.path.name, "runner.prom"):
        (tmp_path / f".{name}.x1y2.tmp").touch()
    others = {
        ".other.prom.x1y2.tmp",
        ".runner.prom.live.json.x1y2.tmp",
        ".runner.prom.swp",
        "runner.prom.x1y2.tmp",
    }
    for name in others:
        (tmp_path / name).touch()
    ledger.record("a", run())
    mine = {"runner.prom", ledger.path.name, f"{ledger.path.name}.lock"}
    assert {path.name for path in tmp_path.iterdir()} == others | mine


# -- many processes --------------------------------------------------------------------------------


def record_some(ledger: Ledger, name: str) -> None:
    for number in range(1, 16):
        ledger.record(f"{name}-{number}", run(number))
        ledger.count(PUSH_FAILURES)


def test_eight_processes_at_once_are_counted_exactly(ledger: Ledger, tmp_path: Path) -> None:
    processes = [started(record_some, ledger, str(i)) for i in range(8)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    assert figures((tmp_path / "runner.prom").read_text()) == (8 * 120,) * 3
    assert ledger.read().value(PUSH_FAILURES) == 8 * 15
    assert len(decode(ledger.path.read_bytes()).runs) == 8 * 15


def hold(ledger: Ledger, ready: int) -> None:
    with ledger.lock("lock", 1):
        os.write(ready, b".")
        time.sleep(60)


def test_a_lock_held_too_long_is_an_os_error_and_a_killed_holder_releases_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.monitoring.ledger._WAIT_S", 0.1)
    end, ready = os.pipe()
    process = started(hold, ledger, ready)
    os.read(end, 1)
    with pytest.raises(TimeoutError, match=r"locked by another process .*ledger\.json\.lock"):
        ledger.record("a", run())
    process.kill()
    process.join()
    assert ledger.record("a", run()).value(SEGMENTS) == 1
    os.close(end)
    os.close(ready)
