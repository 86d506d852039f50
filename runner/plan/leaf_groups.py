"""Which leaf a machine takes next: one that is aggregated together with those that it has proved.

Without machines to tell apart, leaves are handed out in the order of their ids. Otherwise each
machine has a group of leaves that are aggregated together, and takes a new one when it has taken
all of the last. The last groups, two for each machine, are taken by all machines together, one
group after the other: their aggregations then start while there are still leaves, and not all at
the end. When no group is left, a machine takes half of what another one has most of, so that nobody
is idle while there are leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["LeafGroups"]

_TOGETHER = 2
"""The groups for each machine that are left for all machines together. With fewer, a simulated
batch (``benchmarks.studies.schedule``) takes longer than in the order of the leaves' ids; with 2 it
takes as long, and 2 to 3 % of the bytes move for it."""


class LeafGroups:
    """The leaf jobs of a plan that nobody has taken.

    Args:
        leaf_jobs: the number of leaf jobs, whose ids are ``0..leaf_jobs-1``.
        parents: the jobs that wait for each job, by its id.
        without: the leaf jobs that are handed out in another way.
    """

    def __init__(
        self, leaf_jobs: int, parents: Sequence[tuple[int, ...]], without: Collection[int] = ()
    ) -> None:
        self._leaf_jobs = leaf_jobs
        self._parents = parents
        self._without = without
        self._left = leaf_jobs - len(without)
        self._begun = 0  # the leaves from here on are in no machine's range
        self._groups = sum(
            parents[leaf][:1] != parents[leaf - 1][:1] for leaf in range(1, leaf_jobs)
        )
        self._hosts: set[str] = set()
        self._ranges: dict[str, range] = {}  # of all machines together under the empty name

    def __len__(self) -> int:
        """The number of leaves that are left."""
        return self._left

    def take(self, host: str = "") -> int:
        """Take out the next leaf for a machine. There must be one.

        Args:
            host: the name of the machine; empty if it is not known.
        """
        if host:
            self._hosts.add(host)
        while True:
            own_group = self._groups >= _TOGETHER * len(self._hosts)
            whose = host if host in self._ranges or own_group else ""
            own = self._ranges.pop(whose, None) or self._new_range()
            if own is None:
                whose, own = host, self._half_of_another()
            if len(own) > 1:
                self._ranges[whose] = own[1:]
            if own[0] not in self._without:
                self._left -= 1
                return own[0]

    def clear(self) -> None:
        """Drop all leaves."""
        self._left, self._begun = 0, self._leaf_jobs
        self._ranges.clear()

    def _new_range(self) -> range | None:
        """The leaves from the first on that no machine has, as far as they have one parent."""
        first = end = self._begun
        if first == self._leaf_jobs:
            return None
        parent = self._parents[first][:1]
        while end < self._leaf_jobs and self._parents[end][:1] == parent:
            end += 1
        self._begun, self._groups = end, self._groups - 1
        return range(first, end)

    def _half_of_another(self) -> range:
        other = max(self._ranges, key=lambda host: len(self._ranges[host]))
        whole = self._ranges.pop(other)
        middle = len(whole) // 2
        if middle:
            self._ranges[other] = whole[:middle]
        return whole[middle:]
