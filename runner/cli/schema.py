"""The schema of ``conf/`` for Hydra and OmegaConf: names, types and defaults of all settings."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, Optional

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

from runner.files import user_path

__all__ = [
    "AuditConf",
    "ExecutorConf",
    "FieldConf",
    "GuestConf",
    "L1Conf",
    "MetricsConf",
    "PushgatewayConf",
    "RetryConf",
    "RunnerConf",
    "SeriesConf",
    "StoreConf",
    "StrategyConf",
    "register",
]

# OmegaConf reads these annotations itself. It knows ``Optional[X]``, but not ``X | None``.
# ruff: noqa: UP045


@dataclass
class FieldConf:
    """One input field of a guest. See :func:`runner.codec.reads.field`."""

    name: str = MISSING
    type: str = MISSING
    min: Optional[int] = None
    max: Optional[int] = None
    reason: Optional[str] = None


@dataclass
class SeriesConf:
    """The guest's own series of inputs for one field.

    If ``kind`` is ``range``, see :class:`runner.plan.inputs.RangeSeries` for ``start``, ``step``
    and ``modulo``. If it is ``template``, see :class:`runner.plan.inputs.TemplateSeries`.
    """

    kind: str = MISSING
    start: int = 0
    step: int = 1
    modulo: Optional[int] = None
    template: str = "{i}"


@dataclass
class GuestConf:
    """The input and the journal of a guest, and the inputs of this batch.

    ``input`` and ``journal`` are read by :func:`runner.codec.reads.read_layout`, the types in
    ``types`` by :mod:`runner.codec.schema`, and ``encode`` by :mod:`runner.codec.own_program`.
    ``work`` is read by :func:`runner.codec.work.unit_of`. After ``max_cycles`` a run of this guest
    is given up; ``executor.max_cycles`` is for the others.
    ``fields`` is ``input`` for a guest that reads words, as a list. ``assumptions`` is read by
    :mod:`runner.batch.assumptions`.

    At most one of ``fields``, ``input`` and ``encode`` may be given. If none is, ``default_fields``
    stands for ``fields``.

    At most one of ``inputs``, ``count`` and ``inputs_file`` may be set. If none is,
    ``default_count`` stands for ``count``. ``inputs_format`` is the format of ``inputs_file``, for
    streams and for names without a known extension. ``elf`` is the file of a program that needs no
    manifest, and its name is that of the file if ``name`` is null.
    """

    name: Optional[str] = MISSING
    elf: Optional[str] = None
    fields: list[FieldConf] = field(default_factory=list)
    default_fields: list[FieldConf] = field(default_factory=list)
    series: dict[str, SeriesConf] = field(default_factory=dict)
    input: Any = None
    types: dict[str, Any] = field(default_factory=dict)
    assumptions: Any = None
    max_cycles: Optional[int] = None
    work: Any = None
    codec: str = "risc0"
    encode: Any = None
    journal: Any = "hex"
    default_count: int = 6
    inputs: Any = None
    count: Any = None
    inputs_file: Optional[str] = None
    inputs_format: Optional[str] = None


@dataclass
class StrategyConf:
    """The strategy. See :class:`runner.plan.strategy.StrategySettings`."""

    name: str = MISSING
    minimum: int = 6
    two_level_from: int = 51
    three_level_from: int = 501
    fan_in: Any = "auto"


@dataclass
class ExecutorConf:
    """How a plan is executed. ``engine`` names a :class:`runner.engines.engine.Engine`."""

    workers: Any = "auto"
    timeout_s: Optional[float] = None
    max_cycles: Optional[int] = None
    on_failure: str = "stop"
    engine: dict[str, Any] = field(default_factory=dict)


@dataclass
class RetryConf:
    """How failed jobs are tried again. See :class:`runner.engines.retry.RetryPolicy`."""

    attempts: int = 3
    wait_initial_s: float = 0.5
    wait_max_s: float = 30.0
    jitter_s: float = 0.5


@dataclass
class PushgatewayConf:
    """The Pushgateway, see :class:`runner.monitoring.pushgateway.Gateway`.

    Without a ``url``, nothing is pushed.
    """

    url: Optional[str] = None
    job: str = "runner"
    grouping: Any = None
    timeout_s: float = 5.0


@dataclass
class MetricsConf:
    """Where the figures for Prometheus go. Without a ``ledger``, it is kept beside the textfile."""

    textfile: Optional[str] = None
    ledger: Optional[str] = None
    pushgateway: PushgatewayConf = field(default_factory=PushgatewayConf)


@dataclass
class StoreConf:
    """The store that machines share, see :mod:`runner.store`. Without a ``url``, there is none."""

    url: Optional[str] = None
    options: Any = None
    timeout_s: float = 60.0
    max_bytes: int = 200_000_000_000
    protect_s: float = 86_400.0


@dataclass
class AuditConf:
    """The audit log, see :mod:`runner.audit.chain`. Without a ``file``, none is written."""

    file: Optional[str] = None


@dataclass
class L1Conf:
    """Where the root of a verified batch is submitted. See :mod:`runner.l1.settings`.

    Without a ``mode``, nothing is submitted. What is None has the default of that module.
    """

    mode: Optional[str] = None
    required: bool = False
    url: Optional[str] = None
    url_env: Optional[str] = None
    chain_id: Optional[int] = None
    registry: Optional[str] = None
    verifier: Optional[str] = None
    verifier_code_sha256: Optional[str] = None
    key_env: Optional[str] = None
    keystore: Optional[str] = None
    password_file: Optional[str] = None
    signer_url: Optional[str] = None
    signer_url_env: Optional[str] = None
    sender: Optional[str] = None
    max_fee_gwei: Optional[float] = None
    max_cost_eth: Optional[float] = None
    confirmations: Optional[int] = None
    bump_after_s: Optional[float] = None
    timeout_s: Optional[float] = None
    poll_s: Optional[float] = None
    rpc_timeout_s: Optional[float] = None
    state: Optional[str] = None


@dataclass
class RunnerConf:
    """The whole configuration. Each field is filled in by a file or a folder in ``conf/``.

    ``prover`` and ``cache`` have no schema here, because each adapter and each cache checks its own
    settings. :data:`runner.model.PLACEMENT` lists the settings that only say where a run happens.
    """

    guest: GuestConf = field(default_factory=GuestConf)
    programs: dict[str, GuestConf] = field(default_factory=dict)
    strategy: StrategyConf = field(default_factory=StrategyConf)
    prover: dict[str, Any] = field(default_factory=dict)
    executor: ExecutorConf = field(default_factory=ExecutorConf)
    cache: dict[str, Any] = field(default_factory=dict)
    retry: RetryConf = field(default_factory=RetryConf)
    metrics: MetricsConf = field(default_factory=MetricsConf)
    audit: AuditConf = field(default_factory=AuditConf)
    store: StoreConf = field(default_factory=StoreConf)
    l1: L1Conf = field(default_factory=L1Conf)
    guests: Optional[str] = None
    output: str = MISSING
    aggregate: str = "all"
    dry_run: bool = False
    dry_run_executes: bool = False
    report: bool = False
    progress: str = "auto"
    log_level: str = "info"
    log_format: str = "text"
    quiet: bool = False


def register() -> None:
    """Register what the files in ``conf/`` refer to: the schema, and the resolver of user paths."""
    ConfigStore.instance().store(name="runner_schema", node=RunnerConf)
    OmegaConf.register_new_resolver("user_path", _user_path, replace=True)


def _user_path(variable: str, kind: str, name: str) -> str:
    return str(user_path(os.environ, variable, kind, name))
