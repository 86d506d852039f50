"""RISC Zero, as functions from bytes to bytes that release the GIL while the zkVM works.

An image id is 32 bytes. A program binary is the user's ELF and the kernel's, combined. Receipts are
opaque bytes in a versioned, length-checked encoding. Dev mode is off whatever the environment says.
"""

from typing import Any, final

__all__ = [
    "Execution",
    "GuestProfile",
    "NativeError",
    "Proof",
    "ReceiptInfo",
    "build_info",
    "describe",
    "execute",
    "image_id",
    "profile",
    "prove",
    "verify",
]

class NativeError(Exception):
    """The one exception of this module. Its ``args`` are ``(code, message)``.

    For a guest that failed after it had printed something, a third one is what it had printed, of
    which at most 64 KiB are kept. A guest's message is cut to 2000 characters. The codes are
    stable: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``malformed_receipt``,
    ``verification_failed``, ``unavailable``, ``prover_failed``, ``cuda_failed``, ``internal``.
    """

@final
class Execution:
    """One run of a guest. The cycles are the executor's: user + paging + reserved = total."""

    @property
    def journal(self) -> bytes: ...
    @property
    def user_cycles(self) -> int: ...
    @property
    def paging_cycles(self) -> int: ...
    @property
    def reserved_cycles(self) -> int: ...
    @property
    def total_cycles(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def log(self) -> str:
        """What the guest printed, of which at most 64 KiB are kept."""

@final
class GuestProfile:
    """One run of a guest and what each of its instructions cost.

    The user cycles add up to the execution's. The paging cycles add up to ten less for each
    segment: those ten load and store the state that a segment begins and ends with, and they belong
    to no instruction.
    """

    @property
    def execution(self) -> Execution: ...
    @property
    def calls(self) -> list[tuple[int, int]]:
        """The call paths, as a tree: ``calls[i]`` is the path of a call's caller and its address.

        Path 0 is the empty path, and the parent of every other path comes before it. A call into
        the kernel (an ``ecall``) is a call like any other.
        """
    @property
    def costs(self) -> list[tuple[int, int, int, int, int]]:
        """``(path, address, user, page_in, page_out)``: an instruction's cycles on a call path."""

@final
class Proof:
    """A receipt and the execution it proves."""

    @property
    def receipt(self) -> bytes: ...
    @property
    def execution(self) -> Execution: ...
    @property
    def gpu_s(self) -> float:
        """The seconds for which the GPU's lock was held; 0 without one."""

@final
class ReceiptInfo:
    """What a receipt says of itself. Nothing of it is verified."""

    @property
    def kind(self) -> str:
        """``composite``, ``succinct`` or ``groth16``."""
    @property
    def seal_bytes(self) -> int:
        """The size of all seals in the receipt, including those of the assumptions it carries."""
    @property
    def segments(self) -> int: ...
    @property
    def assumptions(self) -> int: ...
    @property
    def journal(self) -> bytes: ...

def build_info() -> dict[str, Any]:
    """What this build can do.

    The keys are ``module_version`` and ``risc0_zkvm`` (str), ``receipt_kinds`` (list of str),
    ``recursion``, ``cuda`` and ``all_kernels`` (bool: the recursion programs are there, this is
    ``runner_risc0_cuda``, and it proves keccak and Groth16 on the GPU too), ``envelope_version``
    (int) and ``simd``: the vector
    instructions that proofs use on this CPU, which are ``avx512``, ``avx2`` or None. The
    environment variable ``RUNNER_SIMD``, which is read once, chooses one of them, or ``off``.
    """

def image_id(elf: bytes, /) -> bytes:
    """Compute the image id of a program binary.

    Raises:
        NativeError: ``bad_elf``.
    """

def execute(
    elf: bytes,
    stdin: bytes,
    assumptions: list[tuple[bytes, bytes]] = ...,
    *,
    segment_po2: int = 20,
) -> Execution:
    """Run a guest and prove nothing.

    The ``assumptions`` are claims ``(image_id, journal)``, which are taken on trust.

    Raises:
        NativeError: ``bad_argument``, ``bad_elf``, ``guest_failed``.
    """

def profile(
    elf: bytes,
    stdin: bytes,
    assumptions: list[tuple[bytes, bytes]] = ...,
    *,
    segment_po2: int = 20,
) -> GuestProfile:
    """Run a guest as :func:`execute` does, and count where its cycles go.

    Raises:
        NativeError: ``bad_argument``, ``bad_elf``, ``guest_failed``.
    """

def prove(
    elf: bytes,
    stdin: bytes,
    receipts: list[bytes] = ...,
    *,
    kind: str = "composite",
    segment_po2: int = 20,
    threads: int = 0,
    gpu_lock: str | None = None,
) -> Proof:
    """Run a guest and prove the run. The ``receipts`` become the guest's assumptions.

    The caller must have verified the receipts, because the executor matches assumptions by claim
    alone. With 0 ``threads``, the process's own pool is used, which has one thread a core.

    ``runner_risc0_cuda``, which is this module compiled for GPUs, proves on the first GPU that the
    process sees. It needs a ``gpu_lock``: the file that is locked while the GPU works, so that
    processes share it. This module takes one too, and shares the CPU in the same way.

    Raises:
        NativeError: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``malformed_receipt``,
            ``unavailable``, ``prover_failed``, or ``cuda_failed`` in its place on a GPU.
    """

def verify(receipt: bytes, image_id: bytes, /) -> bytes:
    """Verify that a receipt proves a successful run of ``image_id``, and return its journal.

    Raises:
        NativeError: ``malformed_receipt``, ``verification_failed``, ``bad_argument``.
    """

def describe(receipt: bytes, /) -> ReceiptInfo:
    """Decode a receipt without verifying it.

    Raises:
        NativeError: ``malformed_receipt``.
    """
