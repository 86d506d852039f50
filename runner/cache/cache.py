"""What a cache of finished proofs must offer, and the cache that keeps nothing.

``conf/cache`` names a cache by ``_target_``. The class is called with whatever else its YAML file
sets, and opens nothing: a dry run asks it for its :meth:`Cache.view` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.cache.origins import Made, Origin
    from runner.model import Cycles, ReceiptKind

__all__ = ["ESTIMATE_FROM", "Cache", "CacheStats", "CacheView", "Entry", "Found", "NoCache"]

ESTIMATE_FROM = 20
"""The times of so many of the newest proofs say how long the next one may take."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A proof out of the cache.

    Attributes:
        data: The bytes as they were put in.
        cycles: The cycles of the run that was proved; zeros where they are not known any more.
        prove_s: The wall seconds that the proof took; 0 where they are not known any more.
    """

    data: bytes
    cycles: Cycles
    prove_s: float


@dataclass(frozen=True, slots=True)
class CacheStats:
    """What the cache holds.

    Attributes:
        entries: The number of proofs.
        bytes: Their size on disk.
    """

    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """What a dry run finds under a key.

    Attributes:
        data: The bytes as they were put in; None without a usable entry.
        fault: What is wrong with the entry; empty when nothing is, or when there is none.
    """

    data: bytes | None
    fault: str = ""


class CacheView(Protocol):
    """A cache as a dry run looks at it. Nothing in the cache changes, not even its order of use.

    Any thread may call it. Every method may raise CacheError, when the cache cannot be read.
    """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def find(self, key: str) -> Found:
        """What a look-up would find. The caller verifies whether it is a valid proof."""
        ...

    def set_aside(self, key: str) -> str | None:
        """Why an entry of this key was last taken out of use; None where none ever was."""
        ...

    def made(self, guest: str, stdin: str) -> Sequence[Made]:
        """What the entries were made with that have a guest's name and an input's SHA-256."""
        ...

    def builds(self, guest: str) -> Sequence[str]:
        """The image ids, in hex, that a guest of this name has had."""
        ...

    def unexplained(self) -> int:
        """The number of entries that do not say what they were made from."""
        ...

    def prove_times(
        self, image_id: bytes, kind: ReceiptKind, children: int | None = None
    ) -> list[float]:
        """The wall seconds of a guest's newest measured proofs.

        Args:
            image_id: The image id of the guest.
            kind: The kind of receipt.
            children: Only of proofs with so many children; None for all.
        """
        ...


class Cache(Protocol):
    """Where finished proofs are kept between runs.

    It is entered before the first proof, when it opens what it needs, and left after the last.
    Every method but ``close`` may raise CacheError. A run survives that at any time but at the
    opening. Between the two, any thread may call it.

    Attributes:
        keeps: Whether look-ups make sense at all.
        place: Where the proofs are, for people; None where there is no such place.
    """

    keeps: ClassVar[bool]
    place: str | None

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def get(self, key: str) -> Entry | None:
        """Look a proof up. The caller verifies it, every time."""
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
        """Keep a proof. Returns how many others had to go."""
        ...

    def quarantine(self, key: str, reason: str) -> None:
        """Take a proof out of use that did not verify."""
        ...

    def stats(self) -> CacheStats:
        """What the cache holds now."""
        ...

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:
        """The mean wall seconds of a guest's newest proofs; None without any."""
        ...

    def view(self) -> CacheView | None:
        """The cache for a dry run, without opening or changing it; None where it keeps nothing."""
        ...

    def close(self) -> None:
        """Release what is held. A second call does nothing."""
        ...


class NoCache(Cache):
    """The cache of ``cache=off``: every look-up misses, and nothing is kept.

    Args:
        settings: Settings for a cache that keeps something. A preset may have them; they say
            nothing here.
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
        """Miss."""
        return None

    def put(self, key: str, data: bytes, **_: object) -> int:  # noqa: ARG002
        """Keep nothing, so that nothing has to go."""
        return 0

    def quarantine(self, key: str, reason: str) -> None:
        """Do nothing."""

    def stats(self) -> CacheStats:
        """Nothing is held."""
        return CacheStats(0, 0)

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:  # noqa: ARG002
        """Nothing is known."""
        return None

    def view(self) -> CacheView | None:
        """There is nothing to look at."""
        return None

    def close(self) -> None:
        """Do nothing."""
