"""The settings of one run, as plain values.

The command line makes them from the composed config (:mod:`runner.cli.config`). No room but the
command line knows Hydra.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.plan.inputs import MixedSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from runner.cache.cache import Cache
    from runner.codec.reads import Layout
    from runner.codec.work import WorkUnit
    from runner.engines.engine import Engine
    from runner.engines.retry import RetryPolicy
    from runner.executor import OnFailure
    from runner.monitoring.publish import MetricsSettings
    from runner.plan.inputs import InputSpec
    from runner.plan.strategy import StrategySettings
    from runner.provers.prover import ProverSpec
    from runner.store.place import PlaceSettings
    from runner.store.sweep import Bound

__all__ = ["ExecutorSettings", "Program", "Settings", "StoreSettings"]


@dataclass(frozen=True, slots=True)
class ExecutorSettings:
    """How the plan is executed.

    Attributes:
        workers: the number of jobs that run side by side; None leaves it to the engine.
        timeout_s: the seconds that one job may take; None for no limit.
        on_failure: what happens to the other jobs when one has failed for good.
    """

    workers: int | None
    timeout_s: float | None
    on_failure: OnFailure


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """The store of artifacts that machines share.

    Attributes:
        place: where it is and how it is reached.
        bound: how much it may hold.
    """

    place: PlaceSettings
    bound: Bound


@dataclass(frozen=True, slots=True)
class Program:
    """A guest among several of one batch.

    Attributes:
        spec: the fields of one input of the guest, and how they are encoded.
        journal: what the guest's journal consists of.
        elf: the file of the guest's program, or None for the one in the manifest.
        assumptions: see :class:`Settings`.
        max_cycles: see :class:`Settings`.
        unit: see :class:`Settings`.
    """

    spec: InputSpec
    journal: Layout
    elf: Path | None = None
    assumptions: Any = None
    max_cycles: int = 0
    unit: WorkUnit | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one run.

    Attributes:
        guest: the name of the leaves' guest; empty if neither a name nor a file was given.
        spec: the fields of one input of that guest, and how they are encoded.
        journal: what that guest's journal consists of, by which the leaf list shows it.
        inputs: the inputs as the config lists them, or None if the config has ``count`` or
            ``inputs_file`` instead.
        count: the number of inputs to take from the guest's own series, or None.
        inputs_file: the JSON lines or CSV file with the inputs, or None.
        strategy: the strategy that makes the plan, with its thresholds and fan-in.
        prover: the zkVM adapter, the kind of receipt and the adapter's own settings.
        executor: how the plan is executed.
        cache: the cache of finished proofs. It is not open yet.
        retry: how a job that failed is tried again.
        metrics: the files and the Pushgateway that the metrics are published to.
        guests: the folder of the manifest and the guests' programs.
        output: the output folder of the run.
        progress: how the progress is shown: ``auto``, ``bar``, ``lines`` or ``none``.
        log_level: the name of the log level, in lower case.
        log_format: the format of the log on standard error, ``text`` or ``json``. With ``json``,
            standard output gets the summary as one line of JSON.
        quiet: whether standard output stays empty and standard error shows errors only.
        config: the whole config as the user composed it, for the record.
        make_engine: a function that makes the engine. It is called once everything else is known
            to be right.
        audit: the file of the audit log, or None for no audit log.
        dry_run: whether the run only says what it would do, and does nothing.
        dry_run_executes: whether a dry run executes the leaves that are not in the cache.
        report: whether the run leaves an HTML report of itself.
        store: the store of artifacts that machines share, or None for none.
        elf: the file of that guest's program, or None for the one in the manifest.
        programs: the further guests that inputs may name, by their names. Where
            there are any, each input names its guest.
        assumptions: what all leaves of that guest may take as proved, as the config lists it; see
            :mod:`runner.batch.assumptions`.
        max_cycles: the cycles after which a run of that guest is given up; 0 leaves that to the
            prover's own limit.
        unit: the unit in which the work of that guest is counted; None for none.
        aggregate: ``all`` to aggregate all leaves or none, ``succeeded`` to aggregate those that
            did not fail.
    """

    guest: str
    spec: InputSpec
    journal: Layout
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
    store: StoreSettings | None = None
    dry_run_executes: bool = False
    elf: Path | None = None
    aggregate: str = "all"
    programs: Mapping[str, Program] = field(default_factory=dict)
    assumptions: Any = None
    max_cycles: int = 0
    unit: WorkUnit | None = None

    @property
    def units(self) -> dict[str, WorkUnit]:
        """The unit of work of each guest that has one, by the guest's name."""
        given = {self.guest: self.unit, **{name: one.unit for name, one in self.programs.items()}}
        return {name: unit for name, unit in given.items() if unit is not None}

    @property
    def journals(self) -> dict[str, Layout]:
        """What the journal of each guest of the batch consists of, by the guest's name."""
        others = {name: program.journal for name, program in self.programs.items()}
        return {self.guest: self.journal, **others}

    @property
    def specs(self) -> dict[str, InputSpec]:
        """The description of an input of each guest of the batch, by the guest's name."""
        return {self.guest: self.spec, **{name: one.spec for name, one in self.programs.items()}}

    @property
    def inputs_spec(self) -> InputSpec | MixedSpec:
        """The description of an input of the batch."""
        return MixedSpec(self.specs) if self.programs else self.spec
