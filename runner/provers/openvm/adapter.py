"""The OpenVM adapter, the only importer of ``runner_openvm``.

An image id is ``SHA-256(executable commitment || VM commitment)``, where each commitment has 32
bytes. Every receipt is succinct: that of a leaf and that of an aggregate have the same size. There
is one VM, with one verifying key for all programs and all levels of a tree. It comes with the
guests and is pinned in their manifest.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.errors import InputError, ProverError
from runner.model import Cycles, ReceiptInfo, ReceiptKind, Versions
from runner.provers.guests import default_folder, read_elf
from runner.provers.openvm.cost import AGGREGATOR, ProofCount
from runner.provers.prover import Ability, Diagnosis, Proof, not_installed, own_settings

try:
    import runner_openvm as native
except ImportError as error:
    raise not_installed("openvm", error, "run `make setup-openvm`") from None

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.model import Child, Guest
    from runner.provers.prover import ProverSpec

__all__ = ["OpenvmProver"]

log = logging.getLogger(__name__)

_RANGES = {"security_bits": (1, 128)}
"""The least security that is accepted, in bits of proven security."""


class OpenvmProver:
    """OpenVM on this machine's CPU. See :class:`Prover`."""

    def __init__(self, spec: ProverSpec) -> None:
        self._wanted_bits = own_settings(spec, _RANGES)["security_bits"]
        self._folder = _vm_folder(spec)
        self._vm = _load_vm(self._folder)

    @classmethod
    def diagnose(cls) -> Diagnosis:
        """See :class:`Prover`."""
        return Diagnosis(
            "runner_openvm", native.build_info(), (Ability("succinct", available=True),)
        )

    @cached_property
    def _build(self) -> dict[str, Any]:
        return native.build_info()

    @property
    def versions(self) -> Versions:
        """See :class:`Prover`; names the security parameters too."""
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
    def aggregation_cost(self) -> ProofCount:
        """See :class:`Prover`."""
        return AGGREGATOR

    def require(self, kind: ReceiptKind) -> None:
        """See :class:`Prover`. It also makes the proving keys where there are none yet.

        They take half a minute, once a machine, and must be there before workers start.
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
            if native.make_keys(str(folder)):
                log.info("proving keys made and kept in %s", folder)
        except native.NativeError as error:
            code, message = error.args
            if code != "bad_keys":
                raise _prover_error(error) from None
            remedy = "give a writable folder as RUNNER_KEYS"
            raise InputError("RUNNER_KEYS", str(folder), message, remedy) from None

    def image_id(self, elf: bytes) -> bytes:
        """See :class:`Prover`."""
        return _image_id(elf)

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
        try:
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
                threads=threads,
            )
        except native.NativeError as error:
            raise _prover_error(error) from None
        return Proof(proof.execution.journal, proof.receipt, _cycles(proof.execution))

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        """See :class:`Prover`."""
        try:
            return native.verify(receipt, image_id)
        except native.NativeError as error:
            raise _prover_error(error) from None

    def describe(self, receipt: bytes) -> ReceiptInfo:
        """See :class:`Prover`. A proof tells nothing of its segments."""
        try:
            info = native.describe(receipt)
        except native.NativeError as error:
            raise _prover_error(error) from None
        return ReceiptInfo(ReceiptKind.SUCCINCT.value, info.seal_bytes, 1, 0, info.journal)


def _named(parameters: Mapping[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def _vm_folder(spec: ProverSpec) -> Path:
    """Of the guests' VM: theirs, or the one that comes with the runner where they have none."""
    if spec.guests and (own := Path(spec.guests).absolute() / "vm.bin").is_file():
        return own.parent
    return default_folder("openvm")


def _load_vm(folder: Path) -> dict[str, Any]:
    """Give the extension its VM, once it is found to be the one the manifest pins."""
    path, remedy = folder / "vm.bin", "restore the file from git"
    try:
        data = path.read_bytes()
        pinned = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["vm_sha256"]
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
    try:
        return native.image_id(*native.commitments(elf))
    except native.NativeError as error:
        raise _prover_error(error) from None


@lru_cache(maxsize=64)
def _commitments(folder: Path, image_id: bytes) -> tuple[bytes, bytes]:
    """Of a guest in the manifest: a run without proofs takes children on trust, but by these."""
    try:
        guests = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["guests"]
        for entry in guests.values():
            if bytes.fromhex(entry["image_id"]) == image_id:
                pair = bytes.fromhex(entry["executable"]), bytes.fromhex(entry["vm"])
                if native.image_id(*pair) == image_id:
                    return pair
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProverError("bad_argument", f"{folder / 'manifest.json'}: {error}") from None
    raise ProverError("bad_argument", f"no guest in {folder} has image id {image_id.hex()}")


def _keys_folder(env: Mapping[str, str]) -> Path:
    """``RUNNER_KEYS``, else a folder in the user's cache."""
    if chosen := env.get("RUNNER_KEYS"):
        return Path(chosen).expanduser().absolute()
    home = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "zk-batch-runner" / "keys"


def _cycles(run: native.Execution) -> Cycles:
    # There is no paging and no padding to tell apart: an instruction is a cycle.
    return Cycles(run.instructions, 0, run.instructions, run.segments)


def _prover_error(error: native.NativeError) -> ProverError:
    code, message = error.args
    return ProverError(code, message)
