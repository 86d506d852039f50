"""Log records go to standard error as text or JSON lines, and all of them to the file."""

from __future__ import annotations

import io
import json
import logging
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from runner.errors import InputError
from runner.monitoring import logs
from runner.monitoring.progress import BarProgress
from runner.monitoring.tally import Tally
from runner.plan.strategy import make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.clock import FakeClock

log = logging.getLogger("runner.some")


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Remove the handlers that a test has set up."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    for handler in root.handlers:
        if handler not in before:
            handler.close()
    root.handlers[:], root.level = before, level


def configure(file: Path, *, quiet: bool = False, log_format: str = "text") -> None:
    logs.configure(level="info", log_format=log_format, quiet=quiet, file=file)


def test_text_is_short_on_the_terminal_and_whole_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path / "run.log")
    log.info("leaf %d", 3, extra={"event": "job_finished"})
    log.debug("too much")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith(" INFO leaf 3\n")
    assert (tmp_path / "run.log").read_text().endswith(" INFO runner.some leaf 3\n")
    assert not logs.formats_json()


def test_quiet_keeps_everything_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path / "run.log", quiet=True)
    log.info("one")
    log.warning("two")
    assert capsys.readouterr().err == ""
    log.error("three")
    assert capsys.readouterr().err.endswith(" ERROR three\n")
    assert (tmp_path / "run.log").read_text().count("\n") == 3


def test_json_lines_have_time_level_logger_message_run_and_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure(tmp_path / "run.log", log_format="json")
    assert logs.formats_json()
    log.info("before")
    logs.name_run("r1")
    log.warning("ünï\nleaf %d", 3, extra={"event": "job_retried", "wait_s": 1.5})
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("bug")
    before, retried, bug = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert set(before) == {"ts", "level", "logger", "message"}
    assert before["ts"].endswith("Z")
    assert (before["level"], before["logger"], before["message"]) == (
        *("INFO", "runner.some", "before"),
    )
    assert retried["message"] == "ünï\nleaf 3"
    assert (retried["run_id"], retried["event"], retried["wait_s"]) == ("r1", "job_retried", 1.5)
    assert "ValueError: why" in bug["exc_info"]
    assert "{" not in (tmp_path / "run.log").read_text(), "the file is for people"
    configure(tmp_path / "run.log", log_format="json")
    log.info("the next run of a sweep")
    assert "run_id" not in json.loads(capsys.readouterr().err)


def test_the_last_line_needs_no_log() -> None:
    line = json.loads(logs.last_line("error: guest = 'x': unknown", "runner.cli.command", 2))
    assert line["message"] == "error: guest = 'x': unknown"
    assert (line["level"], line["event"], line["exit_code"]) == ("ERROR", "error", 2)
    assert json.loads(logs.last_line("stopped", "runner.cli.command", 130))["event"] == "stopped"


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose a folder"):
        configure(tmp_path / "none" / "run.log")


def record(level: int, message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("runner.monitoring.progress", level, "", 0, message, args, None)


def test_a_storm_is_held_back_and_counted(clock: FakeClock) -> None:
    limit = logs.RateLimit(burst=3, per_s=60.0, clock=clock)
    formatter = logging.Formatter(logs.SHORT, defaults={"held": ""})

    def said(level: int, message: str, *args: object) -> str | None:
        one = record(level, message, *args)
        return formatter.format(one) if limit.filter(one) else None

    storm = [said(logging.WARNING, "%s: again", f"leaf {n}") for n in range(10)]
    assert storm == ["leaf 0: again", "leaf 1: again", "leaf 2: again", *[None] * 7]
    assert said(logging.WARNING, "something else") == "something else"
    assert all(said(logging.INFO, "standing") for _ in range(10)), "these limit themselves"
    clock.advance(60.0)
    assert said(logging.WARNING, "%s: again", "leaf 9") == (
        "leaf 9: again (and 7 like it before, all in run.log)"
    )
    assert said(logging.WARNING, "%s: again", "leaf 8") == "leaf 8: again"


def test_few_records_are_never_held_back(clock: FakeClock) -> None:
    limit = logs.RateLimit(burst=3, per_s=60.0, clock=clock)
    for _ in range(20):
        one = record(logging.ERROR, "slowly")
        assert limit.filter(one)
        assert not hasattr(one, "held")
        clock.advance(20.0)


def test_the_file_gets_the_whole_storm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure(tmp_path / "run.log")
    for number in range(50):
        log.warning("leaf %d", number)
    assert capsys.readouterr().err.count("\n") == 10
    assert (tmp_path / "run.log").read_text().count("\n") == 50


def test_lines_and_bars_share_one_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """Otherwise lines would be written into the bars, and parts of the bars would stay."""
    drawn = io.StringIO()
    screen = Console(file=drawn, force_terminal=True, width=80)
    monkeypatch.setattr(logs, "terminal", lambda: screen)
    configure(tmp_path / "run.log")
    progress = BarProgress(Tally(make_plan("none", range(3)), 1, {}, clock), "proved", screen)
    with progress:
        progress._live.refresh()
        log.warning("in between")
    before, _, after = drawn.getvalue().partition("in between")
    assert before.count("leaves") == 1
    assert before.rstrip().rpartition("leaves")[2].count("\x1b[1A") == 4, "the bars are taken away"
    assert "leaves" in after, "and drawn again below"
