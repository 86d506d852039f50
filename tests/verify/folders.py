"""Folders of batches, checked and changed."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch.run import run as run_batch
from runner.errors import VerificationFailedError
from runner.folder import LEAVES, RESULT, SUMS, write_sums
from runner.model import ReceiptKind
from runner.provers.guests import Manifest
from runner.provers.prover import load_prover
from runner.verify.checks import verify_folder
from runner.verify.verified import PinnedIds, VerifiedBatch
from tests import builders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


SPEC = builders.prover(ReceiptKind.COMPOSITE)


def make(folder: Path, guests: Path, **changes: object) -> Path:
    """Run a batch of five leaves, of which the second and the fourth are the same."""
    settings = builders.batch_settings(
        folder,
        guests,
        inputs=["a", "b", "c", "b", "d"],
        count=None,
        strategy=builders.strategy("two_level", 2),
    )
    run_batch(dataclasses.replace(settings, **changes))  # type: ignore[arg-type]
    return folder


def check(folder: Path, guests: Path, *, allow: Sequence[str] = ()) -> VerifiedBatch:
    pins = PinnedIds.of(Manifest.load(guests))
    return verify_folder(folder, pins.only(allow) if allow else pins, load_prover(SPEC))


def sums(folder: Path) -> None:
    names = [line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()]
    write_sums(folder, [name for name in names if (folder / name).exists()])


def edit_record(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / RESULT
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    sums(folder)


def edit_leaves(folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    path = folder / LEAVES
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    change(lines)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    sums(folder)


def refused(folder: Path, guests: Path) -> VerificationFailedError:
    with pytest.raises(VerificationFailedError) as caught:
        check(folder, guests)
    assert "\n" not in str(caught.value)
    return caught.value
