"""What a zkVM must offer, and how to get one by name.

Plan, executor, cache, metrics and verification know this protocol and nothing of what is behind
it. An adapter is named in ``conf/prover``; it is made once in each worker process from its spec.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from runner.errors import InputError
from runner.model import Cycles, ReceiptKind, Versions  # noqa: TC001  # dataclass annotations

if TYPE_CHECKING:
    from runner.model import Child, Guest, ReceiptInfo

__all__ = ["ADAPTERS", "SETUP", "Proof", "Prover", "ProverSpec", "load_prover"]

ADAPTERS = {
    "risc0": "runner.provers.risc0:Risc0Prover",
    "openvm": "runner.provers.openvm:OpenvmProver",
}
"""Adapters by the name configs use, which is their zkVM's; a value is ``module:class``."""

SETUP = {"openvm": "run `make setup-openvm`"}
"""How an adapter's native module is installed, where it is not `make setup`."""


@dataclass(frozen=True, slots=True)
class ProverSpec:
    """Everything an adapter is made from; crosses process boundaries.

    Attributes:
        adapter: a name in :data:`ADAPTERS`, or ``module:class``.
        kind: the receipt of the batch's result.
        segment_po2: largest segment, as a power of two of cycles; None for the adapter's own, as
            where there is no such choice.
        security_bits: of proven security, the least that is accepted; None where the zkVM leaves
            no choice.
        guests: folder of the guests, where an adapter may keep more than programs; None for the
            one that comes with the runner.
    """

    adapter: str
    kind: ReceiptKind
    segment_po2: int | None = None
    security_bits: int | None = None
    guests: str | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """A finished run.

    Attributes:
        journal: what the guest committed.
        receipt: encoded; None in execute mode.
        cycles: of the run.
        log: what the guest printed.
    """

    journal: bytes
    receipt: bytes | None
    cycles: Cycles
    log: str = ""


class Prover(Protocol):
    """A zkVM. Constructed from a :class:`ProverSpec`; all calls may come from any thread."""

    def __init__(self, spec: ProverSpec) -> None: ...

    @property
    def versions(self) -> Versions:
        """What decides whether two receipts can stand for each other."""
        ...

    def require(self, kind: ReceiptKind) -> None:
        """Make sure this build and machine can make ``kind`` as the spec asks.

        Raises:
            InputError: it cannot; says why and how to get it.
        """
        ...

    def image_id(self, elf: bytes) -> bytes:
        """Compute a program's image id (32 bytes). Raises ProverError."""
        ...

    def run(
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        threads: int,
    ) -> Proof:
        """Execute the guest, and prove it unless ``kind`` is execute.

        ``children`` are distinct, and verified by the caller.

        Raises:
            ProverError: the guest failed or the proof could not be made.
        """
        ...

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        """The journal, once the receipt is proved to come from ``image_id``. Raises ProverError."""
        ...

    def describe(self, receipt: bytes) -> ReceiptInfo:
        """What a receipt says of itself, unverified. Raises ProverError."""
        ...


@lru_cache(maxsize=8)
def load_prover(spec: ProverSpec) -> Prover:
    """The adapter for ``spec``, made once a process.

    Raises:
        InputError: unknown adapter, or its native module is not installed.
    """
    target = ADAPTERS.get(spec.adapter, spec.adapter)
    module, _, name = target.partition(":")
    if not name:
        raise InputError(
            "prover.adapter", spec.adapter, "unknown zkVM adapter", f"use {', '.join(ADAPTERS)}"
        )
    try:
        adapter: type[Prover] = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        raise InputError(
            "prover.adapter",
            spec.adapter,
            f"{error.name} is not installed",
            SETUP.get(spec.adapter, "run `make setup`"),
        ) from None
    except AttributeError:
        raise InputError(
            "prover.adapter", spec.adapter, f"{module} has no {name}", f"use {', '.join(ADAPTERS)}"
        ) from None
    return adapter(spec)
