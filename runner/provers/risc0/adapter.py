"""The RISC Zero adapter, the only importer of ``runner_risc0``."""

from __future__ import annotations

import platform
import shutil
import subprocess
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.model import Cycles, ReceiptInfo, ReceiptKind, Versions
from runner.provers.guests import read_elf
from runner.provers.native_module import not_installed, prover_errors
from runner.provers.prover import Capability, Diagnosis, Proof, own_settings
from runner.provers.risc0.cost import AGGREGATOR, SEGMENT_PO2, PaddedCycles

try:
    import runner_risc0 as native
except ImportError as error:
    raise not_installed("risc0", error, "run `make setup`") from None

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.model import Child, Guest
    from runner.provers.prover import ProverSpec

__all__ = ["Risc0Prover", "why_unavailable"]

_RANGES = {"segment_po2": (15, 22)}
"""The adapter's own settings. ``segment_po2`` is the size of the largest segment as a power of two,
and the circuit has no other sizes than these. Larger segments need more memory, about 10 GiB at
2^20. Smaller segments cut a run into more pieces."""

_X86_64 = {"x86_64", "amd64"}
_RECURSIVE = (ReceiptKind.SUCCINCT, ReceiptKind.GROTH16)
"""The kinds of receipt that are made by recursion."""


class Risc0Prover:
    """RISC Zero on this machine's CPU, or on its GPU in a CUDA build. See :class:`Prover`."""

    def __init__(self, spec: ProverSpec) -> None:
        self._segment_po2 = own_settings(spec, _RANGES)["segment_po2"] or SEGMENT_PO2

    @classmethod
    def diagnose(cls) -> Diagnosis:
        """See :class:`Prover`."""
        build = native.build_info()
        docker = _docker_engine()
        receipts = [Capability("composite", available=True)]
        for kind in _RECURSIVE:
            why = why_unavailable(kind, build, docker=docker, machine=platform.machine())
            receipts.append(Capability(kind.value, why is None, *(why or ())))
        return Diagnosis("runner_risc0", build, tuple(receipts))

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
            "cuda": str(build["cuda"]).lower(),
            "simd": build["simd"] or "off",
        }
        return Versions("risc0", str(build["risc0_zkvm"]), extra)

    @property
    def aggregation_cost(self) -> PaddedCycles:
        """See :class:`Prover`."""
        return AGGREGATOR

    def require(self, kind: ReceiptKind) -> None:
        """See :class:`Prover`."""
        if kind not in _RECURSIVE:
            return
        docker = kind is ReceiptKind.GROTH16 and _docker_engine()
        why = why_unavailable(kind, self._build, docker=docker, machine=platform.machine())
        if why is not None:
            problem, remedy = why
            less = "composite" if kind is ReceiptKind.SUCCINCT else "succinct or composite"
            raise InputError("prover", kind.value, problem, f"{remedy}, or use prover={less}")

    def image_id(self, elf: bytes) -> bytes:
        """See :class:`Prover`."""
        with prover_errors(native.NativeError):
            return native.image_id(elf)

    def run(
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        threads: int,
    ) -> Proof:
        """See :class:`Prover`."""
        elf = read_elf(guest)
        with prover_errors(native.NativeError):
            if kind is ReceiptKind.EXECUTE:
                claims = [(child.image_id, child.journal) for child in children]
                run = native.execute(elf, stdin, claims, segment_po2=self._segment_po2)
                return Proof(run.journal, None, _cycles(run), run.log)
            proof = native.prove(
                elf,
                stdin,
                [child.receipt for child in children if child.receipt is not None],
                kind=kind.value,
                segment_po2=self._segment_po2,
                threads=threads,
            )
        run = proof.execution
        return Proof(run.journal, proof.receipt, _cycles(run), run.log)

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


def _cycles(run: native.Execution) -> Cycles:
    return Cycles(run.user_cycles, run.paging_cycles, run.total_cycles, run.segments)


def why_unavailable(
    kind: ReceiptKind, build: Mapping[str, Any], *, docker: bool, machine: str
) -> tuple[str, str] | None:
    """Find out why a kind of receipt cannot be made.

    Args:
        kind: The kind of receipt, succinct or groth16.
        build: The facts about the build that the native module gives.
        docker: Whether a Docker engine answers.
        machine: The processor's architecture, as ``platform.machine()`` gives it.

    Returns:
        The reason and the remedy, or None if the receipt can be made.
    """
    if not build["recursion"]:
        return (
            "this build has no recursion programs (they are downloaded when it is built)",
            "run `make setup` with a network, or `RECURSION_SRC_PATH=FILE make setup`",
        )
    if kind is not ReceiptKind.GROTH16 or build["cuda"]:
        return None
    if machine.lower() not in _X86_64:
        return (
            f"its prover needs Docker on x86-64 (this is {machine}) or CUDA",
            "use an x86-64 machine with Docker",
        )
    if not docker:
        return (
            "no Docker engine answers, and this build is without CUDA",
            "start Docker, or run `RUNNER_CUDA=1 make setup`",
        )
    return None


def _docker_engine() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    # `docker info` fails without an engine, while `docker --version` needs only the client.
    command = [docker, "info", "--format", "{{.ServerVersion}}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
