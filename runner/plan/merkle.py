"""The tree hash that binds an aggregated receipt to what it verified.

It is a domain-separated SHA-256 tree in the style of RFC 6962 (Certificate Transparency),
section 2.1:

- A leaf's hash is ``SHA256(0x00 || image_id || journal)``. The image id always has 32 bytes, so no
  byte can move between it and the journal.
- An inner node's hash is ``SHA256(0x01 || left || right)``.
- A list of n nodes splits at the largest power of two below n, and a single node is its own root.

The combined hash of an aggregation is the root over its children's nodes, in order. The node of a
leaf is its leaf hash, and the node of an aggregation is its combined hash. With fan-ins that are
powers of two, the result is the hash of the flat tree over all leaves, whatever the strategy.

All functions are pure and work without recursion. The argument ``leaf_hashes`` is always ordered
by leaf *job* id, not by batch position.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from runner.plan.journal import AggregationResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runner.plan.plan import Plan

__all__ = [
    "MAX_PATH",
    "InclusionProof",
    "Step",
    "aggregate",
    "check_inclusion",
    "combined_hash",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "node_hashes",
    "root",
]

Side: TypeAlias = Literal["left", "right"]
Step: TypeAlias = tuple[Side, bytes]
"""The side on which a sibling stands, and the sibling's 32 bytes."""

MAX_PATH = 128
"""The longest path that is accepted. A flat tree over fewer than 2**32 leaves takes at most 32
steps, and each level of aggregation adds at most one step to that."""

_HEX = re.compile(r"(?:[0-9a-f]{2})*")


def leaf_hash(image_id: bytes, journal: bytes) -> bytes:
    """Return the hash of one leaf.

    Raises:
        ValueError: the image id does not have 32 bytes.
    """
    if len(image_id) != 32:
        raise ValueError(f"an image id has 32 bytes, not {len(image_id)}")
    return sha256(b"\x00" + image_id + journal).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root(nodes: Sequence[bytes]) -> bytes:
    """Return the root over a list of nodes.

    Pairing neighbours and moving an odd last node up gives the tree that RFC 6962 defines by a
    recursive split.

    Raises:
        ValueError: the list is empty.
    """
    if not nodes:
        raise ValueError("no tree over no nodes")
    level = nodes
    while len(level) > 1:
        level = _above(level)
    return level[0]


def aggregate(self_image_id: bytes, children: Sequence[tuple[bytes, bytes]]) -> AggregationResult:
    """Compute what an aggregation over these children must commit, by the guest's rules.

    Args:
        self_image_id: the aggregator's image id, 32 bytes.
        children: the (image id, journal) of each child in order. There must be at least one.

    Raises:
        ValueError: a child has the aggregator's image id, but its journal is not one that this
            aggregator commits.
    """
    count, nodes = 0, []
    for image_id, journal in children:
        if image_id != self_image_id:
            count += 1
            nodes.append(leaf_hash(image_id, journal))
            continue
        below = AggregationResult.decode(journal)
        if below.self_image_id != self_image_id:
            raise ValueError("an aggregate names another program as its own")
        count += below.verified_count
        nodes.append(below.combined_hash)
    return AggregationResult(self_image_id, count, root(nodes))


def node_hashes(plan: Plan, leaf_hashes: Sequence[bytes]) -> list[bytes]:
    """Return the node of every job, by job id: first the leaf hashes, then the combined hashes.

    Args:
        plan: a validated plan.
        leaf_hashes: the hash of each leaf job, by job id.

    Raises:
        ValueError: the number of leaf hashes is not the number of leaf jobs.
    """
    if len(leaf_hashes) != plan.leaf_jobs:
        raise ValueError(f"{len(leaf_hashes)} leaf hashes for {plan.leaf_jobs} leaf jobs")
    nodes = list(leaf_hashes)
    for aggregation in plan.aggregations:
        nodes.append(root([nodes[child] for child in aggregation.children]))
    return nodes


