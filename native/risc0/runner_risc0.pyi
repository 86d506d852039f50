"""RISC Zero behind bytes. Every call releases the GIL while the zkVM works.

Image ids are 32 bytes. Program binaries are user ELF and kernel combined. Receipts are opaque
bytes in a versioned, length-checked encoding. Dev mode is off whatever the environment says.
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
    """Every failure of this module; ``args`` is ``(code, message)``.

    Codes are stable: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``malformed_receipt``,
    ``verification_failed``, ``unavailable``, ``prover_failed``, ``cuda_failed``, ``internal``.
    """

@final
class Execution:
    """One run of a guest, cycles as the executor counts them (user + paging + reserved = total)."""

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
        """What the guest printed, at most 64 KiB of it."""

@final
class GuestProfile:
    """One run of a guest and what each of its instructions cost.

    User cycles add up to the execution's. Paging cycles fall short of its by ten a segment, which
    go to the state that a segment begins and ends with and belong to no instruction.
    """

    @property
    def execution(self) -> Execution: ...
    @property
    def calls(self) -> list[tuple[int, int]]:
        """Call paths, as a tree: ``calls[i]`` is the path a call was made on and its address.

        Path 0 is the empty one, every other's parent comes before it. A call into the kernel (an
        ``ecall``) is a call like others.
        """
    @property
    def costs(self) -> list[tuple[int, int, int, int, int]]:
        """``(path, address, user, page_in, page_out)``, cycles of an instruction on a call path."""

@final
class Proof:
    """A receipt and the execution it proves."""

    @property
    def receipt(self) -> bytes: ...
    @property
    def execution(self) -> Execution: ...

@final
class ReceiptInfo:
    """What a receipt says of itself; nothing of it is verified."""

    @property
    def kind(self) -> str:
        """``composite``, ``succinct`` or ``groth16``."""
    @property
    def seal_bytes(self) -> int:
        """Of all seals inside, those of carried assumptions included."""
    @property
    def segments(self) -> int: ...
    @property
    def assumptions(self) -> int: ...
    @property
    def journal(self) -> bytes: ...

def build_info() -> dict[str, Any]:
    """What this build can do.

    Keys: ``module_version``, ``risc0_zkvm`` (str), ``receipt_kinds`` (list of str),
    ``recursion``, ``cuda`` (bool), ``envelope_version`` (int), ``simd`` (``avx512``, ``avx2`` or
    None: the vector instructions that proofs use on this CPU; the environment variable
    ``RUNNER_SIMD``, read once, names one of them, or ``off``).
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
    """Run a guest and prove nothing; ``assumptions`` are claims ``(image_id, journal)`` on trust.

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
) -> Proof:
    """Run a guest and prove it; ``receipts`` become its assumptions.

    The caller has verified them: the executor matches assumptions by claim alone. ``threads`` 0
    uses the process's own pool, one thread a core.

    Raises:
        NativeError: ``bad_argument``, ``bad_elf``, ``guest_failed``, ``malformed_receipt``,
            ``unavailable``, ``prover_failed``, ``cuda_failed`` (a CUDA build's ``prover_failed``).
    """

def verify(receipt: bytes, image_id: bytes, /) -> bytes:
    """Verify that a receipt proves a successful run of ``image_id``; returns its journal.

    Raises:
        NativeError: ``malformed_receipt``, ``verification_failed``, ``bad_argument``.
    """

def describe(receipt: bytes, /) -> ReceiptInfo:
    """Decode a receipt without verifying it.

    Raises:
        NativeError: ``malformed_receipt``.
    """
