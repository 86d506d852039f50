"""The OpenVM adapter, the only importer of ``runner_openvm``.

An image id is ``SHA-256(executable commitment || VM commitment)``, where each commitment has 32
bytes. Every receipt is succinct: the receipt of a leaf is as large as that of an aggregation. All
programs and all levels of a tree share one VM with one verifying key. The VM comes with the guests
and is pinned in their manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from runner.errors import InputError, ProverError
from runner.files import user_path
from runner.limits import cores, fitting, memory_bytes
from runner.model import Cycles, ReceiptInfo, ReceiptKind, Versions
from runner.provers.guests import default_folder, read_elf, read_manifest
from runner.provers.native_module import not_installed, prover_errors
from runner.provers.openvm.cost import AGGREGATOR, ProofCount
from runner.provers.openvm.memory import (
    DEFAULT,
    LARGEST,
    LEAST_MEMORY,
    SIZE_SETTING,
    proof_bytes,
)
from runner.provers.prover import Capability, Diagnosis, Proof, left_open, own_settings
from runner.untrusted import read_regular, unhex

try:
    import runner_openvm as native
except ImportError as error:
    raise not_installed("openvm", error, "run `make setup-openvm`") from None

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runner.gpus import Gpu
    from runner.model import Child, Guest, Scalar
    from runner.provers.prover import ProverSpec

__all__ = ["OpenvmProver"]

log = logging.getLogger(__name__)

_EXPLAINED = {
    "couldn't parse the next instruction": "the VM has RV32IM, input and output, and the"
    " verification of proofs, and no other extension of OpenVM (docs/provers.md)",
    "the guest ended without a journal": "its public values are not the digest of a journal, as the"
    " runtime in guests/openvm/rt leaves them (docs/your-project.md)",
}
"""What follows for a program that was made for another VM or on another runtime, by the words of
the native module."""

_MOST_VM_BYTES = 256 << 20
_RANGES = {"security_bits": (1, 128), SIZE_SETTING: (DEFAULT, LARGEST)}
"""The adapter's own settings. ``security_bits`` is the lowest proven security that is accepted,
and ``segment_memory`` is in MiB, as in :mod:`runner.provers.openvm.memory`."""


class OpenvmProver:
    """OpenVM on this machine's CPU. See :class:`Prover`."""

    size_setting: ClassVar[str] = SIZE_SETTING

    def __init__(self, spec: ProverSpec) -> None:
        self._kind = spec.kind
        if spec.max_cycles:
            raise InputError(
                "executor.max_cycles", spec.max_cycles, "OpenVM has no such limit", "use null"
            )
        self._settings = left_open(spec).settings
        own = own_settings(left_open(spec), _RANGES)
        self._wanted_bits = own["security_bits"]
        self._segment_memory = own[SIZE_SETTING] or DEFAULT
        self._folder = _vm_folder(spec)
        self._vm = _load_vm(self._folder)

    @classmethod
    def diagnose(cls) -> Diagnosis:
        """See :class:`Prover`."""
        return Diagnosis(
            "runner_openvm", native.build_info(), (Capability("succinct", available=True),)
        )

    @cached_property
    def _build(self) -> dict[str, Any]:
        return native.build_info()

    @property
    def versions(self) -> Versions:
        """See :class:`Prover`. The security parameters are among them."""
        build = self._build
        parameters = json.loads(self._vm["parameters"])
        extra = {
            "runner_openvm": str(build["module_version"]),
            "receipt_encoding": str(build["envelope_version"]),
            "security_bits": f"{self._vm['security_bits']:.1f} proven",
            "program_parameters": _named(parameters["program"]),
            "recursion_parameters": _named(parameters["recursion"]),
            "vm": self._vm["commitment"].hex(),
            "vectors": str(build["vectors"]),
        }
        return Versions("openvm", str(build["openvm"]), extra)

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """See :class:`Prover`. OpenVM proves on the CPU."""
        return ()

    @property
    def workers(self) -> int | None:
        """See :class:`Prover`. As many as there is memory for, where that is fewer than cores."""
        if not self.worker_bytes:
            return None
        return fitting(self.worker_bytes, memory_bytes(), cores())

    @property
    def worker_bytes(self) -> int:
        """See :class:`Prover`."""
        return 0 if self._kind is ReceiptKind.EXECUTE else LEAST_MEMORY

    def sized(self, workers: int) -> tuple[tuple[str, Scalar | None], ...]:  # noqa: ARG002
        """See :class:`runner.provers.segments.Sized`. The size does not depend on the workers."""
        return tuple({**dict(self._settings), SIZE_SETTING: self._segment_memory}.items())

    def proof_bytes(self, cycles: int | None = None) -> int:
        """See :class:`runner.provers.segments.Sized`. The cycles are instructions."""
        if self._kind is ReceiptKind.EXECUTE:
            return 0
        return proof_bytes(self._segment_memory, cycles)

    @property
    def aggregation_cost(self) -> ProofCount:
        """See :class:`Prover`."""
        return AGGREGATOR

    def require(self, kind: ReceiptKind) -> None:
        """See :class:`Prover`. The proving keys are made if this machine has none yet.

        That takes half a minute. It must be done before the workers start, which all need the keys.
        """
        if kind not in (ReceiptKind.EXECUTE, ReceiptKind.SUCCINCT):
            raise InputError(
                "prover.kind", kind.value, "OpenVM has no such receipts", "use prover=openvm"
            )
        wanted, has = self._wanted_bits, self._vm["security_bits"]
        if wanted is not None and has < wanted:
            raise InputError(
                "prover.security_bits",
                wanted,
                f"proofs on {self._folder / 'vm.bin'} have {has:.1f} bits of proven security",
                "lower it, or compile guests for another VM (docs/provers.md)",
            )
        if kind is ReceiptKind.EXECUTE:
            return
        if self._build["vectors"] == "none":
            log.warning(
                "runner_openvm was built without vector instructions: proofs take several times as"
                " long; run `make setup-openvm` on this machine"
            )
        folder = _keys_folder(os.environ)
        try:
            with prover_errors(native.NativeError):
                made = native.make_keys(str(folder))
        except ProverError as error:
            if error.code != "bad_keys":
                raise
            remedy = "give a writable folder as RUNNER_KEYS"
            raise InputError("RUNNER_KEYS", str(folder), error.message, remedy) from None
        if made:
            log.info("proving keys made and kept in %s", folder)

    def image_id(self, elf: bytes) -> bytes:
        """See :class:`Prover`."""
        return _image_id(elf)

    def commitments(self, elf: bytes) -> Mapping[str, bytes]:
        """See :class:`runner.provers.committing.CommittingProver`."""
        with _program_errors():
            return dict(zip(("executable", "vm"), native.commitments(elf), strict=True))

    def run(
        self,
        guest: Guest,
        stdin: bytes,
        children: tuple[Child, ...],
        kind: ReceiptKind,
        threads: int,
    ) -> Proof:
        """See :class:`Prover`. What a guest prints is not kept."""
        elf = read_elf(guest)
        with _program_errors():
            if kind is ReceiptKind.EXECUTE:
                folder = guest.elf_path.parent.parent
                claims = [(*_commitments(folder, c.image_id), c.journal) for c in children]
                run = native.execute(elf, stdin, claims, threads=threads)
                return Proof(run.journal, None, _cycles(run))
            proof = native.prove(
                elf,
                stdin,
                [child.receipt for child in children if child.receipt is not None],
                keys=str(_keys_folder(os.environ)),
                segment_memory=self._segment_memory << 20,
                threads=threads,
            )
        return Proof(proof.execution.journal, proof.receipt, _cycles(proof.execution))

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        """See :class:`Prover`."""
        with prover_errors(native.NativeError):
            return native.verify(receipt, image_id)

    def describe(self, receipt: bytes) -> ReceiptInfo:
        """See :class:`Prover`. A proof does not say how many segments the run had."""
        with prover_errors(native.NativeError):
            info = native.describe(receipt)
        return ReceiptInfo(ReceiptKind.SUCCINCT.value, info.seal_bytes, 1, 0, info.journal)

    def on_chain_proof(self, receipt: bytes) -> bytes | None:  # noqa: ARG002
        """See :class:`Prover`. This adapter makes STARKs, which no contract verifies."""
        return None


