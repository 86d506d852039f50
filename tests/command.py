"""The command ``python -m runner``, run in the process of a test."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from runner.cli import command

if TYPE_CHECKING:
    import pytest

RUN = ["progress=lines", "executor=inline"]
"""The arguments of a run that logs its progress and starts no worker."""


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command. Returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["runner", *arguments])
    return command.main()
