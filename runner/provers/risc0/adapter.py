"""The RISC Zero adapter; the only importer of the native extension."""

from __future__ import annotations

import shutil
import subprocess
from functools import cached_property
from typing import TYPE_CHECKING, Any

import runner_risc0 as native

from runner.errors import InputError, ProverError
from runner.model import Cycles, ReceiptInfo, ReceiptKind, Versions
from runner.provers.guests import read_elf
from runner.provers.prover import Proof

if TYPE_CHECKING:
    from runner.model import Child, Guest
    from runner.provers.prover import ProverSpec

__all__ = ["SEGMENT_PO2", "Risc0Prover"]

SEGMENT_PO2 = 20
"""RISC Zero's own choice."""


class Risc0Prover:
    """RISC Zero on this machine's CPU, or its GPU in a CUDA build. See :class:`Prover`."""

    def __init__(self, spec: ProverSpec) -> None:
        self._spec = spec
        self._segment_po2 = spec.segment_po2 or SEGMENT_PO2

    @cached_property
    def _build(self) -> dict[str, Any]:
        return native.build_info()

    @property
    def versions(self) -> Versions:
        """See :class:`runner.provers.prover.Prover`."""
        build = self._build
        extra = {
            "runner_risc0": str(build["module_version"]),
            "receipt_encoding": str(build["envelope_version"]),
            "recursion_programs": str(build["recursion"]).lower(),
            "cuda": str(build["cuda"]).lower(),
            "simd": build["simd"] or "off",
        }
        return Versions("risc0", str(build["risc0_zkvm"]), extra)

    def require(self, kind: ReceiptKind) -> None:
        """See :class:`runner.provers.prover.Prover`."""
        if self._spec.security_bits is not None:
            raise InputError(
                "prover.security_bits",
                self._spec.security_bits,
                "RISC Zero's circuits leave no choice of it",
                "leave it out",
            )
        if kind in (ReceiptKind.EXECUTE, ReceiptKind.COMPOSITE):
            return
        if not self._build["recursion"]:
            raise InputError(
                "prover",
                kind.value,
                "this build has no recursion programs (they are downloaded when it is built)",
                "run `make setup` with network access or RECURSION_SRC_PATH=recursion_zkr.zip,"
                " or use prover=composite",
            )
        if kind is ReceiptKind.GROTH16 and not self._build["cuda"] and not _docker_engine():
            raise InputError(
                "prover",
                kind.value,
                "needs a Docker engine on x86-64, or a CUDA build",
                "start Docker, build with RUNNER_CUDA=1, or use prover=succinct",
            )

    def image_id(self, elf: bytes) -> bytes:
        """See :class:`runner.provers.prover.Prover`."""
        try:
            return native.image_id(elf)
        except native.NativeError as error:
            raise _prover_error(error) from None

    def run(
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        threads: int,
    ) -> Proof:
        """See :class:`runner.provers.prover.Prover`."""
        elf = read_elf(guest)
        try:
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
        except native.NativeError as error:
            raise _prover_error(error) from None
        run = proof.execution
        return Proof(run.journal, proof.receipt, _cycles(run), run.log)

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        """See :class:`runner.provers.prover.Prover`."""
        try:
            return native.verify(receipt, image_id)
        except native.NativeError as error:
            raise _prover_error(error) from None

    def describe(self, receipt: bytes) -> ReceiptInfo:
        """See :class:`runner.provers.prover.Prover`."""
        try:
            info = native.describe(receipt)
        except native.NativeError as error:
            raise _prover_error(error) from None
        return ReceiptInfo(
            info.kind, info.seal_bytes, info.segments, info.assumptions, info.journal
        )


def _cycles(run: native.Execution) -> Cycles:
    return Cycles(run.user_cycles, run.paging_cycles, run.total_cycles, run.segments)


def _prover_error(error: native.NativeError) -> ProverError:
    code, message = error.args
    return ProverError(code, message)


def _docker_engine() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    # The client answers without an engine; `docker info` does not.
    command = [docker, "info", "--format", "{{.ServerVersion}}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
