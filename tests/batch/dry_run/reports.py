"""Reports of dry runs, and the entries that they are about."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

from runner.batch.forecast import Reason
from runner.batch.run import run as run_batch
from runner.model import ReceiptKind
from tests import builders

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.dry_run_report import DryRunReport
    from runner.batch.settings import Settings


COMPOSITE, SUCCINCT = ReceiptKind.COMPOSITE, ReceiptKind.SUCCINCT


def prove(settings: Settings, name: str = "out") -> dict[str, Any]:
    """Run the batch for real. Returns what its ``result.json`` says."""
    output = settings.output.with_name(name)
    run_batch(dataclasses.replace(settings, dry_run=False, output=output))
    data: dict[str, Any] = json.loads((output / "result.json").read_text())
    return data


def reasons(report: DryRunReport) -> list[str]:
    return [decision.reason.value for decision in report.decisions]


def details(report: DryRunReport) -> set[str]:
    return {d.detail for d in report.decisions if d.reason is not Reason.HIT}


def blobs(settings: Settings) -> list[Path]:
    return sorted((builders.cache_folder(settings) / "objects").glob("*/*"))


def blob_of(settings: Settings, report: DryRunReport, job: int) -> Path:
    key = report.decisions[job].key
    return next(path for path in blobs(settings) if path.name == key)