def _named(parameters: Mapping[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def _vm_folder(spec: ProverSpec) -> Path:
    """The folder of the VM: that of the guests, or the runner's own if the guests bring no VM."""
    if spec.guests and os.path.lexists(own := Path(spec.guests).absolute() / "vm.bin"):
        return own.parent
    return default_folder("openvm")


def _load_vm(folder: Path) -> dict[str, Any]:
    """Load the VM into the native module, after comparing it with the manifest that pins it."""
    path, remedy = folder / "vm.bin", "restore the file from git"
    try:
        data = read_regular(Path(path.name), _MOST_VM_BYTES, inside=folder)
        pinned = read_manifest(folder)["vm_sha256"]
        if hashlib.sha256(data).hexdigest() != pinned:
            raise ValueError("its SHA-256 is not the one in the manifest")
        return native.load_vm(data)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    except (ValueError, KeyError, TypeError) as error:
        problem = str(error)
    except native.NativeError as error:
        problem = str(error.args[1])
    raise InputError("guests.vm", str(path), problem, remedy)


@lru_cache(maxsize=16)
def _image_id(elf: bytes) -> bytes:
    with _program_errors():
        return native.image_id(*native.commitments(elf))


@contextlib.contextmanager
def _program_errors() -> Iterator[None]:
    """Raise the native module's exceptions as ProverErrors.

    They are explained where a program may be meant for another VM than the runner's.
    """
    try:
        with prover_errors(native.NativeError):
            yield
    except ProverError as error:
        for words, explained in _EXPLAINED.items():
            if words in error.message:
                raise ProverError(error.code, f"{error.message}; {explained}") from None
        raise


@lru_cache(maxsize=64)
def _commitments(folder: Path, image_id: bytes) -> tuple[bytes, bytes]:
    """The executable commitment and the VM commitment of a guest in the manifest.

    In execute mode the aggregator takes its children on trust, and they are named by these two.
    """
    try:
        for entry in read_manifest(folder)["guests"].values():
            if unhex(entry["image_id"], 32) == image_id:
                pair = unhex(entry["executable"], 32), unhex(entry["vm"], 32)
                if native.image_id(*pair) == image_id:
                    return pair
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProverError("bad_argument", f"{folder / 'manifest.json'}: {error}") from None
    problem = (
        f"no guest in {folder} has image id {image_id.hex()}; an aggregation that is only executed"
        " takes no other guests: use strategy=none, or prove it"
    )
    raise ProverError("bad_argument", problem)


def _keys_folder(env: Mapping[str, str]) -> Path:
    """The folder of the proving keys: ``RUNNER_KEYS``, or else one in the user's cache folder."""
    return user_path(env, "RUNNER_KEYS", "cache", "keys").absolute()


def _cycles(run: native.Execution) -> Cycles:
    # OpenVM reports neither paging nor padding, so an instruction counts as one cycle.
    return Cycles(run.instructions, 0, run.instructions, run.segments)
