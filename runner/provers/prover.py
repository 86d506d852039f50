"""The protocol of a zkVM adapter, and the loading of an adapter by its name.

Plan, executor, cache, metrics and verification know this protocol and nothing about the zkVM behind
it. Some adapters come with the runner (:data:`BUILT_IN`). Other packages install theirs in the
entry point group ``zk_batch_runner.provers``. A config may also name an adapter as
``module:class``. The module of an adapter is imported only where it is used, which is in the runner
and in each worker process.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from runner.errors import InputError
from runner.model import (  # noqa: TC001  # annotations
    Cycles,
    GpuUse,
    ReceiptKind,
    Scalar,
    Versions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.gpus import Gpu
    from runner.model import AggregationCost, Child, Guest, ReceiptInfo

__all__ = [
    "BUILT_IN",
    "Capability",
    "Diagnosis",
    "GpuExtension",
    "Proof",
    "Prover",
    "ProverSpec",
    "adapters",
    "left_open",
    "load_adapter",
    "load_prover",
    "own_settings",
]

BUILT_IN = {
    "risc0": "runner.provers.risc0.adapter:Risc0Prover",
    "openvm": "runner.provers.openvm.adapter:OpenvmProver",
}
"""The adapters that come with the runner, as ``module:class``, by the name of their zkVM."""

_GROUP = "zk_batch_runner.provers"


@dataclass(frozen=True, slots=True)
class ProverSpec:
    """Everything that a prover is made from. It is sent to the worker processes.

    Attributes:
        adapter: The name of an adapter (see :func:`adapters`), or ``module:class``.
        kind: The kind of receipt that the result of the batch is to have.
        settings: The adapter's own settings from its YAML file, as pairs of name and value.
        guests: The folder of the guests, or None for the folder that comes with the runner. An
            adapter may find more than the programs there.
        max_cycles: The cycles after which a run is given up; 0 for no limit.
    """

    adapter: str
    kind: ReceiptKind
    settings: tuple[tuple[str, Scalar | None], ...] = ()
    guests: str | None = None
    max_cycles: int = 0


@dataclass(frozen=True, slots=True)
class Proof:
    """A finished run of a guest.

    Attributes:
        journal: What the guest committed.
        receipt: The encoded receipt, or None in execute mode.
        cycles: The cycles of the run.
        log: What the guest printed.
        gpu: The part that a GPU had in the proof, or None if it had none.
    """

    journal: bytes
    receipt: bytes | None
    cycles: Cycles
    log: str = ""
    gpu: GpuUse | None = None


@dataclass(frozen=True, slots=True)
class Capability:
    """Whether one kind of receipt can be made on this machine.

    Attributes:
        kind: The kind of receipt.
        available: Whether it can be made.
        reason: Why it cannot be made; empty if it can.
        remedy: What the user can do about that; empty if it can be made.
    """

    kind: str
    available: bool
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class GpuExtension:
    """The state of an adapter's native module for GPUs on this machine.

    Attributes:
        extension: The name of the module.
        installed: Whether it is installed.
        build: Facts about its build, by name; empty if it was not loaded.
        reason: Why no proof is made on a GPU; empty if GPUs are used.
        remedy: What the user can do about that; empty if GPUs are used.
    """

    extension: str
    installed: bool
    build: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an adapter can do on this machine.

    Attributes:
        extension: The name of the adapter's native module.
        build: Facts about the build of the native module, by name.
        receipts: The kinds of receipt that the adapter knows. There is at least one, and the doctor
            judges the adapter by the first.
        gpu: The state of the adapter's native module for GPUs, or None if it has no such module.
    """

    extension: str
    build: dict[str, Any] = field(default_factory=dict)
    receipts: tuple[Capability, ...] = ()
    gpu: GpuExtension | None = None


