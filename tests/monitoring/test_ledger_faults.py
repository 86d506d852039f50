"""Ledger and textfile under faults: kill -9, many processes, and folders that cannot be written."""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from runner.metric_table import (
    AGGREGATION_DURATION_SECONDS,
    GUEST_CYCLES,
    LAST_RUN_EXIT_STATUS,
    PUSH_FAILURES,
    SEGMENTS,
)
from runner.metrics import METRICS, Recorder
from runner.monitoring.ledger import Ledger
from runner.monitoring.ledger_file import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Children are forked with all modules loaded. Starting Python 60 times would take most of the time.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
FORK = multiprocessing.get_context("fork")
FAMILIES = {metric.name.removesuffix("_total") for metric in METRICS}
NODE_EXPORTER = shutil.which("prometheus-node-exporter")


def run(weight: int = 1) -> Recorder:
    """A run with three figures that are always equal, so that a reader can compare them."""
    recorder = Recorder()
    recorder.inc(SEGMENTS, weight)
    recorder.inc(GUEST_CYCLES, weight, guest="g", type="user")
    for _ in range(weight):
        recorder.observe(AGGREGATION_DURATION_SECONDS, 0.5)
    return recorder


def figures(text: str) -> tuple[float, float, float]:
    """Segments, cycles and observations in a textfile, which must be whole."""
    assert text.endswith("\n")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families.keys() == FAMILIES
    by_name = {
        (sample.name, sample.labels.get("type")): sample.value
        for name in ("l2_segments", "l2_guest_cycles", "l2_aggregation_duration_seconds")
        for sample in families[name].samples
    }
    return (
        by_name["l2_segments_total", None],
        by_name["l2_guest_cycles_total", "user"],
        by_name["l2_aggregation_duration_seconds_count", None],
    )


def started(target: Callable[..., None], *arguments: object) -> multiprocessing.Process:
    process = FORK.Process(target=target, args=arguments)
    process.start()
    return process  # type: ignore[return-value]  # a ForkProcess is one


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
        for number in range(60):
            read, write = os.pipe()
            child = started(record_for_ever, ledger, f"r{number}", write)
            os.close(write)
            time.sleep(rng.uniform(0, 0.1))
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


def test_who_holds_the_lock_too_long_is_an_os_error_and_who_is_killed_lets_go(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.monitoring.ledger._WAIT_S", 0.1)
    end, ready = os.pipe()
    process = started(hold, ledger, ready)
    os.read(end, 1)
    with pytest.raises(TimeoutError, match=r"ledger\.json\.lock was held for 0\.1 s"):
        ledger.record("a", run())
    process.kill()
    process.join()
    assert ledger.record("a", run()).value(SEGMENTS) == 1
    os.close(end)
    os.close(ready)


# -- folders that take nothing ---------------------------------------------------------------------


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that any user reaches, unlike the test's own folder."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_nobody(ledger: Ledger) -> None:
    if os.geteuid() == 0:
        os.setuid(65534)  # root may write everywhere
    with pytest.raises(PermissionError):
        ledger.record("b", run())


def test_a_read_only_folder_is_an_os_error_and_leaves_all_as_it_was(public: Path) -> None:
    ledger = Ledger(public / "l.json", public / "x.prom")
    ledger.record("a", run())
    before = {path.name: path.read_bytes() for path in public.iterdir()}
    for path in public.iterdir():
        path.chmod(0o444)
    public.chmod(0o555)
    process = started(as_nobody, ledger)
    process.join(30)
    public.chmod(0o755)
    assert process.exitcode == 0
    assert {path.name: path.read_bytes() for path in public.iterdir()} == before


def on_a_full_disk(ledger: Ledger, limit: int) -> None:
    """Let no file grow beyond a limit, so that writes fail half-way as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    with pytest.raises(OSError, match="File too large"):
        ledger.record("b", run(3))


def test_a_full_disk_is_an_os_error_and_heals(ledger: Ledger, tmp_path: Path) -> None:
    ledger.record("a", run(2))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    process = started(on_a_full_disk, ledger, 3000)
    process.join(30)
    assert process.exitcode == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    ledger.record("b", run(3))
    assert figures((tmp_path / "runner.prom").read_text()) == (5, 5, 5)


def test_what_is_shown_is_never_ahead_of_the_ledger(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A total that fell at the next run would look like a reset, and would count again."""
    ledger.record("a", run(2))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    failed = run(3)
    failed.set(LAST_RUN_EXIT_STATUS, 1)
    with monkeypatch.context() as patch:
        patch.setattr("runner.monitoring.ledger.atomic_write", full)
        with pytest.raises(OSError, match="No space left"):
            ledger.record("b", failed)
    text = (tmp_path / "runner.prom").read_text()
    assert figures(text) == (2, 2, 2)
    assert "\nl2_last_run_exit_status 1.0\n" in text
    ledger.record("c", run(4))
    assert figures((tmp_path / "runner.prom").read_text()) == (6, 6, 6)


def test_a_textfile_that_cannot_be_written_is_written_by_the_next_run(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    textfile = tmp_path / "runner.prom"
    textfile.mkdir()
    assert ledger.record("a", run(2)).value(SEGMENTS) == 2
    assert "runner.prom not written" in caplog.text
    textfile.rmdir()
    ledger.record("b", run(3))
    assert figures(textfile.read_text()) == (5, 5, 5)


def test_a_damaged_ledger_that_cannot_be_set_aside_stays(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.record("a", run(2))
    ledger.path.write_bytes(b"{")
    with monkeypatch.context() as patch:
        patch.setattr(
            "runner.monitoring.ledger.atomic_write", lambda *_: os.open("/proc/no", os.O_RDONLY)
        )
        with pytest.raises(OSError, match="No such file"):
            ledger.record("b", run(3))
    assert ledger.path.read_bytes() == b"{"
    assert ledger.record("b", run(3)).value(SEGMENTS) == 5


# -- beside other jobs -----------------------------------------------------------------------------


@pytest.mark.skipif(NODE_EXPORTER is None, reason="prometheus-node-exporter is not installed")
def test_node_exporter_serves_our_textfile_beside_another_jobs(public: Path) -> None:
    """The other file has one of our names with other labels, and the same help text and type.

    With another help text or type, node_exporter would leave a metric out.
    """
    textfile = public / "runner.prom"
    Ledger(public / "l.json", textfile).record("a", run(5))
    lines = [x for x in textfile.read_text().splitlines() if "l2_segments_total" in x]
    foreign = "\n".join(lines).replace("l2_segments_total 5.0", 'l2_segments_total{job="x"} 7.0')
    (public / "other.prom").write_text(foreign + "\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    assert NODE_EXPORTER is not None
    command = [NODE_EXPORTER, "--collector.disable-defaults", "--collector.textfile"]
    command += [f"--collector.textfile.directory={public}", f"--web.listen-address={address}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            text = fetched(f"http://{address}/metrics")
        finally:
            process.kill()
    assert "\nnode_textfile_scrape_error 0\n" in text
    assert "\nl2_segments_total 5\n" in text
    assert '\nl2_segments_total{job="x"} 7\n' in text
    for metric in METRICS:
        assert f"\n# TYPE {metric.name} {metric.type}\n" in text or not set(metric.labels) <= {
            label for label, known in metric.labels.items() if known
        }


def fetched(url: str) -> str:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.URLError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
