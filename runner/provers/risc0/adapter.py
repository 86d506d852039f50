"""The RISC Zero adapter, the only importer of ``runner_risc0``."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import platform
import threading
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from runner.errors import InputError, ProverError
from runner.gpus import usable
from runner.limits import MEMORY_SHARE, cores, fitting, memory_bytes
from runner.model import Cycles, GpuUse, LongRun, ReceiptInfo, ReceiptKind, Versions
from runner.provers.composing import NO_RECEIPT
from runner.provers.guests import read_elf
from runner.provers.native_module import not_installed, prover_errors
from runner.provers.prover import Capability, Diagnosis, Proof, left_open, own_settings
from runner.provers.risc0.cost import AGGREGATOR, SEGMENT_PO2, PaddedCycles
from runner.provers.risc0.environment import ignored_variables
from runner.provers.risc0.gpu import PROOFS_AT_ONCE, WORKERS_PER_GPU, Seat, lock_folder, take_seat
from runner.provers.risc0.program import whole
from runner.provers.risc0.recursive import (
    GPU_MODULE,
    RECURSIVE,
    docker_engine,
    gpu_wraps,
    why_unavailable,
)
from runner.text import one_line

try:
    import runner_risc0 as native
except ImportError as error:
    raise not_installed("risc0", error, "run `make setup`") from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runner.gpus import Gpu
    from runner.model import Child, Guest, Scalar
    from runner.provers.prover import ProverSpec

__all__ = ["Risc0Prover"]

log = logging.getLogger(__name__)

_RANGES = {"segment_po2": (14, 22), "gpus": (0, 64), "gpu_proofs": (1, 8)}
"""The adapter's own settings. ``segment_po2`` is the size of the largest segment as a power of two,
from the smallest that can be proved to the largest of the circuit. Larger segments need more
memory, about 8 GiB at 2^20. Smaller segments cut a run into more pieces. ``gpus`` is the number of
GPUs to prove on, and ``gpu_proofs`` the number of proofs that each makes at once."""

CYCLE_MEMORY = 8 * 2**10
"""The bytes of memory that a proof takes for each of its padded cycles, on a CPU. This and the next
are measured in docs/figures/proofs.md."""

PROCESS_MEMORY = 64 * 2**20
"""The bytes of memory that a worker takes beside its proof."""

LEAST_MEMORY = PROCESS_MEMORY + CYCLE_MEMORY * 2**15
"""The bytes of memory that a worker takes for proofs of 2^15 cycles, the smallest aggregation."""

_NO_ASSUMPTION = "no receipt found to resolve assumption: claim digest "
"""The words of the executor of risc0-zkvm 3.0, before the digest."""

_INSTALL = "run `RUNNER_CUDA=1 make setup`"


class Risc0Prover:
    """RISC Zero on this machine's CPU and, with the extension for GPUs, on its GPUs.

    Executing and verifying is always done by the extension for the CPU. So whatever a GPU has
    proved is verified by another build than its own. See :class:`Prover`.
    """

    composes: ClassVar[str] = "env::verify"
    size_setting: ClassVar[str] = "segment_po2"

    def __init__(self, spec: ProverSpec) -> None:
        spec = left_open(spec)
        own = own_settings(spec, _RANGES)
        self._spec = spec
        self._segment_po2 = own["segment_po2"] or SEGMENT_PO2
        self._max_cycles = spec.max_cycles
        self._wanted_gpus = own["gpus"]
        self._gpu_proofs = own["gpu_proofs"] or PROOFS_AT_ONCE
        self._ignored = ignored_variables(os.environ)
        self._proves = spec.kind is not ReceiptKind.EXECUTE
        self._seat: Seat | None = None
        self._seating = threading.Lock()

    @classmethod
    def diagnose(cls) -> Diagnosis:
        """See :class:`Prover`."""
        from runner.provers.gpu_extension import gpu_extension  # for the doctor, not for workers

        build = native.build_info()
        gpu = gpu_extension(GPU_MODULE, _INSTALL)
        docker, wraps = docker_engine(), bool(gpu.build.get("all_kernels"))
        receipts = [Capability("composite", available=True)]
        for kind in RECURSIVE:
            why = why_unavailable(
                kind, build, docker=docker, machine=platform.machine(), on_gpu=wraps
            )
            receipts.append(Capability(kind.value, why is None, *(why or ())))
        return Diagnosis("runner_risc0", build, tuple(receipts), gpu)

    @cached_property
    def _build(self) -> dict[str, Any]:
        return native.build_info()

    @property
    def versions(self) -> Versions:
        """See :class:`Prover`."""
        build = self._build
        extra = {
            "runner_risc0": str(build["module_version"]),
            "receipt_encoding": str(build["envelope_version"]),
            "recursion_programs": str(build["recursion"]).lower(),
            "simd": build["simd"] or "off",
        }
        return Versions("risc0", str(build["risc0_zkvm"]), extra)

    @cached_property
    def gpus(self) -> Sequence[Gpu]:
        """See :class:`Prover`. There are none without the extension for GPUs."""
        if self._wanted_gpus == 0 or not self._proves or not _has_gpu_module():
            return ()
        return usable()[: self._wanted_gpus]

    def sized(self, workers: int) -> tuple[tuple[str, Scalar | None], ...]:
        """See :class:`runner.provers.segments.Sized`.

        The largest segments are 2^20, as in the library, or the largest of which each worker has
        the memory for one. The smallest that is chosen is 2^16, because the executor leaves so much
        room in smaller ones that most of their cycles are padding.
        """
        own = dict(self._spec.settings)
        if own.get("segment_po2") is None:
            own["segment_po2"] = largest_po2(memory_bytes(), workers)
        return tuple(own.items())

    def proof_bytes(self, cycles: int | None = None) -> int:
        """See :class:`runner.provers.segments.Sized`. It grows with the cycles."""
        if self.gpus or not self._proves:
            return 0
        largest = 1 << self._segment_po2
        most = min(cycles or largest, largest)
        return max(LEAST_MEMORY, PROCESS_MEMORY + CYCLE_MEMORY * most)

    @property
    def workers(self) -> int | None:
        """See :class:`Prover`.

        How much memory a proof takes is only known when it is made. But more workers than there is
        memory for the smallest proofs are sure to be killed.
        """
        if self.gpus or not self._proves:
            return WORKERS_PER_GPU * len(self.gpus) or None
        return fitting(LEAST_MEMORY, memory_bytes(), cores())

    @property
    def worker_bytes(self) -> int:
        """See :class:`Prover`."""
        return 0 if self.gpus or not self._proves else LEAST_MEMORY

    @property
    def aggregation_cost(self) -> PaddedCycles:
        """See :class:`Prover`."""
        return AGGREGATOR

    def require(self, kind: ReceiptKind) -> None:
        """See :class:`Prover`."""
        if self._ignored:
            log.warning("%s: set, and without any effect here", ", ".join(self._ignored))
        self._require_gpus()
        if kind not in RECURSIVE:
            return
        wraps = kind is ReceiptKind.GROTH16
        why = why_unavailable(
            kind,
            self._build,
            docker=wraps and docker_engine(),
            on_gpu=wraps and bool(self.gpus) and gpu_wraps(),
            machine=platform.machine(),
        )
        if why is not None:
            problem, remedy = why
            less = "composite" if kind is ReceiptKind.SUCCINCT else "succinct or composite"
            raise InputError("prover", kind.value, problem, f"{remedy}, or use prover={less}")

    def image_id(self, elf: bytes) -> bytes:
        """See :class:`Prover`."""
        with prover_errors(native.NativeError):
            return native.image_id(whole(elf))

    def run(
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        threads: int,
    ) -> Proof:
        """See :class:`Prover`."""
        elf = whole(read_elf(guest))
        if kind is ReceiptKind.EXECUTE:
            with _no_receipt(), prover_errors(native.NativeError):
                run = native.execute(
                    elf,
                    stdin,
                    _claims(children),
                    segment_po2=self._segment_po2,
                    max_cycles=guest.max_cycles or self._max_cycles,
                )
            return Proof(run.journal, None, _cycles(run), run.log)
        prove = functools.partial(
            _called,
            "prove",
            elf,
            stdin,
            _receipts(children),
            **self._limits(guest, kind, threads),
        )
        proof, gpu = self._on_gpu(prove)
        return _proof(proof, gpu)

    @property
    def segment_sizes(self) -> range:
        """See :class:`runner.provers.segments.SegmentProver`."""
        return range(_RANGES["segment_po2"][0], self._segment_po2 + 1)

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
                    _claims(children),
                    segment_po2=limits["segment_po2"],
                    max_cycles=limits["max_cycles"],
                )
            # A run may be smaller than its limit, and the next smaller limit would change nothing.
            limits["segment_po2"] = max(least, max(run.segment_po2s) - halvings)
        if most_po2:
            limits["segment_po2"] = min(limits["segment_po2"], max(least, most_po2))
        prove = functools.partial(
            _called,
            "prove_if_short",
            elf,
            stdin,
            _receipts(children),
            **limits,
        )
        proof, gpu = self._on_gpu(prove)
        if hasattr(proof, "receipt"):  # the module for GPUs has a class of its own
            return _proof(proof, gpu)
        with prover_errors(native.NativeError):
            run = native.measure(
                elf,
                stdin,
                _claims(children),
                seed=seed,
                segment_po2=limits["segment_po2"],
                max_cycles=limits["max_cycles"],
            )
        return LongRun(
            run.journal,
            _cycles(run),
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
                whole(read_elf(guest)), stdin, sink, _claims(children), seed=seed, segment_po2=po2
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
            _called,
            "assemble",
            list(receipts),
            journal,
            _receipts(children),
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
        given = (joined, journal, _receipts(children))
        resolve = functools.partial(_called, "resolve", *given, kind=kind.value, threads=threads)
        receipt, _ = self._on_gpu(resolve)
        return bytes(receipt)

    def _part(self, name: str, *given: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        """Make the receipt of a part of a run with a function of the native module."""
        make = functools.partial(_called, name, *given, threads=threads)
        (receipt, used_s), gpu = self._on_gpu(make)
        return receipt, replace(gpu, seconds=used_s) if gpu is not None and not gpu.error else gpu

    def _limits(self, guest: Guest, kind: ReceiptKind, threads: int) -> dict[str, Any]:
        return {
            "kind": kind.value,
            "segment_po2": self._segment_po2,
            "max_cycles": guest.max_cycles or self._max_cycles,
            "threads": threads,
        }

    def _on_gpu(self, prove: Callable[..., Any]) -> tuple[Any, GpuUse | None]:
        """Call a function of the native module, on a GPU where there is one that works.

        Args:
            prove: takes a native module and, for the one for GPUs, the lock of the GPU.

        Returns:
            What the function returned, and the part that a GPU had, without the seconds.
        """
        seat = self._take_seat() if self.gpus else None
        if seat is None or not seat.usable:
            return prove(native, gpu_lock=None), None
        if seat.worker_died():
            failure = "a worker died while it used the GPU"
        else:
            try:
                with seat.trial():
                    gpu = importlib.import_module(GPU_MODULE)
                    return prove(gpu, gpu_lock=str(seat.lock)), GpuUse(seat.gpu.uuid)
            except (ImportError, ProverError) as error:
                if isinstance(error, ProverError) and error.code != "cuda_failed":
                    raise
                failure = one_line(error)
        seat.set_aside()
        return prove(native, gpu_lock=None), GpuUse(seat.gpu.uuid, error=failure)

    def _take_seat(self) -> Seat:
        with self._seating:
            if self._seat is None:
                self._seat = take_seat(self.gpus, lock_folder(), self._gpu_proofs)
            return self._seat

    def _require_gpus(self) -> None:
        """Refuse a number of GPUs that this machine or this installation does not have."""
        wanted = self._wanted_gpus
        if self.gpus:
            try:
                lock_folder()
            except OSError as error:
                problem = f"the GPUs' locks cannot be kept: {error}"
                remedy = "set XDG_RUNTIME_DIR to a folder of this user, or use prover.gpus=0"
                raise InputError("prover.gpus", wanted, problem, remedy) from None
        if not wanted or not self._proves or len(self.gpus) == wanted:
            return
        if not _has_gpu_module():
            problem = f"{GPU_MODULE} is not installed"
            remedy = f"{_INSTALL}, or use prover.gpus=0"
        else:
            problem = f"this machine shows {len(self.gpus)} NVIDIA GPUs"
            remedy = "use a smaller number, or look at `nvidia-smi` and CUDA_VISIBLE_DEVICES"
        raise InputError("prover.gpus", wanted, problem, remedy)

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        """See :class:`Prover`."""
        with prover_errors(native.NativeError):
            return native.verify(receipt, image_id)

    def describe(self, receipt: bytes) -> ReceiptInfo:
        """See :class:`Prover`."""
        with prover_errors(native.NativeError):
            info = native.describe(receipt)
        return ReceiptInfo(
            info.kind, info.seal_bytes, info.segments, info.assumptions, info.journal
        )

    def on_chain_proof(self, receipt: bytes) -> bytes | None:
        """See :class:`Prover`. Contracts verify Groth16 receipts and no others."""
        from runner.provers.risc0.on_chain import seal_of  # for the L1, not for workers

        try:
            return seal_of(receipt)
        except ValueError as error:
            raise ProverError("malformed_receipt", str(error)) from None


def largest_po2(memory: int, workers: int) -> int:
    """The size of the largest segment, as a power of two, that fits into memory for each worker.

    Args:
        memory: the bytes of memory that there are; 0 if that is not known.
        workers: the number of proofs that are made side by side.
    """
    if not memory:
        return SEGMENT_PO2
    each = memory * MEMORY_SHARE / max(1, workers)
    cycles = (each - PROCESS_MEMORY) / CYCLE_MEMORY
    return next((po2 for po2 in range(SEGMENT_PO2, 15, -1) if 1 << po2 <= cycles), 16)


@contextlib.contextmanager
def _no_receipt() -> Iterator[None]:
    """Tell a guest that verifies what none of its children proves from one that fails."""
    try:
        yield
    except ProverError as error:
        if _NO_ASSUMPTION not in error.message:
            raise
        claim = error.message.partition(_NO_ASSUMPTION)[2].partition(",")[0]
        problem = f"its guest verifies a run that it has no receipt of (claim digest {claim})"
        raise ProverError(NO_RECEIPT, problem, error.printed) from None


def _has_gpu_module() -> bool:
    return importlib.util.find_spec(GPU_MODULE) is not None


def _called(name: str, *args: object, **options: object) -> Any:  # noqa: ANN401  # as it is there
    """Call a function of a native module, which is the last positional argument."""
    *given, module = args
    with prover_errors(module.NativeError):  # type: ignore[attr-defined]  # either of two modules
        return getattr(module, name)(*given, **options)


def _proof(proof: Any, gpu: GpuUse | None) -> Proof:  # noqa: ANN401  # of either module
    run = proof.execution
    if gpu is not None and not gpu.error:
        gpu = replace(gpu, seconds=proof.gpu_s)
    return Proof(run.journal, proof.receipt, _cycles(run), run.log, gpu)


def _claims(children: Sequence[Child]) -> list[tuple[bytes, bytes]]:
    return [(child.image_id, child.journal) for child in children]


def _receipts(children: Sequence[Child]) -> list[bytes]:
    return [child.receipt for child in children if child.receipt is not None]


def _cycles(run: native.Execution) -> Cycles:
    return Cycles(run.user_cycles, run.paging_cycles, run.total_cycles, run.segments)
