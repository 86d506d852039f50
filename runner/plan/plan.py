"""The plan of a batch: a DAG of proof jobs, its checks and its JSON form.

Pure values, no I/O. Leaf jobs have ids ``0..leaf_jobs-1``, the aggregations follow in topological
order, so that one pass over them visits children first. All walks are loops, linear in the plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runner.model import Aggregation

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

__all__ = ["Plan", "distinct"]


def distinct(identities: Iterable[Hashable]) -> tuple[tuple[int, ...], int]:
    """Number the distinct runs of a batch, so that identical ones are proved once.

    Args:
        identities: one per batch position; equal identities mean the same proof, e.g. (image id,
            stdin).

    Returns:
        The job id of each position, numbered by first appearance, and the number of jobs.
    """
    ids: dict[Hashable, int] = {}
    positions = tuple([ids.setdefault(identity, len(ids)) for identity in identities])
    return positions, len(ids)


# No slots: ``parents`` is computed once and kept, and there is one plan a batch.
@dataclass(frozen=True)
class Plan:
    """Which proofs a batch takes and in what order they can be made.

    Attributes:
        strategy: the resolved one, e.g. ``two_level``; ``none`` means nothing is aggregated.
        leaves: leaf job id of each batch position; identical runs share one.
        leaf_jobs: number of distinct leaf jobs, with ids ``0..leaf_jobs-1``.
        aggregations: in topological order, ids ``leaf_jobs, leaf_jobs + 1, ...``.
        root: id of the last aggregation; None for strategy ``none``.
    """

    strategy: str
    leaves: tuple[int, ...]
    leaf_jobs: int
    aggregations: tuple[Aggregation, ...]
    root: int | None

    @property
    def jobs(self) -> int:
        """Number of proofs to make."""
        return self.leaf_jobs + len(self.aggregations)

    @property
    def levels(self) -> int:
        """Aggregations on the longest way from a leaf to the root; 0 without aggregation.

        Fewer than the strategy's name says where a small batch fits in one group.
        """
        return self.aggregations[-1].level if self.aggregations else 0

    @cached_property
    def parents(self) -> Sequence[tuple[int, ...]]:
        """The aggregations that wait for a job, ascending, by job id.

        A parent stands there once even if the job is its child several times over.
        """
        parents: list[tuple[int, ...]] = [()] * self.jobs
        several: dict[int, list[int]] = {}
        for aggregation in self.aggregations:
            only = (aggregation.id,)  # one tuple for all its children: most have no other parent
            for child in dict.fromkeys(aggregation.children):
                if parents[child]:
                    several.setdefault(child, [*parents[child]]).append(aggregation.id)
                else:
                    parents[child] = only
        for child, ids in several.items():
            parents[child] = tuple(ids)
        return parents

    def aggregation(self, job: int) -> Aggregation:
        """The aggregation with job id ``job``; KeyError for a leaf job or an unknown id."""
        if not self.leaf_jobs <= job < self.jobs:
            raise KeyError(job)
        return self.aggregations[job - self.leaf_jobs]

    def first_positions(self) -> tuple[int, ...]:
        """For each leaf job, by id, the first batch position that asks for it."""
        first: dict[int, int] = {}
        for position, job in enumerate(self.leaves):
            first.setdefault(job, position)
        return tuple([first[job] for job in range(self.leaf_jobs)])

    def leaf_counts(self) -> list[int]:
        """Batch positions below each job, by id: 1 for a leaf job.

        For an aggregation it is the ``verified_count`` its journal must show. ValueError where a
        count is larger than the batch, so that a hostile plan's numbers cannot grow.
        """
        counts = [1] * self.leaf_jobs
        for aggregation in self.aggregations:
            count = sum([counts[child] for child in aggregation.children])
            if count > len(self.leaves):
                raise ValueError(f"aggregation {aggregation.id} has more leaves than the batch")
            counts.append(count)
        return counts

    def leaf_order(self) -> tuple[int, ...]:
        """Leaf job ids below the root, left to right; ValueError for a malformed plan."""
        self._check_nodes()
        return self._expand()

    def validate(self) -> None:
        """Check everything that the other modules rely on.

        Linear in the plan, whatever it says: levels that double are not expanded.

        Raises:
            ValueError: an empty batch, a leaf job out of range or never asked for, ids out of
                order, a child that does not come earlier (forward reference or cycle), an
                aggregation that is empty, unreachable, of a wrong level or over a single child
                (only a batch of one has that), or an order of leaves other than the batch's.
        """
        self._check_nodes()
        if self._expand() != self.leaves:
            raise ValueError("the leaves below the root are not the batch's, in its order")

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values; the inverse of :meth:`from_json`."""
        return {
            "strategy": self.strategy,
            "leaves": list(self.leaves),
            "leaf_jobs": self.leaf_jobs,
            "aggregations": [
                {"id": a.id, "level": a.level, "children": list(a.children)}
                for a in self.aggregations
            ],
            "root": self.root,
        }

    @classmethod
    def from_json(cls, data: object) -> Plan:
        """Read a plan that someone else wrote, and validate it.

        Args:
            data: parsed JSON; bound the file's size and catch RecursionError when parsing it.

        Raises:
            ValueError: other keys or types than :meth:`to_json` writes, or a malformed plan.
        """
        fields = _keys(data, "plan", ("strategy", "leaves", "leaf_jobs", "aggregations", "root"))
        strategy, aggregations = fields["strategy"], fields["aggregations"]
        if not isinstance(strategy, str) or not strategy.isidentifier() or len(strategy) > 64:
            raise ValueError("plan: strategy is not a name")
        nodes = []
        for number, item in enumerate(_list(aggregations, "plan: aggregations")):
            where = f"plan: aggregation {number}"
            node = _keys(item, where, ("id", "level", "children"))
            children = _integers(node["children"], f"{where}: children")
            own = _integers([node["id"], node["level"]], f"{where}: id, level")
            nodes.append(Aggregation(id=own[0], level=own[1], children=children))
        root = fields["root"]
        plan = cls(
            strategy=strategy,
            leaves=_integers(fields["leaves"], "plan: leaves"),
            leaf_jobs=_integers([fields["leaf_jobs"]], "plan: leaf_jobs")[0],
            aggregations=tuple(nodes),
            root=None if root is None else _integers([root], "plan: root")[0],
        )
        plan.validate()
        return plan

    def _check_nodes(self) -> None:
        """Everything but the order of the leaves."""
        if not self.leaves:
            raise ValueError("a plan without leaves")
        # The set comes first: leaf_jobs alone may be any number in an untrusted file.
        used = set(self.leaves)
        if len(used) != self.leaf_jobs or min(used) != 0 or max(used) != self.leaf_jobs - 1:
            raise ValueError(f"leaf jobs are not 0 to {self.leaf_jobs - 1}, each used")
        if (self.root is None) != (self.strategy == "none"):
            raise ValueError("strategy none has no root, every other one has")
        if self.root is None:
            if self.aggregations:
                raise ValueError("strategy none has no aggregations")
            return
        levels = [0] * self.leaf_jobs
        for aggregation in self.aggregations:
            _check_aggregation(aggregation, levels, batch=len(self.leaves))
            levels.append(aggregation.level)
        if self.root != self.jobs - 1 or not self.aggregations:
            raise ValueError(f"root {self.root} is not the last aggregation")
        # The root is last and children come first, so "is some node's child" means reachable.
        reached = {child for a in self.aggregations for child in a.children}
        if len(reached) != self.jobs - 1:
            lost = next(job for job in range(self.jobs) if job not in reached)
            raise ValueError(f"job {lost} is not reachable from the root")
        self.leaf_counts()

    def _expand(self) -> tuple[int, ...]:
        """Leaves below the root, for a plan that passed ``_check_nodes``.

        Bounded: counts are at most the batch's size and all aggregations have two children or
        more, so there are fewer inner visits than leaves.
        """
        if self.root is None:
            return self.leaves
        order: list[int] = []
        todo = [self.root]
        while todo:
            job = todo.pop()
            if job < self.leaf_jobs:
                order.append(job)
            else:
                todo.extend(reversed(self.aggregations[job - self.leaf_jobs].children))
        return tuple(order)


