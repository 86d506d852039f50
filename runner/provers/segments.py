"""What a zkVM offers beyond the protocol of all whose segments are proved one by one.

An adapter that has these methods lets several workers prove one long run. The others prove each run
as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runner.model import Child, GpuUse, Guest, LongRun, ReceiptKind, Scalar
    from runner.provers.prover import Proof

__all__ = ["JoiningProver", "SegmentProver", "Sized"]


@runtime_checkable
class Sized(Protocol):
    """A prover that chooses the size of its segments by the memory that there is.

    Attributes:
        size_setting: the name of the setting that decides how large a segment may be.
    """

    size_setting: ClassVar[str]

    def sized(self, workers: int) -> tuple[tuple[str, Scalar | None], ...]:
        """The prover's settings with what the user has left open.

        Args:
            workers: the number of proofs that are made side by side on this machine.
        """
        ...

    def proof_bytes(self, cycles: int | None = None) -> int:
        """The bytes of memory that the proof of one segment takes, by the adapter's own model.

        It is 0 where the memory of this machine does not matter, as for proofs on GPUs.

        Args:
            cycles: the padded cycles of the segment, or None for the largest that the settings
                allow.
        """
        ...


@runtime_checkable
class SegmentProver(Protocol):
    """A prover whose segments can be proved one by one. Any thread may call it.

    Every method raises ProverError as :meth:`runner.provers.prover.Prover.run` does.
    """

    @property
    def segment_sizes(self) -> range:
        """The sizes that the largest segment of a run may have, as powers of two of cycles.

        They go from the smallest that can be proved to the one that the settings ask for.
        """
        ...

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
        """Run the guest, and prove the run if it has one segment.

        The largest segment is half as large as it would be, ``halvings`` times over, and no larger
        than 2 to the ``most_po2``, if this is not 0, but not smaller than the smallest of
        :attr:`segment_sizes`.

        A run that cannot be proved segment by segment is proved as a whole. Otherwise, what is
        returned for a run of several segments is that of a run with random numbers from ``seed``.
        """
        ...

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
        """Run the guest again, and give each segment to ``sink`` with its position.

        With the same seed it is cut into the same bytes. While the sink does not return, the run
        gets no more than a few segments ahead, and what the sink raises ends the run and is raised.
        The receipts of the children are not used.
        """
        ...

    def prove_segment(self, segment: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        """Prove a segment. The receipt comes with the part that a GPU had in it."""
        ...

    def verify_segment(self, receipt: bytes, segment: bytes) -> None:
        """Verify that a receipt proves the segment."""
        ...

    def assemble(  # what a receipt is made of
        self,
        receipts: Sequence[bytes],
        children: tuple[Child, ...],
        journal: bytes,
        kind: ReceiptKind,
        threads: int,
    ) -> bytes:
        """Make the receipt of a run from those of its segments.

        Each of them is verified. The caller verifies the receipt of the run.

        Raises:
            ProverError: the code ``bad_segment`` means that the receipt of one segment does not
                verify. The message starts with its position and a colon.
        """
        ...


@runtime_checkable
class JoiningProver(Protocol):
    """A :class:`SegmentProver` that can make the receipts of a run's segments one of constant size.

    It says with :attr:`runner.model.LongRun.joins` which runs it does so for. A lifted or joined
    receipt needs no more than what it is made from, so that any worker may make it.

    Each method that makes a receipt verifies what it is given. The code ``bad_segment`` of a
    ProverError means that one of these does not verify, and the message starts with its position in
    what was given, from 0, and a colon.
    """

    def lift(self, receipt: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        """Make the receipt of a segment one of constant size. It comes with a GPU's part."""
        ...

    def verify_lifted(self, lifted: bytes, receipt: bytes) -> None:
        """Verify that a receipt proves what that of a segment proves, which was verified before."""
        ...

    def join(self, left: bytes, right: bytes, threads: int) -> tuple[bytes, GpuUse | None]:
        """Make one receipt of two that were lifted or joined. It comes with a GPU's part."""
        ...

    def verify_joined(self, joined: bytes, left: bytes, right: bytes) -> None:
        """Verify that a receipt proves what two others do, which were verified before."""
        ...

    def resolve(  # what a receipt is made of
        self,
        joined: bytes,
        children: tuple[Child, ...],
        journal: bytes,
        kind: ReceiptKind,
        threads: int,
    ) -> bytes:
        """Make the receipt of a run from that of all its segments and those of the children.

        The caller verifies the receipt of the run.
        """
        ...
