"""A cache in two tiers: that of this machine, and the proofs that machines share behind it."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar, Self

from runner.cache.cache import Cache, CacheStats, CacheView, Entry, LookupResult
from runner.errors import CacheError, StoreError
from runner.model import ReceiptKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runner.cache.origins import Origin, ProofVariant
    from runner.cache.shared import SharedProofs
    from runner.model import Cycles

__all__ = ["TieredCache"]

_log = logging.getLogger(__name__)
_UPLOADS = 4
_WAITING = 8


class TieredCache(Cache):
    """A cache whose misses are looked up in a store, and whose proofs go to the store as well.

    The store is written to in threads of its own, because the thread that decides what runs next
    must not wait for a network. A store that fails costs a warning and no proof.

    Args:
        local: The cache of this machine.
        shared: The proofs that machines share.
        wrote: A function that is told the size of each proof that was written to the store.
    """

    keeps: ClassVar[bool] = True

    def __init__(
        self, local: Cache, shared: SharedProofs, wrote: Callable[[int], None] = lambda _: None
    ) -> None:
        self._local, self._shared, self._wrote = local, shared, wrote
        self._pool: ThreadPoolExecutor | None = None
        self._room = threading.BoundedSemaphore(_UPLOADS + _WAITING)
        self.place: str | None = f"{local.place}, {shared.place}"

    def __enter__(self) -> Self:
        self._local.__enter__()
        self._pool = ThreadPoolExecutor(_UPLOADS, "upload")
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait until the store has what was put, and close the cache of this machine."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None
        self._local.close()

    def get(self, key: str) -> Entry | None:
        """Look up a proof here, and then in the store. What the store has is kept here as well."""
        found = self._local.get(key)
        if found is not None:
            return found
        try:
            found = self._shared.get(key)
        except StoreError as error:
            raise CacheError(error.url, error.reason) from error
        if found is not None and found.made_from is not None:
            made = found.made_from
            self._local.put(
                key,
                found.data,
                image_id=bytes.fromhex(made.image_id),
                kind=ReceiptKind(made.kind),
                cycles=found.cycles,
                prove_s=found.prove_s,
                origin=made.origin,
            )
        return found

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
        """Keep a proof here, and hand it to a thread that writes it to the store."""
        evicted = self._local.put(
            key,
            data,
            image_id=image_id,
            kind=kind,
            cycles=cycles,
            prove_s=prove_s,
            origin=origin,
        )

        def upload() -> None:
            try:
                self._shared.put(
                    key,
                    data,
                    image_id=image_id,
                    kind=kind,
                    cycles=cycles,
                    prove_s=prove_s,
                    origin=origin,
                )
                self._wrote(len(data))
            except StoreError as error:
                _log.warning("a proof was not written to the store: %s", error.reason)
            finally:
                self._room.release()

        if self._pool is not None:
            self._room.acquire()  # so that receipts do not pile up before a slow store
            self._pool.submit(upload)
        return evicted

    def quarantine(self, key: str, reason: str) -> None:
        """Take a proof out of use, here and in the store."""
        self._local.quarantine(key, reason)
        try:
            self._shared.drop(key)
        except StoreError as error:
            raise CacheError(error.url, error.reason) from error

    def release(self, keys: Iterable[str]) -> None:
        """Let proofs go first here. The store is cleared by its bound alone."""
        self._local.release(keys)

    def stats(self) -> CacheStats:
        """What the cache of this machine holds. The store is too large to be counted."""
        return self._local.stats()

    def mean_prove_s(self, image_id: bytes, kind: ReceiptKind) -> float | None:
        """The mean wall seconds of a guest's newest proofs in the cache of this machine."""
        return self._local.mean_prove_s(image_id, kind)

    def view(self) -> CacheView | None:
        """The view of both tiers for a dry run."""
        local = self._local.view()
        return None if local is None else _TieredView(local, self._shared)


class _TieredView(CacheView):
    """The view of the cache of this machine, with the store's entries behind its own."""

    def __init__(self, local: CacheView, shared: SharedProofs) -> None:
        self._local, self._shared = local, shared

    def __enter__(self) -> Self:
        self._local.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._local.__exit__(None, None, None)

    def find(self, key: str) -> LookupResult:
        """See :class:`CacheView`."""
        found = self._local.find(key)
        if found.data is not None:
            return found
        try:
            entry = self._shared.get(key)
        except StoreError as error:
            raise CacheError(error.url, error.reason) from error
        return found if entry is None else LookupResult(entry.data, made_from=entry.made_from)

    def quarantine_reason(self, key: str) -> str | None:
        """See :class:`CacheView`."""
        return self._local.quarantine_reason(key)

    def variants(self, guest: str, stdin: str) -> Sequence[ProofVariant]:
        """See :class:`CacheView`. Those of the store are not known without reading all of it."""
        return self._local.variants(guest, stdin)

    def builds(self, guest: str) -> Sequence[str]:
        """See :class:`CacheView`."""
        return self._local.builds(guest)

    def without_origin(self) -> int:
        """See :class:`CacheView`."""
        return self._local.without_origin()

    def prove_times(
        self, image_id: bytes, kind: ReceiptKind, children: int | None = None
    ) -> list[float]:
        """See :class:`CacheView`."""
        return self._local.prove_times(image_id, kind, children)

    def cycle_cost(self, kind: ReceiptKind) -> tuple[float, int] | None:
        """See :class:`CacheView`."""
        return self._local.cycle_cost(kind)
