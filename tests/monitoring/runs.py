"""A small run as its tally and its live figures show it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from runner.model import ProofJob, ReceiptKind
from runner.monitoring.live_file import LiveFile
from runner.monitoring.tally import Tally
from runner.plan.strategy import make_plan
from tests.fakes.guests import sample_guest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.plan.plan import Plan


def eventually(check: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not check():
        assert time.monotonic() < until, "never came true"
        time.sleep(0.005)


def plan_of(leaves: int) -> Plan:
    return make_plan("two_level", range(leaves), fan_in=2)


def live_file(
    textfile: Path | None,
    tally: Tally | None = None,
    *,
    run_id: str = "r1",
    guest: str = "sha256",
    every_s: float = 0.01,
    beat_s: float = 60.0,
) -> LiveFile:
    return LiveFile(
        textfile,
        tally or new_tally(),
        guest=guest,
        strategy="two_level",
        kind="composite",
        leaves=4,
        run_id=run_id,
        started=1000.0,
        every_s=every_s,
        beat_s=beat_s,
    )


def new_tally() -> Tally:
    return Tally(plan_of(4), 2, {0: 10.0, 1: 1.0, 2: 1.0})


def job(job_id: int) -> ProofJob:
    guest = sample_guest()
    return ProofJob(job_id, f"job {job_id}", guest, b"\0" * 8, (), ReceiptKind.COMPOSITE)
