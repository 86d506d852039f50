"""The schema of ``conf/``, as Hydra and OmegaConf want it: names, types, defaults."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

__all__ = [
    "AuditConf",
    "ExecutorConf",
    "FieldConf",
    "GuestConf",
    "MetricsConf",
    "PushgatewayConf",
    "RetryConf",
    "RunnerConf",
    "SeriesConf",
    "StrategyConf",
    "register",
]

# OmegaConf reads these annotations itself and knows Optional, not ``X | None``.
# ruff: noqa: UP045


@dataclass
class FieldConf:
    """One input field of a guest; see :class:`runner.plan.fields.FieldSpec`."""

    name: str = MISSING
    type: str = MISSING
    min: Optional[int] = None
    max: Optional[int] = None
    reason: Optional[str] = None


@dataclass
class SeriesConf:
    """The guest's own inputs for one field; ``kind`` is range or template."""

    kind: str = MISSING
    start: int = 0
    step: int = 1
    modulo: Optional[int] = None
    template: str = "{i}"


@dataclass
class GuestConf:
    """What a guest reads, and the inputs of this batch."""

    name: str = MISSING
    fields: list[FieldConf] = field(default_factory=list)
    series: dict[str, SeriesConf] = field(default_factory=dict)
    journal: str = "hex"
    default_count: int = 6
    inputs: Any = None
    count: Any = None
    inputs_file: Optional[str] = None


@dataclass
class StrategyConf:
    """Which plan is made; thresholds count leaves."""

    name: str = MISSING
    minimum: int = 6
    two_level_from: int = 51
    three_level_from: int = 501
    fan_in: Any = "auto"


@dataclass
class ExecutorConf:
    """How a plan is executed. ``engine`` names an :class:`runner.engines.engine.Engine`."""

    workers: Any = "auto"
    timeout_s: Optional[float] = None
    on_failure: str = "stop"
    engine: dict[str, Any] = field(default_factory=dict)


@dataclass
class RetryConf:
    """See :class:`runner.engines.retry.RetryPolicy`."""

    attempts: int = 3
    wait_initial_s: float = 0.5
    wait_max_s: float = 30.0
    jitter_s: float = 0.5


@dataclass
class PushgatewayConf:
    """See :class:`runner.monitoring.pushgateway.Gateway`; no ``url``, no push."""

    url: Optional[str] = None
    job: str = "runner"
    grouping: Any = None
    timeout_s: float = 5.0


@dataclass
class MetricsConf:
    """Where the figures for Prometheus go; ``ledger`` null is beside the textfile."""

    textfile: Optional[str] = None
    ledger: Optional[str] = None
    pushgateway: PushgatewayConf = field(default_factory=PushgatewayConf)


@dataclass
class AuditConf:
    """The log of what was done; see :mod:`runner.audit.chain`. No ``file``, no log."""

    file: Optional[str] = None


@dataclass
class RunnerConf:
    """The whole configuration, which ``conf/`` fills in field by field.

    ``prover`` and ``cache`` hold the settings of an adapter or a cache, which knows and checks them
    itself. Which settings say only where a run happens is in :data:`runner.model.PLACEMENT`.
    """

    guest: GuestConf = field(default_factory=GuestConf)
    strategy: StrategyConf = field(default_factory=StrategyConf)
    prover: dict[str, Any] = field(default_factory=dict)
    executor: ExecutorConf = field(default_factory=ExecutorConf)
    cache: dict[str, Any] = field(default_factory=dict)
    retry: RetryConf = field(default_factory=RetryConf)
    metrics: MetricsConf = field(default_factory=MetricsConf)
    audit: AuditConf = field(default_factory=AuditConf)
    guests: Optional[str] = None
    output: str = MISSING
    dry_run: bool = False
    report: bool = False
    progress: str = "auto"
    log_level: str = "info"
    log_format: str = "text"
    quiet: bool = False


def register() -> None:
    """Make the schema known to Hydra under the name ``conf/config.yaml`` uses."""
    ConfigStore.instance().store(name="runner_schema", node=RunnerConf)
