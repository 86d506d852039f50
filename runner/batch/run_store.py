"""The store of artifacts as a run has it: with its bound, and behind the cache of this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.cache.shared import SharedProofs
from runner.cache.tiers import TieredCache
from runner.store.artifacts import Artifacts
from runner.store.place import UrlPlace
from runner.store.sweep import Sweeper

if TYPE_CHECKING:
    from runner.batch.settings import Settings
    from runner.cache.cache import Cache

__all__ = ["RunStore", "cache_of"]


@dataclass(frozen=True, slots=True)
class RunStore:
    """The store of a run.

    Attributes:
        artifacts: its blobs.
        sweeper: what keeps its bound, and is told of all that this run writes.
    """

    artifacts: Artifacts
    sweeper: Sweeper

    @classmethod
    def of(cls, settings: Settings) -> RunStore | None:
        """The store that the settings name, or None if they name none. It is not opened yet."""
        if settings.store is None:
            return None
        artifacts = Artifacts(UrlPlace(settings.store.place))
        return cls(artifacts, Sweeper.at_random(artifacts.place, settings.store.bound))


def cache_of(settings: Settings, store: RunStore | None) -> Cache:
    """The cache of a run, with the store behind it if there is one. It is not open yet."""
    if store is None or not settings.cache.keeps:
        return settings.cache
    return TieredCache(settings.cache, SharedProofs(store.artifacts), store.sweeper.wrote)