def _check_aggregation(node: Aggregation, levels: Sequence[int], batch: int) -> None:
    """Check one aggregation against the levels of all jobs before it."""
    if node.id != len(levels):
        raise ValueError(f"aggregation {node.id} stands where {len(levels)} is due")
    if not node.children:
        raise ValueError(f"aggregation {node.id} has no children")
    if min(node.children) < 0 or max(node.children) >= node.id:
        raise ValueError(f"aggregation {node.id} has a child that does not come before it")
    if node.level != 1 + max([levels[child] for child in node.children]):
        raise ValueError(f"aggregation {node.id} is not one level above its children")
    # Chains of such nodes would also make the expansion quadratic.
    if len(node.children) == 1 and (batch > 1 or node.level > 1):
        raise ValueError(f"aggregation {node.id} has a single child")


def _keys(data: object, what: str, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, dict) or data.keys() != set(names):
        raise ValueError(f"{what}: not an object with exactly {', '.join(names)}")
    return data


def _integers(data: object, what: str) -> tuple[int, ...]:
    # ``type``, not isinstance: JSON's true is not the number 1.
    if not all(type(item) is int for item in _list(data, what)):
        raise ValueError(f"{what}: not whole numbers")
    return tuple(_list(data, what))


def _list(data: object, what: str) -> list[Any]:
    if isinstance(data, list):
        return data
    raise ValueError(f"{what}: not a list")
