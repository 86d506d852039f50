"""The tree hash compared with RFC 6962's definition, and what it binds."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model import Aggregation
from runner.plan import merkle
from runner.plan.journal import AggregationResult
from runner.plan.merkle import combined_hash, leaf_hash
from runner.plan.plan import Plan
from runner.plan.strategy import make_plan
from tests.plan.trees import (
    AGGREGATED,
    IMAGE,
    VECTORS,
    batch_root,
    hashes_of,
    journals,
    rfc_6962,
    tree,
)


def test_certificate_transparency_vectors() -> None:
    # The Certificate Transparency project's reference roots over its first 1 to 8 test entries.
    entries = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ]
    leaves = [sha256(b"\x00" + bytes.fromhex(entry)).digest() for entry in entries]
    assert [merkle.root(leaves[:n]).hex()[:16] for n in range(1, 9)] == [
        "6e340b9cffb37a98",
        "fac54203e7cc696c",
        "aeb6bcfe274b70a1",
        "d37ee418976dd957",
        "4e3bbb1f7b478dcf",
        "76e67dadbcdf1e10",
        "ddb89be403809e32",
        "5dc9da79a70659a9",
    ]


def test_leaves_and_nodes_are_hashed_in_different_domains() -> None:
    assert leaf_hash(bytes(32), b"") == sha256(bytes(33)).digest()
    assert leaf_hash(IMAGE, b"j") == sha256(b"\x00" + IMAGE + b"j").digest()
    assert merkle.node_hash(b"a", b"b") == sha256(b"\x01ab").digest()


@pytest.mark.parametrize("case", VECTORS["trees"], ids=lambda case: str(case["count"]))
def test_the_guests_known_trees(case: dict[str, Any]) -> None:
    hashes = hashes_of(case["leaves"])
    for strategy in AGGREGATED:
        plan = make_plan(strategy, range(case["count"]))
        assert combined_hash(plan, hashes).hex() == case["combined_hash"]


def test_the_guests_known_nested_aggregation() -> None:
    nested = VECTORS["nested"]
    groups, after = nested["groups"], nested["leaves_after"]
    hashes = hashes_of([leaf for group in groups for leaf in group["leaves"]] + after)
    ids = iter(range(len(hashes)))
    children = [tuple([next(ids) for _ in group["leaves"]]) for group in groups]
    rest, first = tuple(ids), len(hashes)
    nodes = [Aggregation(first + i, 1, group) for i, group in enumerate(children)]
    top = Aggregation(first + len(nodes), 2, (*[node.id for node in nodes], *rest))
    plan = Plan("nested", tuple(range(first)), first, (*nodes, top), top.id)
    plan.validate()
    counts, known = plan.leaf_counts(), merkle.node_hashes(plan, hashes)
    for aggregation, expected in zip(plan.aggregations, [*groups, nested], strict=True):
        result = AggregationResult.decode(bytes.fromhex(expected["journal"]))
        assert result.self_image_id.hex() == nested["self_image_id"]
        assert result.verified_count == counts[aggregation.id] == expected["verified_count"]
        assert result.combined_hash == known[aggregation.id]
        assert result.combined_hash.hex() == expected["combined_hash"]
        assert result.encode().hex() == expected["journal"]


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70))
def test_root_is_rfc_6962(nodes: list[bytes]) -> None:
    assert merkle.root(nodes) == rfc_6962(nodes)


def test_sizes_are_checked() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        leaf_hash(b"short", b"")
    with pytest.raises(ValueError, match="no nodes"):
        merkle.root([])
    plan = make_plan("single", range(3))
    with pytest.raises(ValueError, match="2 leaf hashes for 3"):
        combined_hash(plan, [bytes(32)] * 2)


@given(journals, st.sampled_from(AGGREGATED), st.sampled_from(["auto", 2, 4, 8, 16]))
def test_powers_of_two_give_the_flat_root_whatever_the_strategy(
    batch: list[bytes], strategy: str, fan_in: int | str
) -> None:
    flat = merkle.root([leaf_hash(IMAGE, journal) for journal in batch])
    assert combined_hash(*tree(batch, strategy, fan_in)) == flat


@given(
    journals.filter(lambda batch: len(batch) > 1),
    st.sampled_from(["move", "drop", "swap", "repeat"]),
    st.data(),
    st.sampled_from([2, 3, "auto"]),
)
def test_any_change_to_the_batch_changes_the_root(
    batch: list[bytes], change: str, data: st.DataObject, fan_in: int | str
) -> None:
    i, j = data.draw(st.lists(st.integers(0, len(batch) - 1), min_size=2, max_size=2, unique=True))
    changed = list(batch)
    if change == "move":
        first, second = min(i, j), max(i, j)
        changed[first] += changed[second][:1]
        changed[second] = changed[second][1:]
    elif change == "drop":
        del changed[i]
    elif change == "swap":
        changed[i], changed[j] = changed[j], changed[i]
    else:
        changed.insert(i, changed[i])
    # It is no change to move nothing, or to swap equals.
    assert (batch_root(batch, fan_in) == batch_root(changed, fan_in)) == (batch == changed)
