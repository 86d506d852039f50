"""RISC Zero, as functions from bytes to bytes that release the GIL while the zkVM works.

An image id is 32 bytes. A program binary is the user's ELF and the kernel's, combined. Receipts are
opaque bytes in a versioned, length-checked encoding. Dev mode is off whatever the environment says.
"""

from collections.abc import Callable
from typing import Any, final

__all__ = [
    "Execution",
    "GuestProfile",
    "NativeError",
    "Proof",
    "ReceiptInfo",
    "assemble",
    "build_info",
    "check_segment",
    "cut",
    "describe",
    "execute",
    "image_id",
    "join",
    "lift",
    "measure",
    "profile",
    "prove",
    "prove_if_short",
    "prove_segment",
    "resolve",
    "verify",
    "verify_joined",
    "verify_lifted",
    "verify_segment",
]

class NativeError(Exception):
    """The one exception of this module. Its ``args`` are ``(code, message)``.

    For a guest that failed after it had printed something, a third one is what it had printed, of
    which at most 64 KiB are kept. A guest's message is cut to 2000 characters. The codes are
    stable: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``malformed_receipt``,
    ``verification_failed``, ``unavailable``, ``prover_failed``, ``cuda_failed``, ``unprovable``,
    ``bad_segment``, ``internal``.
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
    def segment_po2s(self) -> list[int]:
        """The size of each segment, as a power of two."""
    @property
    def segment_po2(self) -> int:
        """The limit that the run was cut with, as a power of two.

        It is another one than was asked for where the last segment would have been smaller than
        2^14, for which there is no proof.
        """
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
    max_cycles: int = 0,
) -> Execution:
    """Run a guest and prove nothing.

    The ``assumptions`` are claims ``(image_id, journal)``, which are taken on trust. A run of more
    than ``max_cycles`` user cycles fails, unless that is 0. Ctrl-C ends the run with its segment.

    Raises:
        NativeError: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``unprovable``.
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
    max_cycles: int = 0,
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
            ``unavailable``, ``unprovable``, ``prover_failed``, or ``cuda_failed`` in its place on a
            GPU.
    """

def prove_if_short(
    elf: bytes,
    stdin: bytes,
    receipts: list[bytes] = ...,
    *,
    most_segments: int = 1,
    kind: str = "composite",
    segment_po2: int = 20,
    max_cycles: int = 0,
    threads: int = 0,
    gpu_lock: str | None = None,
) -> Proof | Execution:
    """Run a guest, and prove the run as :func:`prove` does unless it has too many segments.

    Returns:
        The proof, or the execution alone if the run has more than ``most_segments``, and each can
        be proved on its own.

    Raises:
        NativeError: As :func:`prove`.
    """

def measure(
    elf: bytes,
    stdin: bytes,
    assumptions: list[tuple[bytes, bytes]] = ...,
    *,
    seed: bytes,
    segment_po2: int = 20,
    max_cycles: int = 0,
) -> Execution:
    """Run a guest as :func:`execute` does, with random numbers that come from ``seed``.

    Every guest draws some when it starts, to keep its memory secret. The segments of two runs fit
    together only if both draw the same ones. Who knows the seed can tell from a receipt whether a
    guess at the guest's memory is right.

    Raises:
        NativeError: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``unprovable``.
    """

def cut(
    elf: bytes,
    stdin: bytes,
    sink: Callable[[int, bytes], object],
    assumptions: list[tuple[bytes, bytes]] = ...,
    *,
    seed: bytes,
    segment_po2: int = 20,
) -> Execution:
    """Run a guest as :func:`measure` did, and give each segment to ``sink`` as it is cut.

    The ``sink`` gets the segment's position and its bytes. It is called from another thread, in
    order. While it does not return, the executor gets no more than five segments ahead. What it
    raises ends the run. The limit ``segment_po2`` must be that of the measured execution, because
    no other one is tried. With the same seed, a run is cut into the same bytes.

    Raises:
        NativeError: ``bad_argument``, ``bad_elf``, ``guest_failed``.
    """

def prove_segment(
    segment: bytes, /, *, threads: int = 0, gpu_lock: str | None = None
) -> tuple[bytes, float]:
    """Prove one segment.

    Returns:
        Its receipt, and the seconds for which the GPU's lock was held. The other arguments are
        those of :func:`prove`.

    Raises:
        NativeError: ``malformed_receipt`` for a segment that is none, ``unprovable``,
            ``prover_failed``, or ``cuda_failed`` in its place on a GPU.
    """

def check_segment(segment: bytes, /) -> None:
    """Replay a segment as its proof would, which takes milliseconds and proves nothing.

    Raises:
        NativeError: ``malformed_receipt``, ``unprovable``.
    """

def verify_segment(receipt: bytes, segment: bytes, /) -> None:
    """Verify that a receipt proves the segment.

    Raises:
        NativeError: ``malformed_receipt``, ``verification_failed``.
    """

def assemble(
    segments: list[bytes],
    journal: bytes,
    receipts: list[bytes] = ...,
    *,
    kind: str = "composite",
    threads: int = 0,
    gpu_lock: str | None = None,
) -> bytes:
    """Make the receipt of a run from those of its ``segments``, in order, and of its assumptions.

    Each segment's receipt is verified. The caller verifies the receipt that is returned, which
    shows whether they fit together.

    Raises:
        NativeError: ``bad_segment`` with a message that starts with the number of the segment whose
            receipt does not verify, ``malformed_receipt``, ``verification_failed``,
            ``unavailable``, ``prover_failed``, or ``cuda_failed`` in its place on a GPU.
    """

def lift(
    receipt: bytes, /, *, threads: int = 0, gpu_lock: str | None = None
) -> tuple[bytes, float]:
    """Make the receipt of a segment one of constant size, which is verified.

    Returns:
        The lifted receipt, and the seconds for which the GPU's lock was held.

    Raises:
        NativeError: ``bad_segment`` with a message that starts with ``0:`` if the receipt does not
            verify, ``unavailable`` in a build without the recursion programs, ``prover_failed``, or
            ``cuda_failed`` in its place on a GPU.
    """

def join(
    left: bytes, right: bytes, /, *, threads: int = 0, gpu_lock: str | None = None
) -> tuple[bytes, float]:
    """Make one receipt, which is verified, of two that were lifted or joined.

    Returns:
        The joined receipt, and the seconds for which the GPU's lock was held.

    Raises:
        NativeError: ``bad_segment`` with a message that starts with ``0:`` or ``1:`` if one of them
            does not verify, ``verification_failed`` if they do not follow each other, and
            otherwise as :func:`lift`.
    """

def verify_lifted(lifted: bytes, receipt: bytes, /) -> None:
    """Verify that a receipt proves what that of a segment proves. The latter is not verified.

    Raises:
        NativeError: ``malformed_receipt``, ``verification_failed``.
    """

def verify_joined(joined: bytes, left: bytes, right: bytes, /) -> None:
    """Verify that a receipt proves what two others prove together. These are not verified.

    Raises:
        NativeError: ``malformed_receipt``, ``verification_failed``.
    """

def resolve(
    joined: bytes,
    journal: bytes,
    receipts: list[bytes] = ...,
    *,
    kind: str = "succinct",
    threads: int = 0,
    gpu_lock: str | None = None,
) -> bytes:
    """Make the receipt of a run from the joined one of all segments, and of its assumptions.

    The caller verifies the receipt that is returned.

    Raises:
        NativeError: ``bad_segment`` with a message that starts with ``0:`` if the joined receipt
            does not verify, ``malformed_receipt``, ``verification_failed`` if an assumption has no
            receipt, ``bad_argument``, ``unavailable``, ``prover_failed``, or ``cuda_failed`` in its
            place on a GPU.
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
