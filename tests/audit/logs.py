"""Texts of audit logs, and what a check finds in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner.audit.chain import GENESIS, Chain, make_line
from runner.audit.log import read_log
from runner.errors import AuditBrokenError

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
