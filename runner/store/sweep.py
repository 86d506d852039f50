"""Keeps the bound of a place that many write to.

No writer knows what the others write, so the bound is kept from time to time and not at each write.
Two machines that sweep at once remove the same entries, namely the oldest, and so not too many.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from runner import threads
from runner.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.store.place import Place

__all__ = ["Bound", "Sweeper", "Swept", "sweep"]

_log = logging.getLogger(__name__)

_SHARE = 16
"""A sweep follows whenever this part of the bound has been written."""
_PATIENCE_S = 10.0
"""The seconds for which the end of a run waits for its sweep."""


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a place may hold.

    Attributes:
        max_bytes: The size of all entries together.
        protect_s: The seconds for which an entry stays in any case, because the batch that wrote it
            may still need it.
    """

    max_bytes: int
    protect_s: float = 86400.0


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found and did.

    Attributes:
        entries: The number of entries that are left.
        bytes: The size of the entries that are left.
        removed: The number of entries that were removed.
    """

    entries: int
    bytes: int
    removed: int


def sweep(place: Place, bound: Bound, now: float) -> Swept:
    """Remove the oldest entries until the bound holds.

    Args:
        place: The place.
        bound: Its bound. Entries that are protected stay, also where it then does not hold.
        now: The Unix time in seconds.

    Raises:
        StoreError: The place cannot be listed or changed.
    """
    found = sorted((entry.modified, entry.name, entry.size) for entry in place.entries())
    total, removed = sum(size for _, _, size in found), 0
    for modified, name, size in found:
        if total <= bound.max_bytes or now - modified < bound.protect_s:
            break
        place.remove(name)
        total -= size
        removed += 1
    return Swept(len(found) - removed, total, removed)


class Sweeper:
    """Sweeps a place in a thread of its own, whenever enough has been written.

    Only a run's own process sweeps. A worker that proves has better things to do.

    Args:
        place: The place.
        bound: Its bound.
        clock: A function that returns the Unix time in seconds.
        written: The bytes that count as written already. With a number that :meth:`at_random` has
            drawn, many small runs sweep as often as one large run that writes as much.
    """

    def __init__(
        self,
        place: Place,
        bound: Bound,
        clock: Callable[[], float] = time.time,
        *,
        written: int = 0,
    ) -> None:
        self._place, self._bound, self._clock = place, bound, clock
        self._lock = threading.Lock()
        self._written = written
        self._thread: threading.Thread | None = None
        self._warned = False

    @classmethod
    def at_random(cls, place: Place, bound: Bound) -> Self:
        """A sweeper that begins somewhere between two sweeps.

        No run knows what earlier runs have written since the last sweep, and one that began with
        nothing would never sweep if it writes less than is written between two sweeps.
        """
        between = max(1, bound.max_bytes // _SHARE)
        return cls(place, bound, written=random.randrange(between))  # noqa: S311  # no secret

    def wrote(self, size: int) -> None:
        """Count what was written, and start a sweep if it is time for one."""
        with self._lock:
            self._written += size
            busy = self._thread is not None and self._thread.is_alive()
            if busy or self._written * _SHARE < self._bound.max_bytes:
                return
            self._written = 0
            self._thread = threads.start("sweep", self.sweep)

    def finish(self) -> None:
        """Wait a while for a sweep that is under way, so that it ends in short runs too."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_PATIENCE_S)

    def sweep(self) -> Swept | None:
        """Sweep now. A place that fails costs a warning, and None is returned."""
        try:
            done = sweep(self._place, self._bound, self._clock())
        except StoreError as error:
            _log.warning("the store was not swept: %s", error.reason)
            return None
        if done.removed:
            _log.info("%d old entries of the store removed, %d left", done.removed, done.entries)
        if done.bytes > self._bound.max_bytes and not self._warned:
            self._warned = True
            _log.warning(
                "the store %s holds %d bytes, more than store.max_bytes, and all that is older than"
                " store.protect_s is gone",
                self._place.url,
                done.bytes,
            )
        return done
