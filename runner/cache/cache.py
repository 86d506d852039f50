"""What a cache of finished proofs must offer, and the cache that keeps nothing.

``conf/cache`` names a cache by ``_target_``. Its class is called with all other settings of the
YAML file. The constructor opens nothing, because a dry run only asks for :meth:`Cache.view`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runner.cache.origins import MadeFrom, Origin, ProofVariant
    from runner.model import Cycles, ReceiptKind

__all__ = ["ESTIMATE_FROM", "Cache", "CacheStats", "CacheView", "Entry", "LookupResult", "NoCache"]

ESTIMATE_FROM = 20
"""The number of newest proofs whose times say how long the next proof may take."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A proof from the cache.

    Attributes:
        data: The encoded receipt, as it was put in.
        cycles: The cycles of the run that was proved, or zeros if they are no longer known.
        prove_s: The wall seconds that the proof took, or 0 if they are no longer known.
        made_from: What the entry was made from, or None if the cache does not say. Where it says,
            the runner compares it with what it asked for.
    """

    data: bytes
    cycles: Cycles
    prove_s: float
    made_from: MadeFrom | None = None


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the cache holds.

    Attributes:
        entries: The number of proofs.
        bytes: The size of all proofs together.
    """

    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class LookupResult:
    """What a dry run finds under a key.

    Attributes:
        data: The encoded receipt, as it was put in, or None if there is no usable entry.
        fault: What is wrong with the entry. It is empty if the entry is usable, and also if there
            is no entry.
        made_from: What the entry was made from, or None if the cache does not say.
    """

    data: bytes | None
    fault: str = ""
    made_from: MadeFrom | None = None


class CacheView(Protocol):
    """The cache as a dry run reads it. Nothing in the cache changes, not even the order of use.

    Any thread may call it. Every method raises CacheError if the cache cannot be read.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def find(self, key: str) -> LookupResult:
        """Find what a run's look-up would find. The caller verifies that it is a valid proof."""
        ...

    def quarantine_reason(self, key: str) -> str | None:
        """Why an entry with this key was last taken out of use, or None if none ever was."""
        ...

    def variants(self, guest: str, stdin: str) -> Sequence[ProofVariant]:
        """How a guest's run on one input has been proved so far: one value for each entry.

        Args:
            guest: The name of the guest, whatever its build.
            stdin: The SHA-256 of the input, in hex.
        """
        ...

    def builds(self, guest: str) -> Sequence[str]:
        """The image ids, in hex, that guests of this name have had."""
        ...

    def without_origin(self) -> int:
        """The number of entries that do not say what they were made from."""
        ...

    def prove_times(
        self, image_id: bytes, kind: ReceiptKind, children: int | None = None
    ) -> list[float]:
        """The wall seconds of a guest's newest measured proofs.

        Args:
            image_id: The image id of the guest.
            kind: The kind of receipt.
            children: The number of children that a proof must have to be counted, or None to count
                all proofs.
        """
        ...

    def cycle_cost(self, kind: ReceiptKind) -> tuple[float, int] | None:
        """The mean wall seconds that the newest measured proofs took for each padded cycle.

        They are proofs of any guest.

        Args:
            kind: The kind of receipt.

        Returns:
            The seconds, and the number of proofs; None if none was measured.
        """
        ...


class Cache(Protocol):
    """A store of finished proofs that outlives a run.

    The runner enters the cache before the first proof, when the cache opens what it needs, and
    leaves it after the last proof. In between, any thread may call it. Every method but ``close``
    may raise CacheError. If entering the cache raises it, the run ends. If a later call raises it,
    the run goes on as if the entry were not there.

    Attributes:
        keeps: Whether the cache keeps anything. If it does not, the runner makes no look-ups.
        place: The place of the proofs as people are told it, or None if there is none.
    """

    keeps: ClassVar[bool]
    place: str | None

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def get(self, key: str) -> Entry | None:
        """Look up a proof. The caller verifies it every time."""
        ...

    def put(  # noqa: PLR0913  # one proof and what was measured while it was made
        self,
        key: str,
        data: bytes,
        *,
        image_id: bytes,
        kind: ReceiptKind,
        cycles: Cycles,
        prove_s: float,
        origin: Origin | None = None,
    ) -> int:
        """Keep a proof, and return the number of other proofs that were evicted for it."""
        ...

    def quarantine(self, key: str, reason: str) -> None:
        """Take a proof out of use because it did not verify."""
        ...

    def release(self, keys: Iterable[str]) -> None:
        """Note that proofs are of little use now, so that they are evicted before all others.

        They are parts of proofs that the cache has as well. It may forget them or keep them.
        """

    def stats(self) -> CacheStats:
        """What the cache holds now."""
        ...

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:
        """The mean wall seconds of a guest's newest proofs, or None if there are none."""
        ...

    def view(self) -> CacheView | None:
        """Return the view for a dry run, or None if the cache keeps nothing.

        The cache need not be entered for this, and is not changed by it.
        """
        ...

    def close(self) -> None:
        """Release whatever the cache has opened. A second call does nothing."""
        ...


class NoCache(Cache):
    """The cache of ``cache=off``: every look-up misses, and nothing is kept.

    Args:
        settings: Settings meant for a cache that keeps something. A preset may set them for
            whatever cache is chosen; this cache ignores them.
    """

    keeps: ClassVar[bool] = False
    place: str | None = None

    def __init__(self, **settings: object) -> None:
        del settings

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def get(self, key: str) -> Entry | None:  # noqa: ARG002
        """Find nothing."""
        return None

    def put(self, key: str, data: bytes, **_: object) -> int:  # noqa: ARG002
        """Keep nothing, so that nothing is evicted either."""
        return 0

    def quarantine(self, key: str, reason: str) -> None:
        """Do nothing."""

    def release(self, keys: Iterable[str]) -> None:
        """Do nothing."""

    def stats(self) -> CacheStats:
        """The cache holds nothing."""
        return CacheStats(0, 0)

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:  # noqa: ARG002
        """No times are known."""
        return None

    def view(self) -> CacheView | None:
        """There is nothing to look at."""
        return None

    def close(self) -> None:
        """Do nothing."""
