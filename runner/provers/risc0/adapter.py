"""The RISC Zero adapter. What it does with long runs is in `parts.py`."""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import platform
import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from runner.errors import InputError, ProverError
from runner.gpus import usable
from runner.limits import cores, fitting, memory_bytes
from runner.model import GpuUse, ReceiptInfo, ReceiptKind, Versions
from runner.provers.guests import read_elf
from runner.provers.native_module import prover_errors
from runner.provers.prover import Capability, Diagnosis, Proof, left_open, own_settings
from runner.provers.risc0.calls import (
    called,
    claims_of,
    cycles_of,
    native,
    no_receipt,
    proof_of,
    receipts_of,
)
from runner.provers.risc0.cost import AGGREGATOR, SEGMENT_PO2, PaddedCycles
from runner.provers.risc0.environment import ignored_variables
from runner.provers.risc0.gpu import PROOFS_AT_ONCE, WORKERS_PER_GPU, Seat, lock_folder, take_seat
from runner.provers.risc0.memory import (
    CYCLE_MEMORY,
    LEAST_MEMORY,
    PROCESS_MEMORY,
    largest_po2,
)
from runner.provers.risc0.parts import LEAST_PO2, PartsOfRuns
from runner.provers.risc0.program import whole
from runner.provers.risc0.recursive import (
    GPU_MODULE,
    RECURSIVE,
    docker_engine,
    gpu_wraps,
    why_unavailable,
)
from runner.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.gpus import Gpu
    from runner.model import Child, Guest, Scalar
    from runner.provers.prover import ProverSpec

__all__ = ["Risc0Prover"]

log = logging.getLogger(__name__)

_RANGES = {"segment_po2": (LEAST_PO2, 22), "gpus": (0, 64), "gpu_proofs": (1, 8)}
"""The adapter's own settings. ``segment_po2`` is the size of the largest segment as a power of two,
from the smallest that can be proved to the largest of the circuit. Larger segments need more
memory, about 8 GiB at 2^20. Smaller segments cut a run into more pieces. ``gpus`` is the number of
GPUs to prove on, and ``gpu_proofs`` the number of proofs that each makes at once."""

_INSTALL = "run `RUNNER_CUDA=1 make setup`"


class Risc0Prover(PartsOfRuns):
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
            with no_receipt(), prover_errors(native.NativeError):
                run = native.execute(
                    elf,
                    stdin,
                    claims_of(children),
                    segment_po2=self._segment_po2,
                    max_cycles=guest.max_cycles or self._max_cycles,
                )
            return Proof(run.journal, None, cycles_of(run), run.log)
        prove = functools.partial(
            called,
            "prove",
            elf,
            stdin,
            receipts_of(children),
            **self._limits(guest, kind, threads),
        )
        proof, gpu = self._on_gpu(prove)
        return proof_of(proof, gpu)

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

    def on_chainproof_of(self, receipt: bytes) -> bytes | None:
        """See :class:`Prover`. Contracts verify Groth16 receipts and no others."""
        from runner.provers.risc0.on_chain import seal_of  # for the L1, not for workers

        try:
            return seal_of(receipt)
        except ValueError as error:
            raise ProverError("malformed_receipt", str(error)) from None


def _has_gpu_module() -> bool:
    return importlib.util.find_spec(GPU_MODULE) is not None
