"""The ledger and the textfile in folders that cannot be written, and beside other jobs' files."""

from __future__ import annotations

import os
import resource
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

from runner.metric_table import LAST_RUN_EXIT_STATUS, SEGMENTS
from runner.metrics import METRICS
from runner.monitoring.ledger import Ledger
from tests.monitoring.figures import NODE_EXPORTER, figures, run, started

if TYPE_CHECKING:
    from collections.abc import Iterator


# Children are forked with all modules loaded. Starting Python 60 times would take most of the time.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


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
