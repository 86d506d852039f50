"""The plan of a batch: a DAG of proof jobs, its checks and its JSON form.

The module holds plain values and does no I/O. Leaf jobs have the ids ``0..leaf_jobs-1``, and the
aggregations follow in topological order, so that one pass over the ids visits children before
their parents. A leaf may need other leaves, whose receipts are its assumptions. Every walk is a
loop and takes time linear in the size of the plan.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runner.model import Aggregation
from runner.plan.needs import check_needs, needed_by, waves

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

__all__ = ["Plan", "distinct"]


def distinct(identities: Iterable[Hashable]) -> tuple[tuple[int, ...], int]:
    """Number the distinct guest runs of a batch, so that identical ones are proved once.

    Args:
        identities: what identifies the run at each batch position, e.g. (image id, stdin). Runs
            with equal identities share one proof.

    Returns:
        The job id of each position, numbered by first appearance, and the number of jobs.
    """
    ids: dict[Hashable, int] = {}
    positions = tuple([ids.setdefault(identity, len(ids)) for identity in identities])
    return positions, len(ids)


# The class has no slots because ``parents`` is computed once and kept on the instance.
@dataclass(frozen=True)
class Plan:
    """The proofs that a batch takes, and the order in which they can be made.

    Attributes:
        strategy: the name of the strategy after ``auto`` was resolved, e.g. ``two_level``. The
            strategy ``none`` aggregates nothing.
        leaves: the leaf job id of each batch position. Identical runs share one job.
        leaf_jobs: the number of distinct leaf jobs. Their ids are ``0..leaf_jobs-1``.
        aggregations: the aggregations in topological order. Their ids are ``leaf_jobs``,
            ``leaf_jobs + 1`` and so on.
        root: the id of the last aggregation, or None for strategy ``none``.
        needs: for each leaf job, the leaf jobs whose receipts its guest verifies, without a cycle;
            empty if there is none in the whole batch.
    """

    strategy: str
    leaves: tuple[int, ...]
    leaf_jobs: int
    aggregations: tuple[Aggregation, ...]
    root: int | None
    needs: tuple[tuple[int, ...], ...] = ()

    @property
    def jobs(self) -> int:
        """The number of proofs to make."""
        return self.leaf_jobs + len(self.aggregations)

    @property
    def levels(self) -> int:
        """The number of aggregations on the longest path from a leaf to the root.

        It is 0 for a plan without aggregation, and smaller than the strategy's name says where a
        small batch fits in one group.
        """
        return self.aggregations[-1].level if self.aggregations else 0

    @cached_property
    def parents(self) -> Sequence[tuple[int, ...]]:
        """The jobs that wait for each job: their ids in ascending order, by job id.

        A parent is listed once even if the job is its child several times over.
        """
        parents: list[tuple[int, ...]] = [()] * self.jobs
        several: dict[int, list[int]] = needed_by(self.needs)
        for aggregation in self.aggregations:
            # Most children have no other parent, so all children of a node share this tuple.
            only = (aggregation.id,)
            for child in dict.fromkeys(aggregation.children):
                if parents[child] or child in several:
                    several.setdefault(child, [*parents[child]]).append(aggregation.id)
                else:
                    parents[child] = only
        for child, ids in several.items():
            parents[child] = tuple(ids)
        return parents

    def aggregation(self, job: int) -> Aggregation:
        """Return the aggregation with a job id.

        Raises:
            KeyError: the id is a leaf job's, or no job has it.
        """
        if not self.leaf_jobs <= job < self.jobs:
            raise KeyError(job)
        return self.aggregations[job - self.leaf_jobs]

    def children(self, job: int) -> tuple[int, ...]:
        """The ids of the jobs that a job waits for, and whose receipts it takes."""
        if job >= self.leaf_jobs:
            return self.aggregation(job).children
        return self.needs[job] if self.needs else ()

    def leaf_waves(self) -> list[list[int]]:
        """The leaf jobs in waves: those of each need leaves of the waves before it only."""
        return waves(self.needs) if self.needs else [list(range(self.leaf_jobs))]

    def first_positions(self) -> Sequence[int]:
        """Return, for each leaf job by its id, the first batch position that asks for it."""
        first = array("q", [0]) * self.leaf_jobs
        for position in reversed(range(len(self.leaves))):
            first[self.leaves[position]] = position
        return first

    def leaf_counts(self) -> list[int]:
        """Return the number of leaves below each job, by job id. A leaf job counts as 1.

        The count of an aggregation is the ``verified_count`` that its journal must show.

        Raises:
            ValueError: a count is larger than the batch. The check keeps the numbers of a hostile
                plan from growing without bound.
        """
        counts = [1] * self.leaf_jobs
        for aggregation in self.aggregations:
            count = sum([counts[child] for child in aggregation.children])
            if count > len(self.leaves):
                raise ValueError(f"aggregation {aggregation.id} has more leaves than the batch")
            counts.append(count)
        return counts

    def leaf_order(self) -> tuple[int, ...]:
        """Return the leaf job ids below the root, from left to right.

        Raises:
            ValueError: the plan is malformed.
        """
        self._check_nodes()
        return self._expand()

    def validate(self) -> None:
        """Check everything that the other modules rely on.

        The check takes time linear in the size of the plan whatever the plan says, because levels
        that double the number of leaves are refused before they are expanded.

        Raises:
            ValueError: the batch is empty; a leaf job is out of range or never asked for; ids are
                out of order; a child does not come before its parent (a forward reference or a
                cycle); leaves need each other in a cycle; an aggregation is empty, unreachable or
                of a wrong level, or has a single child, which only a batch of one may have; or the
                leaves below the root are not the batch's in its order.
        """
        self._check_nodes()
        if self._expand() != self.leaves:
            raise ValueError("the leaves below the root are not the batch's, in its order")

    def job_name(self, job_id: int) -> str:
        """Return a job's name for people."""
        if job_id < self.leaf_jobs:
            return f"leaf {job_id}"
        return f"aggregation {job_id} (level {self.aggregation(job_id).level})"

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values; :meth:`from_json` reads them back."""
        needs = {"needs": [list(needed) for needed in self.needs]} if self.needs else {}
        return {
            "strategy": self.strategy,
            "leaves": list(self.leaves),
            "leaf_jobs": self.leaf_jobs,
            "aggregations": [
                {"id": a.id, "level": a.level, "children": list(a.children)}
                for a in self.aggregations
            ],
            "root": self.root,
            **needs,
        }

    @classmethod
    def from_json(cls, data: object) -> Plan:
        """Read a plan that someone else wrote, and validate it.

        Args:
            data: the parsed JSON. Whoever parses it must bound the file's size and catch
                RecursionError.

        Raises:
            ValueError: the keys or types are not those that :meth:`to_json` writes, or the plan
                is malformed.
        """
        names = ("strategy", "leaves", "leaf_jobs", "aggregations", "root")
        needs = isinstance(data, dict) and "needs" in data
        fields = _keys(data, "plan", (*names, "needs") if needs else names)
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
        needed = _list(fields.get("needs", []), "plan: needs")
        plan = cls(
            strategy=strategy,
            leaves=_integers(fields["leaves"], "plan: leaves"),
            leaf_jobs=_integers([fields["leaf_jobs"]], "plan: leaf_jobs")[0],
            aggregations=tuple(nodes),
            root=None if root is None else _integers([root], "plan: root")[0],
            needs=tuple([_integers(one, "plan: needs") for one in needed]),
        )
        plan.validate()
        return plan

    def _check_nodes(self) -> None:
        """Check everything except the order of the leaves."""
        if not self.leaves:
            raise ValueError("a plan without leaves")
        # In an untrusted file ``leaf_jobs`` may be any number, so it is compared with the set of
        # leaves and never used as the size of anything before that.
        used = set(self.leaves)
        if len(used) != self.leaf_jobs or min(used) != 0 or max(used) != self.leaf_jobs - 1:
            raise ValueError(f"leaf jobs are not 0 to {self.leaf_jobs - 1}, each used")
        check_needs(self.needs, self.leaf_jobs)
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
        # Children come before their parents and the root comes last, so every job that is some
        # aggregation's child can be reached from the root.
        reached = {child for a in self.aggregations for child in a.children}
        if len(reached) != self.jobs - 1:
            lost = next(job for job in range(self.jobs) if job not in reached)
            raise ValueError(f"job {lost} is not reachable from the root")
        self.leaf_counts()

    def _expand(self) -> tuple[int, ...]:
        """Return the leaves below the root of a plan that has passed ``_check_nodes``.

        The work is bounded: no count exceeds the batch's size and every aggregation has at least
        two children, so the loop visits fewer aggregations than leaves.
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
    """Check one aggregation, given the levels of all jobs before it."""
    if node.id != len(levels):
        raise ValueError(f"aggregation {node.id} stands where {len(levels)} is due")
    if not node.children:
        raise ValueError(f"aggregation {node.id} has no children")
    if min(node.children) < 0 or max(node.children) >= node.id:
        raise ValueError(f"aggregation {node.id} has a child that does not come before it")
    if node.level != 1 + max([levels[child] for child in node.children]):
        raise ValueError(f"aggregation {node.id} is not one level above its children")
    # A chain of aggregations with one child each would also make the expansion quadratic.
    if len(node.children) == 1 and (batch > 1 or node.level > 1):
        raise ValueError(f"aggregation {node.id} has a single child")


def _keys(data: object, what: str, names: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, dict) or data.keys() != set(names):
        raise ValueError(f"{what}: not an object with exactly {', '.join(names)}")
    return data


def _integers(data: object, what: str) -> tuple[int, ...]:
    # The test is for the exact type, because isinstance would take JSON's true for the number 1.
    if not all(type(item) is int for item in _list(data, what)):
        raise ValueError(f"{what}: not whole numbers")
    return tuple(_list(data, what))


def _list(data: object, what: str) -> list[Any]:
    if isinstance(data, list):
        return data
    raise ValueError(f"{what}: not a list")
