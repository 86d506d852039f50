"""OpenVM, as functions from bytes to bytes that release the GIL while the zkVM works.

All programs run on one VM, which has one verifying key, so :func:`load_vm` must be called first. A
commitment is 32 bytes, and so is an image id, which is ``SHA-256(executable commitment || VM
commitment)``. Receipts are opaque bytes in a versioned, length-checked encoding.
"""

from typing import Any, final

__all__ = [
    "Execution",
    "NativeError",
    "Proof",
    "ReceiptInfo",
    "build_info",
    "commitments",
    "describe",
    "execute",
    "image_id",
    "load_vm",
    "make_keys",
    "make_vm",
    "prove",
    "verify",
]

class NativeError(Exception):
    """The one exception of this module. Its ``args`` are ``(code, message)``.

    The codes are stable: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``malformed_receipt``,
    ``verification_failed``, ``unavailable``, ``prover_failed``, ``bad_keys``, ``internal``.
    """

@final
class Execution:
    """One run of a guest."""

    @property
    def journal(self) -> bytes: ...
    @property
    def instructions(self) -> int: ...
    @property
    def segments(self) -> int:
        """How many parts the run is proved in, or 1 where nothing is proved."""

@final
class Proof:
    """A receipt and the execution it proves."""

    @property
    def receipt(self) -> bytes: ...
    @property
    def execution(self) -> Execution: ...

@final
class ReceiptInfo:
    """What a receipt says of itself. Nothing of it is verified."""

    @property
    def seal_bytes(self) -> int: ...
    @property
    def journal(self) -> bytes: ...

def build_info() -> dict[str, Any]:
    """What this build can do.

    The keys are ``module_version`` and ``openvm`` (str), ``vectors`` (``avx512``, ``avx2``,
    ``neon`` or ``none``) and ``envelope_version`` (int).
    """

def load_vm(definition: bytes, /) -> dict[str, Any]:
    """Make a definition this process's VM. A process has one VM, so another one is refused.

    The definition is trusted, because it contains the verifying key. Returns ``commitment`` (32
    bytes), ``parameters`` (JSON text, as :func:`make_vm` takes it) and ``security_bits`` (float:
    the bits of proven security of the weakest circuit).

    Raises:
        NativeError: ``bad_argument``.
    """

def make_vm(parameters: str, /) -> bytes:
    """Derive a VM's definition from fresh keys, whatever is loaded now. This takes 15 seconds.

    ``parameters`` is the text of a ``vm.json`` (guests/openvm/vm.json).

    Raises:
        NativeError: ``bad_argument`` if they are not parameters, or if a circuit has fewer bits of
            proven security than they ask for; ``bad_keys``.
    """

def commitments(elf: bytes, /) -> tuple[bytes, bytes]:
    """Compute the executable commitment of a program, and return it with the VM's commitment.

    Raises:
        NativeError: ``bad_elf``, ``unavailable``.
    """

def image_id(executable: bytes, vm: bytes, /) -> bytes:
    """Join two commitments to an image id.

    Raises:
        NativeError: ``bad_argument``.
    """

def execute(
    elf: bytes,
    stdin: bytes,
    claims: list[tuple[bytes, bytes, bytes]] = ...,
    *,
    threads: int = 0,
) -> Execution:
    """Run a guest and prove nothing.

    ``claims`` are ``(executable commitment, VM commitment, journal)``, which are taken on trust.

    Raises:
        NativeError: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``unavailable``.
    """

def prove(
    elf: bytes,
    stdin: bytes,
    receipts: list[bytes] = ...,
    *,
    keys: str,
    segment_memory: int,
    threads: int = 0,
) -> Proof:
    """Run a guest and prove the run. The guest verifies the proofs in ``receipts``.

    The run is cut where the library estimates that a segment takes more than ``segment_memory``
    bytes. The estimate is that of a GPU's prover, and has a floor of 6 GiB.

    The proving keys are read from the folder ``keys`` once a process, and made if they are not
    there. With 0 ``threads``, the process's own pool is used, which has one thread a core.

    Raises:
        NativeError: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``malformed_receipt``,
            ``verification_failed``, ``unavailable``, ``bad_keys``, ``prover_failed``.
    """

def verify(receipt: bytes, image_id: bytes, /) -> bytes:
    """Verify that a receipt proves a successful run of ``image_id``, and return its journal.

    Raises:
        NativeError: ``malformed_receipt``, ``verification_failed``, ``bad_argument``,
            ``unavailable``.
    """

def describe(receipt: bytes, /) -> ReceiptInfo:
    """Decode a receipt without verifying it.

    Raises:
        NativeError: ``malformed_receipt``.
    """

def make_keys(folder: str, /) -> bool:
    """Make the proving keys in ``folder`` unless they are there and whole.

    Returns whether they were made.

    Raises:
        NativeError: ``bad_keys``, ``unavailable``.
    """
