"""Builders of settings for tests that run whole batches with the fake prover."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.batch.settings import ExecutorSettings, Settings
from runner.cache.cache import NoCache
from runner.cache.proof_cache import ProofCache
from runner.codec.reads import journal_layout, word_field
from runner.engines.engine import Host
from runner.engines.inline import InlineEngine
from runner.engines.retry import RetryPolicy
from runner.model import ReceiptKind
from runner.monitoring.publish import MetricsSettings
from runner.plan.inputs import InputSpec, TemplateSeries
from runner.plan.journal import padded
from runner.plan.strategy import StrategySettings, Thresholds
from runner.provers.prover import ProverSpec
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.executor import OnFailure


class TwoWorkers(InlineEngine):
    """An inline engine that claims two workers, for figures that depend on their number."""

    def hosts(self) -> Sequence[Host]:
        return [Host("here", cores=2, workers=2)]


def batch_settings(output: Path, guests: Path, **changes: Any) -> Settings:  # noqa: ANN401  # any field
    """The settings of a batch that leaves nothing outside its output folder.

    It runs the fake sha256 guest on six distinct inputs, one job at a time in the calling thread,
    without a cache, and makes composite receipts.

    Args:
        output: The output folder of the run.
        guests: The folder of the fake guests.
        changes: The fields that a test wants otherwise, by name.
    """
    settings = Settings(
        guest="sha256",
        spec=InputSpec((word_field("data", "bytes"),), (TemplateSeries("leaf-{i}"),)),
        journal=journal_layout({"journal": "hex"}),
        inputs=None,
        count=6,
        inputs_file=None,
        strategy=strategy("auto"),
        prover=prover(ReceiptKind.COMPOSITE),
        executor=executor(),
        cache=NoCache(),
        retry=RetryPolicy(3, 0.0, 0.0, 0.0),
        metrics=MetricsSettings(),
        guests=guests,
        output=output,
        progress="lines",
        log_level="info",
        log_format="text",
        quiet=False,
        config={"guest": {"name": "sha256", "journal": "hex"}},
        make_engine=TwoWorkers,
    )
    return dataclasses.replace(settings, **changes)


def strategy(name: str, fan_in: int | str = "auto") -> StrategySettings:
    """A strategy with the shipped thresholds."""
    return StrategySettings(name, Thresholds(), fan_in)


def prover(kind: ReceiptKind, guests: Path | None = None) -> ProverSpec:
    """The fake prover, making receipts of one kind."""
    return ProverSpec(ADAPTER, kind, guests=None if guests is None else str(guests))


def executor(on_failure: OnFailure = "stop") -> ExecutorSettings:
    """An executor that leaves workers and time limits to the engine."""
    return ExecutorSettings(None, None, on_failure)


def disk_cache(folder: Path, max_entries: int = 1000) -> ProofCache:
    """A cache on disk that holds more than any test makes, unless its entries are bounded."""
    return ProofCache(folder, max_entries, 10_000_000)


def cache_folder(settings: Settings) -> Path:
    """The folder of the cache that a batch uses."""
    assert settings.cache.place is not None
    return Path(settings.cache.place)


def stdin(leaf: int) -> bytes:
    """What the guest reads for one leaf of a batch with inputs of its own."""
    return padded(f"leaf-{leaf}".encode())