class Prover(Protocol):
    """A zkVM, made from a :class:`ProverSpec`. Any thread may call it.

    The constructor raises InputError if the spec has settings that this zkVM does not take.
    """

    def __init__(self, spec: ProverSpec) -> None: ...

    @classmethod
    def diagnose(cls) -> Diagnosis:
        """Find out what this build can do on this machine. Nothing is proved or written.

        The doctor calls it.
        """
        ...

    @property
    def versions(self) -> Versions:
        """The versions that decide whether one receipt can be used in place of another."""
        ...

    @property
    def gpus(self) -> Sequence[Gpu]:
        """The GPUs of this machine that :meth:`run` uses for proofs of the spec's kind."""
        ...

    @property
    def workers(self) -> int | None:
        """How many jobs side by side make the best use of this machine, if that is not its cores.

        ``executor.workers=auto`` takes this number, or one worker for each core if it is None.
        """
        ...

    @property
    def worker_bytes(self) -> int:
        """The bytes of memory that a worker takes at least for the spec's kind; 0 if not known.

        More ``executor.workers`` than there is memory for are told with a warning.
        """
        ...

    @property
    def aggregation_cost(self) -> AggregationCost | None:
        """The zkVM's own model of what an aggregation costs, which ``fan_in=auto`` minimises.

        It is None if the zkVM has no such model. The groups are then balanced.
        """
        ...

    def require(self, kind: ReceiptKind) -> None:
        """Make sure that this build can make receipts of ``kind`` on this machine.

        It is called once, before any proof, in the runner's own process.

        Raises:
            InputError: It cannot. The error says why, and what the user can do about it.
        """
        ...

    def image_id(self, elf: bytes) -> bytes:
        """Compute the image id of a program, 32 bytes.

        Args:
            elf: What the guest's file holds, in any form in which guests for this zkVM come.

        Raises:
            ProverError: ``elf`` is not a program for this zkVM.
        """
        ...

    def run(
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        threads: int,
    ) -> Proof:
        """Run the guest, and prove the run unless ``kind`` is execute.

        A worker calls it for each job.

        Args:
            guest: The guest to run.
            stdin: The guest's input.
            children: The children, which are distinct. The caller has verified their receipts.
            kind: The kind of receipt to make.
            threads: The number of CPU threads that may be used, or 0 to leave it to the zkVM.

        Raises:
            ProverError: The guest failed, or the proof could not be made.
        """
        ...

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        """Verify that a receipt proves a run of the guest ``image_id``, and return its journal.

        Raises:
            ProverError: The receipt does not prove such a run.
        """
        ...

    def describe(self, receipt: bytes) -> ReceiptInfo:
        """Read what a receipt says about itself, without verifying it.

        Raises:
            ProverError: The receipt is malformed.
        """
        ...

    def on_chain_proof(self, receipt: bytes) -> bytes | None:
        """The proof in a receipt as a contract on an L1 takes it.

        It is None if no contract can verify receipts of this kind, so that only their digest can
        be posted.

        Args:
            receipt: A receipt that :meth:`verify` has accepted.

        Raises:
            ProverError: The receipt is malformed.
        """
        ...


def adapters() -> dict[str, str]:
    """Every installed adapter as ``module:class``, by the name of its zkVM.

    A built-in adapter hides one of the same name from another package.
    """
    from importlib import metadata

    installed = {point.name: point.value for point in metadata.entry_points(group=_GROUP)}
    return installed | BUILT_IN


def load_adapter(name: str) -> type[Prover]:
    """The class of an adapter.

    Args:
        name: A name from :func:`adapters`, or ``module:class``. Since the module is imported, a
            name of the second form must never come from somebody else's file.

    Raises:
        InputError: There is no such adapter, or its native module is not installed.
    """
    # `adapters` reads the metadata of all installed packages, so it comes last.
    target = BUILT_IN.get(name) or (name if ":" in name else adapters().get(name, ""))
    module, _, attribute = target.partition(":")
    known = f"use {', '.join(BUILT_IN)}, or module:class"
    if not attribute:
        raise InputError("prover.adapter", name, "unknown zkVM adapter", known)
    try:
        adapter: type[Prover] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        problem = f"{error.name} is not installed"
        raise InputError("prover.adapter", name, problem, "install it") from None
    except AttributeError:
        raise InputError("prover.adapter", name, f"{module} has no {attribute}", known) from None
    return adapter


@lru_cache(maxsize=8)
def load_prover(spec: ProverSpec) -> Prover:
    """The prover for ``spec``. Each process makes it once.

    Raises:
        InputError: There is no such adapter, its native module is not installed, or it refuses the
            settings.
    """
    return load_adapter(spec.adapter)(spec)


def left_open(spec: ProverSpec) -> ProverSpec:
    """A spec with None for each setting that is ``auto``, which the adapter chooses."""
    given = ((name, None if value == "auto" else value) for name, value in spec.settings)
    return replace(spec, settings=tuple(given))


def own_settings(spec: ProverSpec, ranges: Mapping[str, tuple[int, int]]) -> dict[str, int | None]:
    """Check an adapter's own settings. Each of them must be a whole number or None.

    Args:
        spec: The spec, with the settings as the user gave them.
        ranges: The smallest and the largest value of each setting that the adapter takes, by name.

    Returns:
        The value of each setting in ``ranges``, by name. It is None if the spec does not give one.

    Raises:
        InputError: The spec has a setting that is not in ``ranges``, or a value that is not a whole
            number or is out of range.
    """
    found: dict[str, int | None] = dict.fromkeys(ranges)
    for name, value in spec.settings:
        field = f"prover.{name}"
        if name not in ranges:
            if value is None:
                continue
            takes = ", ".join(ranges) or "no settings of its own"
            raise InputError(
                field, value, f"{spec.adapter} has no such setting", f"leave it out; it has {takes}"
            )
        if value is None:
            continue
        low, high = ranges[name]
        remedy = f"give a number from {low} to {high}"
        if type(value) is not int:
            raise InputError(field, value, "not a whole number", remedy)
        if not low <= value <= high:
            raise InputError(field, value, "out of range", remedy)
        found[name] = value
    return found
