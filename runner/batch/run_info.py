"""What is known of a run before its first job, and what its files repeat."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.model import Scalar, Versions

__all__ = ["RunInfo"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """The facts of a run that are known before its first job.

    Attributes:
        run_id: the id that tells this run from all others.
        versions: the versions of the zkVM that proves.
        workers: the number of jobs that the engine runs side by side.
        started: the Unix time at which the run started.
        clock: the monotonic time at which the run started, in seconds.
        prover_settings: the prover's own settings, with what the prover has chosen itself.
        check: the command that checks the finished batch.
    """

    run_id: str
    versions: Versions
    workers: int
    started: float
    clock: float
    prover_settings: tuple[tuple[str, Scalar | None], ...] = ()
    check: str = ""

    def elapsed_s(self) -> float:
        """The wall seconds since the run started."""
        return time.monotonic() - self.clock
