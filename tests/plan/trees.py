"""Trees of leaves, and the tree hash by RFC 6962's own words."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from hypothesis import strategies as st

from runner.files import SHIPPED
from runner.plan.merkle import combined_hash, leaf_hash
from runner.plan.plan import Plan, distinct
from runner.plan.strategy import STRATEGIES, FanIn, make_plan

IMAGE = bytes(range(32))
AGGREGATED = [name for name in STRATEGIES if name != "none"]

journals = st.lists(st.binary(max_size=8), min_size=1, max_size=40)


def rfc_6962(nodes: list[bytes]) -> bytes:
    """The root by the recursive definition of the RFC, taken literally."""
    if len(nodes) == 1:
        return nodes[0]
    split = 1 << (len(nodes) - 1).bit_length() - 1
    return sha256(b"\x01" + rfc_6962(nodes[:split]) + rfc_6962(nodes[split:])).digest()


def tree(batch: list[bytes], strategy: str, fan_in: FanIn = "auto") -> tuple[Plan, list[bytes]]:
    leaves, _ = distinct(batch)
    plan = make_plan(strategy, leaves, fan_in=fan_in)
    return plan, [leaf_hash(IMAGE, batch[at]) for at in plan.first_positions()]


def batch_root(batch: list[bytes], fan_in: FanIn = 3) -> bytes:
    return combined_hash(*tree(batch, "two_level", fan_in))


# Known answers, which the guest's own tests read too.
VECTORS: dict[str, Any] = json.loads((SHIPPED / "guests" / "core" / "vectors.json").read_text())


def hashes_of(leaves: list[dict[str, str]]) -> list[bytes]:
    return [
        leaf_hash(bytes.fromhex(leaf["image_id"]), bytes.fromhex(leaf["journal"]))
        for leaf in leaves
    ]
