"""``make stack`` and the files in ``deploy/`` that it runs on."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.files import SHIPPED
from tests.monitoring import tools as mt

DEPLOY = SHIPPED / "deploy"
SCRIPT = SHIPPED / "scripts" / "stack.py"
UNITS = sorted(path.name for path in (DEPLOY / "systemd").glob("*.service"))


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def test_a_substitution_that_finds_nothing_is_an_error() -> None:
    assert mt.tools.substitute("a b a", {"a": "c"}) == "c b c"
    with pytest.raises(ValueError, match="'x' is not in the shipped configuration"):
        mt.tools.substitute("a b a", {"x": "c"})


def test_the_command_for_a_batch_can_be_pasted() -> None:
    make = shlex.split(mt.tools.run_command(Path("/my $tmp/it's/x.prom")))
    assert make[:2] == ["make", "run"]
    words = shlex.split(make[2].removeprefix("ARGS="))
    assert words[-1] == "metrics.textfile=/my $tmp/it's/x.prom"


def test_missing_tools_are_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env={"PATH": str(tmp_path), "RUNNER_NO_INSTALL": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "apt-get install prometheus-node-exporter prometheus " in done.stderr


def test_tests_go_on_without_tools_that_cannot_be_installed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--tools"],
        env={"PATH": str(tmp_path), "RUNNER_NO_INSTALL": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert "without prometheus-node-exporter" in done.stderr
    assert "chromium, chromium-driver: tests that need them are skipped" in done.stderr


@pytest.mark.monitoring
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_stack_comes_up_and_leaves_nothing_behind(tmp_path: Path, how: int) -> None:
    mt.require()
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "--free-ports"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as stack:
        assert stack.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(stack.stdout.readline())
            assert lines[-1], "ended"
        started = children(stack.pid)
        assert len(started) == 5
        urls = re.findall(r"http://127\.0\.0\.1:\d+", "".join(lines))
        assert len(set(urls)) == 5
        assert "zk-batch-runner" in mt.get(urls[-1] + "/")
        stack.send_signal(how)
        assert stack.wait(timeout=30) == 0
    assert not list(tmp_path.iterdir())
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)


@pytest.mark.monitoring
def test_the_shipped_files_are_valid() -> None:
    mt.require()
    for command in (
        ["promtool", "check", "config", str(DEPLOY / "prometheus" / "prometheus.yml")],
        ["amtool", "check-config", str(DEPLOY / "alertmanager" / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", UNITS)
def test_units_are_valid_and_say_what_the_page_says(name: str, tmp_path: Path) -> None:
    text = (DEPLOY / "systemd" / name).read_text()
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.read_string(text.replace("\\\n", " "))
    service = unit["Service"]
    assert service["User"] == "zk-batch-runner"
    assert service["ProtectSystem"] == "strict"
    assert "--textfile /var/lib/zk-batch-runner/metrics/runner.prom" in service["ExecStart"] or (
        "metrics.textfile=/var/lib/zk-batch-runner/metrics/runner.prom" in service["ExecStart"]
    )
    page = (SHIPPED / "docs" / "monitoring.md").read_text()
    assert "/var/lib/zk-batch-runner/metrics/runner.prom" in page
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    path = tmp_path / name
    # The tool checks whether the program is there.
    path.write_text(text.replace("/opt/zk-batch-runner/.venv/bin/python", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert name not in done.stderr, done.stderr
