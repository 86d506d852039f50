"""Runs of several segments: what the adapter does with each of their parts."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runner.model import LongRun, ReceiptKind
from runner.provers.guests import read_elf
from runner.provers.native_module import prover_errors
from runner.provers.risc0.calls import (
    called,
    claims_of,
    cycles_of,
    native,
    proof_of,
    receipts_of,
)
from runner.provers.risc0.program import whole
from runner.provers.risc0.recursive import RECURSIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.model import Child, GpuUse, Guest
    from runner.provers.prover import Proof

__all__ = ["LEAST_PO2", "PartsOfRuns"]

LEAST_PO2 = 14
"""The smallest segment that can be proved, as a power of two of cycles."""


class PartsOfRuns(ABC):
    """What makes the adapter one whose runs are proved segment by segment, and then joined.

    It is :class:`runner.provers.segments.SegmentProver` and
    :class:`runner.provers.segments.JoiningProver`.
    """

    _segment_po2: int

    @abstractmethod
    def _limits(self, guest: Guest, kind: ReceiptKind, threads: int) -> dict[str, Any]:
        """What the native module's functions that prove a run are given beside it."""

    @abstractmethod
    def _on_gpu(self, prove: Callable[..., Any]) -> tuple[Any, GpuUse | None]:
        """Call a function of the native module, on a GPU where there is one that works."""

    @property
    def segment_sizes(self) -> range:
        """See :class:`runner.provers.segments.SegmentProver`."""
        return range(LEAST_PO2, self._segment_po2 + 1)

    def run_if_short(  # noqa: PLR0913  # what a run is made of
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        *,
        threads: int,
        seed: bytes,
        halvings: int = 0,
        most_po2: int = 0,
    ) -> Proof | LongRun:
        """See :class:`runner.provers.segments.SegmentProver`."""
        elf = whole(read_elf(guest))
        limits, least = self._limits(guest, kind, threads), self.segment_sizes[0]
        if halvings:
            with prover_errors(native.NativeError):
                run = native.execute(
                    elf,
                    stdin,
                    claims_of(children),
                    segment_po2=limits["segment_po2"],
                    max_cycles=limits["max_cycles"],
                )
            # A run may be smaller than its limit, and the next smaller limit would change nothing.
            limits["segment_po2"] = max(least, max(run.segment_po2s) - halvings)
        if most_po2:
            limits["segment_po2"] = min(limits["segment_po2"], max(least, most_po2))
        prove = functools.partial(
            called,
            "prove_if_short",
            elf,
            stdin,
            receipts_of(children),
            **limits,
        )
        proof, gpu = self._on_gpu(prove)
        if hasattr(proof, "receipt"):  # the module for GPUs has a class of its own
            return proof_of(proof, gpu)
        with prover_errors(native.NativeError):
            run = native.measure(
                elf,
                stdin,
                claims_of(children),
                seed=seed,
                segment_po2=limits["segment_po2"],
                max_cycles=limits["max_cycles"],
            )
        return LongRun(
            run.journal,
            cycles_of(run),
            run.segment_po2,
            tuple(run.segment_po2s),
            run.log,
            joins=kind in RECURSIVE,
        )

    def cut(  # noqa: PLR0913  # what a run is made of
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        run: LongRun,
        *,
        seed: bytes,
        sink: Callable[[int, bytes], object],
    ) -> None:
        """See :class:`runner.provers.segments.SegmentProver`."""
        po2 = run.segment_po2
        with prover_errors(native.NativeError):
            native.cut(
                whole(read_elf(guest)), stdin, sink, claims_of(children), seed=seed, segment_po2=po2
            )

    def prove_segment(self, segment: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        """See :class:`runner.provers.segments.SegmentProver`."""
        return self._part("prove_segment", segment, threads=threads)

    def verify_segment(self, receipt: bytes, segment: bytes) -> None:
        """See :class:`runner.provers.segments.SegmentProver`."""
        with prover_errors(native.NativeError):
            native.verify_segment(receipt, segment)

    def assemble(  # what a receipt is made of
        self,
        receipts: Sequence[bytes],
        children: tuple[Child, ...],
        journal: bytes,
        kind: ReceiptKind,
        threads: int,
    ) -> bytes:
        """See :class:`runner.provers.segments.SegmentProver`."""
        assemble = functools.partial(
            called,
            "assemble",
            list(receipts),
            journal,
            receipts_of(children),
            kind=kind.value,
            threads=threads,
        )
        # A composite receipt is put together, and nothing is proved.
        if kind is ReceiptKind.COMPOSITE:
            return bytes(assemble(native))
        receipt, _ = self._on_gpu(assemble)
        return bytes(receipt)

    def lift(self, receipt: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        """See :class:`runner.provers.segments.JoiningProver`."""
        return self._part("lift", receipt, threads=threads)

    def verify_lifted(self, lifted: bytes, receipt: bytes) -> None:
        """See :class:`runner.provers.segments.JoiningProver`."""
        with prover_errors(native.NativeError):
            native.verify_lifted(lifted, receipt)

    def join(self, left: bytes, right: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        """See :class:`runner.provers.segments.JoiningProver`."""
        return self._part("join", left, right, threads=threads)

    def verify_joined(self, joined: bytes, left: bytes, right: bytes) -> None:
        """See :class:`runner.provers.segments.JoiningProver`."""
        with prover_errors(native.NativeError):
            native.verify_joined(joined, left, right)

    def resolve(  # what a receipt is made of
        self,
        joined: bytes,
        children: tuple[Child, ...],
        journal: bytes,
        kind: ReceiptKind,
        threads: int,
    ) -> bytes:
        """See :class:`runner.provers.segments.JoiningProver`."""
        given = (joined, journal, receipts_of(children))
        resolve = functools.partial(called, "resolve", *given, kind=kind.value, threads=threads)
        receipt, _ = self._on_gpu(resolve)
        return bytes(receipt)

    def _part(self, name: str, *given: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        """Make the receipt of a part of a run with a function of the native module."""
        make = functools.partial(called, name, *given, threads=threads)
        (receipt, used_s), gpu = self._on_gpu(make)
        return receipt, replace(gpu, seconds=used_s) if gpu is not None and not gpu.error else gpu