def combined_hash(plan: Plan, leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the combined hash that the root's journal must show.

    Args:
        plan: a validated plan.
        leaf_hashes: the hash of each leaf job, by job id. They are taken one by one, and take 32
            bytes of memory each.

    Raises:
        ValueError: the plan has no root (strategy ``none``), or the number of leaf hashes is not
            the number of leaf jobs.
    """
    if plan.root is None:
        raise ValueError("strategy none has no combined hash")
    nodes = bytearray()
    for leaf in leaf_hashes:
        nodes += leaf
    if len(nodes) != 32 * plan.leaf_jobs:
        raise ValueError(f"{len(nodes) // 32} leaf hashes for {plan.leaf_jobs} leaf jobs")
    for aggregation in plan.aggregations:
        children = [bytes(nodes[32 * one : 32 * one + 32]) for one in aggregation.children]
        nodes += root(children)
    return bytes(nodes[-32:])


def inclusion_path(plan: Plan, leaf_hashes: Sequence[bytes], position: int) -> list[Step]:
    """Return the siblings on the path from the leaf at a batch position up to the root.

    Args:
        plan: a validated plan.
        leaf_hashes: the hash of each leaf job, by job id.
        position: the leaf's position in the batch, from 0.

    Raises:
        ValueError: the position is outside the batch, the plan has no root, or the number of leaf
            hashes is not the number of leaf jobs.
    """
    if plan.root is None:
        raise ValueError("strategy none has no root to be included in")
    if not 0 <= position < len(plan.leaves):
        raise ValueError(f"position {position} is not in 0 to {len(plan.leaves) - 1}")
    nodes, counts = node_hashes(plan, leaf_hashes), plan.leaf_counts()
    job, offset = plan.root, position
    downward: list[tuple[tuple[int, ...], int]] = []
    while job >= plan.leaf_jobs:
        children = plan.aggregation(job).children
        index = 0
        while offset >= counts[children[index]]:
            offset -= counts[children[index]]
            index += 1
        downward.append((children, index))
        job = children[index]
    path: list[Step] = []
    for children, index in reversed(downward):
        path += _siblings([nodes[child] for child in children], index)
    return path


def check_inclusion(leaf: bytes, path: Sequence[Step], expected_root: bytes) -> bool:
    """Tell whether a path leads from a leaf hash to a root. A malformed path does not."""
    if len(path) > MAX_PATH or len(leaf) != 32:
        return False
    node = leaf
    for side, sibling in path:
        if len(sibling) != 32 or side not in {"left", "right"}:
            return False
        node = node_hash(sibling, node) if side == "left" else node_hash(node, sibling)
    return node == expected_root


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Evidence that one leaf is in a batch. It can be checked without the other leaves.

    It proves that (image id, journal) is one of the leaves under ``root``. Whether ``root`` is a
    batch's is proved by the root receipt, which must be verified as well and also proves the number
    of leaves. ``position`` says where to look. The path bounds it, since each sibling stands for at
    least one leaf beside this one, and does not bind it.

    Attributes:
        position: the leaf's position in the batch, from 0.
        count: the number of leaves in the batch.
        image_id: the image id of the leaf's guest, 32 bytes.
        journal: the journal that the leaf committed.
        path: the siblings from the leaf up to the root.
        root: the combined hash of the batch, 32 bytes.
    """

    position: int
    count: int
    image_id: bytes
    journal: bytes
    path: tuple[Step, ...]
    root: bytes

    def holds(self) -> bool:
        """Tell whether the path leads from this image id and journal to the root.

        A position that leaves no room for the leaves of the siblings beside it does not hold.
        """
        before = sum(side == "left" for side, _ in self.path)
        after = len(self.path) - before
        room = before <= self.position and after <= self.count - 1 - self.position
        own = leaf_hash(self.image_id, self.journal)
        return room and check_inclusion(own, self.path, self.root)

    def to_json(self) -> dict[str, Any]:
        """Return JSON values, bytes as lower-case hex; :meth:`from_json` reads them back."""
        return {
            "position": self.position,
            "count": self.count,
            "image_id": self.image_id.hex(),
            "journal": self.journal.hex(),
            "path": [{"side": side, "hash": sibling.hex()} for side, sibling in self.path],
            "root": self.root.hex(),
        }

    @classmethod
    def from_json(cls, data: object) -> InclusionProof:
        """Read a proof that someone else wrote. A proof that can be read may still not hold.

        Raises:
            ValueError: the keys or types are not those that :meth:`to_json` writes, the path is
                longer than :data:`MAX_PATH`, a hash does not have 32 bytes, or the position is
                outside the batch.
        """
        names = ("position", "count", "image_id", "journal", "path", "root")
        if not isinstance(data, dict) or data.keys() != set(names):
            raise ValueError(f"inclusion proof: not an object with exactly {', '.join(names)}")
        position, count, steps = data["position"], data["count"], data["path"]
        # The test is for the exact type, because isinstance would take JSON's true for 1.
        if type(position) is not int or type(count) is not int or not 0 <= position < count < 2**32:
            raise ValueError("inclusion proof: not 0 <= position < count < 2**32")
        if not isinstance(steps, list) or len(steps) > MAX_PATH:
            raise ValueError(f"inclusion proof: path is not a list of at most {MAX_PATH}")
        return cls(
            position=position,
            count=count,
            image_id=_unhex(data["image_id"], "image_id", 32),
            journal=_unhex(data["journal"], "journal"),
            path=tuple([_step(step) for step in steps]),
            root=_unhex(data["root"], "root", 32),
        )


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    above = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    if len(level) % 2:
        above.append(level[-1])
    return above


def _siblings(nodes: Sequence[bytes], index: int) -> list[Step]:
    """Return the path from one node of a list to the root over the list."""
    path: list[Step] = []
    level = nodes
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(("left" if sibling < index else "right", level[sibling]))
        level, index = _above(level), index // 2
    return path


def _step(data: object) -> Step:
    if not isinstance(data, dict) or data.keys() != {"side", "hash"}:
        raise ValueError("inclusion proof: a step is not an object with exactly side, hash")
    if data["side"] not in ("left", "right"):
        raise ValueError("inclusion proof: a step's side is neither left nor right")
    return cast("Side", data["side"]), _unhex(data["hash"], "a step's hash", 32)


def _unhex(value: object, what: str, size: int | None = None) -> bytes:
    # ``bytes.fromhex`` alone would also take blanks and upper-case digits.
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise ValueError(f"inclusion proof: {what} is not lower-case hex")
    if size is not None and len(value) != 2 * size:
        raise ValueError(f"inclusion proof: {what} has {len(value) // 2} bytes, not {size}")
    return bytes.fromhex(value)
