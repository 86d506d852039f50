"""What one run needs to know, as plain values: the far side of the config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runner.cache.cache import Cache
    from runner.engines.engine import Engine
    from runner.engines.retry import RetryPolicy
    from runner.executor import OnFailure
    from runner.monitoring.publish import MetricsSettings
    from runner.plan.inputs import InputSpec
    from runner.plan.strategy import StrategySettings
    from runner.provers.prover import ProverSpec

__all__ = [
    "ExecutorSettings",
    "Settings",
]


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """How the plan is executed.

    Attributes:
        workers: The number of jobs side by side; None leaves it to the engine.
        timeout_s: The seconds that one job may take; None for no limit.
        on_failure: What happens to the other jobs when one has failed for good.
    """

    workers: int | None
    timeout_s: float | None
    on_failure: OnFailure


@dataclass(frozen=True, slots=True)
class Settings:
    """One run.

    Attributes:
        guest: name in the manifest.
        spec: how its inputs are encoded.
        journal: type of its journal, for people.
        inputs: a list of inputs; or None with one of ``count`` and ``inputs_file``.
        count: how many of the guest's own inputs.
        inputs_file: JSON lines or CSV.
        strategy: which plan.
        prover: which receipts.
        executor: who works.
        cache: Where finished proofs are kept, not opened yet.
        retry: of failed jobs.
        metrics: where the figures for Prometheus go.
        guests: folder of the manifest.
        output: the run's folder.
        progress: ``auto``, ``bar``, ``lines`` or ``none``.
        log_level: name of a logging level, lower case.
        log_format: ``text`` or ``json``, on standard error; with json, standard output gets the
            summary as one JSON line.
        quiet: nothing on standard output, errors only on standard error.
        config: all of it as the user composed it, for the record.
        make_engine: Makes the engine. It is called once everything else is known to be right.
        audit: the audit log; None for none.
        dry_run: say what a run would do, and do nothing.
        report: whether the run leaves a page for people.
    """

    guest: str
    spec: InputSpec
    journal: str
    inputs: Any
    count: Any
    inputs_file: str | None
    strategy: StrategySettings
    prover: ProverSpec
    executor: ExecutorSettings
    cache: Cache
    retry: RetryPolicy
    metrics: MetricsSettings
    guests: Path
    output: Path
    progress: str
    log_level: str
    log_format: str
    quiet: bool
    config: dict[str, Any]
    make_engine: Callable[[], Engine]
    audit: Path | None = None
    dry_run: bool = False
    report: bool = False
