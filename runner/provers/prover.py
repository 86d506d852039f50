"""What a zkVM adapter must offer, and how one is loaded by its name.

Plan, executor, cache, metrics and verification know this protocol and nothing of what is behind it.
An adapter comes with the runner (:data:`BUILT_IN`), or another package installs it under the entry
point group ``zk_batch_runner.provers``, or a config names it as ``module:class``. Its module is
imported where it is used: in the runner, and once in each worker process.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

from runner.errors import InputError
from runner.model import Cycles, ReceiptKind, Scalar, Versions  # noqa: TC001  # annotations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.model import AggregationCost, Child, Guest, ReceiptInfo

__all__ = [
    "BUILT_IN",
    "Ability",
    "Diagnosis",
    "Proof",
    "Prover",
    "ProverSpec",
    "adapters",
    "load_adapter",
    "load_prover",
    "not_installed",
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
    """Everything that an adapter is made from. It crosses process boundaries.

    Attributes:
        adapter: The name of an adapter (see :func:`adapters`), or ``module:class``.
        kind: The receipt that the batch's result is to be.
        settings: The adapter's own settings from its YAML file, as pairs of name and value.
        guests: The folder of the guests, where an adapter may keep more than programs; None for
            the folder that comes with the runner.
    """

    adapter: str
    kind: ReceiptKind
    settings: tuple[tuple[str, Scalar | None], ...] = ()
    guests: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """A finished run of a guest.

    Attributes:
        journal: What the guest committed.
        receipt: The encoded receipt; None in execute mode.
        cycles: The cycles of the run.
        log: What the guest printed.
    """

    journal: bytes
    receipt: bytes | None
    cycles: Cycles
    log: str = ""


@dataclass(frozen=True, slots=True)
class Ability:
    """Whether one kind of receipt can be made on this machine; if not, why, and what to do."""

    kind: str
    available: bool
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an adapter can do on this machine.

    Attributes:
        extension: The name of its native module.
        build: What the native module says of its build.
        receipts: Its kinds of receipt.
    """

    extension: str
    build: dict[str, Any] = field(default_factory=dict)
    receipts: tuple[Ability, ...] = ()


class Prover(Protocol):
    """A zkVM. It is constructed from a :class:`ProverSpec`, and any thread may call it.

    The constructor raises InputError where the spec has settings that this zkVM does not take.
    """

    def __init__(self, spec: ProverSpec) -> None: ...

    @classmethod
    def diagnose(cls) -> Diagnosis:
        """What this build can do here. The doctor calls it; nothing is proved or written."""
        ...

    @property
    def versions(self) -> Versions:
        """The versions that decide whether two receipts can stand for each other."""
        ...

    @property
    def aggregation_cost(self) -> AggregationCost | None:
        """The zkVM's own model of what an aggregation costs, by which ``fan_in=auto`` decides.

        None where there is none; groups are then balanced.
        """
        ...

    def require(self, kind: ReceiptKind) -> None:
        """Make sure that this build and machine can make ``kind`` as the spec asks.

        It is called once, before any proof, in the runner's own process.

        Raises:
            InputError: They cannot. The error says why and how to get it.
        """
        ...

    def image_id(self, elf: bytes) -> bytes:
        """Compute a program's image id, 32 bytes. Raises ProverError for what is no program."""
        ...

    def run(
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        threads: int,
    ) -> Proof:
        """Execute the guest, and prove the run unless ``kind`` is execute.

        A worker calls it for each job. The children are distinct, and the caller has verified them.

        Raises:
            ProverError: The guest failed, or the proof could not be made.
        """
        ...

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        """The receipt's journal, once it is proved that ``image_id`` committed it.

        Raises:
            ProverError: The receipt proves no such thing.
        """
        ...

    def describe(self, receipt: bytes) -> ReceiptInfo:
        """What a receipt says of itself, unverified. Raises ProverError for a malformed one."""
        ...


def adapters() -> dict[str, str]:
    """Every adapter that is installed, as ``module:class``, by the name of its zkVM."""
    from importlib import metadata

    installed = {point.name: point.value for point in metadata.entry_points(group=_GROUP)}
    return installed | BUILT_IN


def load_adapter(name: str) -> type[Prover]:
    """The class of an adapter.

    Args:
        name: One of :func:`adapters`, or ``module:class``. The module is imported: never take a
            name of the second form from a file of somebody else's.

    Raises:
        InputError: There is no such adapter, or its native module is not installed.
    """
    # Looking for other packages' adapters reads the metadata of all that is installed.
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
    """The prover for ``spec``, made once a process.

    Raises:
        InputError: There is no such adapter, it is not installed, or it refuses the settings.
    """
    return load_adapter(spec.adapter)(spec)


def not_installed(adapter: str, error: ImportError, remedy: str) -> InputError:
    """What an adapter's module raises where its native module cannot be imported."""
    if isinstance(error, ModuleNotFoundError):
        return InputError("prover.adapter", adapter, f"{error.name} is not installed", remedy)
    return InputError("prover.adapter", adapter, f"does not load: {error}", remedy)


def own_settings(spec: ProverSpec, ranges: Mapping[str, tuple[int, int]]) -> dict[str, int | None]:
    """An adapter's own settings, each of them a whole number or None.

    Args:
        spec: The spec with the settings as the user gave them.
        ranges: The least and the largest value of each setting that the adapter takes.

    Returns:
        A value for each name in ``ranges``; None where the spec has none.

    Raises:
        InputError: The spec has a setting that is not in ``ranges``, or a value out of its range.
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
