"""What a run has left: its record, its figures, and what it made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runner.batch.settings import Settings
    from runner.batch.summary import Summary


def metrics(settings: Settings) -> dict[str, float]:
    assert settings.metrics.textfile is not None
    lines = settings.metrics.textfile.read_text().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def record(settings: Settings) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((settings.output / "result.json").read_text())
    return data


def made(summary: Summary) -> tuple[int, int]:
    return summary.made, summary.cached
