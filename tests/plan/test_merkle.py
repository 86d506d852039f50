"""The tree hash compared with RFC 6962's definition, and what it binds."""

from __future__ import annotations

import json
import time
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.files import SHIPPED
from runner.model import Aggregation
from runner.plan import merkle
from runner.plan.journal import AggregationResult
from runner.plan.merkle import (
    InclusionProof,
    check_inclusion,
    combined_hash,
    inclusion_path,
    leaf_hash,
)
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


def test_domains_are_apart() -> None:
    assert leaf_hash(bytes(32), b"") == sha256(bytes(33)).digest()
    assert leaf_hash(IMAGE, b"j") == sha256(b"\x00" + IMAGE + b"j").digest()
    assert merkle.node_hash(b"a", b"b") == sha256(b"\x01ab").digest()


# Known answers, which the guest's own tests read too.
VECTORS: dict[str, Any] = json.loads((SHIPPED / "guests" / "core" / "vectors.json").read_text())


def hashes_of(leaves: list[dict[str, str]]) -> list[bytes]:
    return [
        leaf_hash(bytes.fromhex(leaf["image_id"]), bytes.fromhex(leaf["journal"]))
        for leaf in leaves
    ]


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


@given(journals, st.sampled_from(AGGREGATED), st.integers(2, 9) | st.just("auto"))
def test_every_leaf_is_included(batch: list[bytes], strategy: str, fan_in: int | str) -> None:
    plan, hashes = tree(batch, strategy, fan_in)
    expected = combined_hash(plan, hashes)
    for position, journal in enumerate(batch):
        path = inclusion_path(plan, hashes, position)
        assert check_inclusion(leaf_hash(IMAGE, journal), path, expected)


def proof_of(batch: list[bytes], position: int) -> InclusionProof:
    plan, hashes = tree(batch, "two_level", 3)
    return InclusionProof(
        position=position,
        count=len(batch),
        image_id=IMAGE,
        journal=batch[position],
        path=tuple(inclusion_path(plan, hashes, position)),
        root=combined_hash(plan, hashes),
    )


@given(journals, st.data())
def test_any_altered_byte_is_rejected(batch: list[bytes], data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(batch) - 1))
    good = proof_of(batch, position)
    assert good.holds()
    plain = json.loads(json.dumps(good.to_json()))
    assert InclusionProof.from_json(plain) == good

    spots: list[tuple[Any, str | int]] = [(plain, "image_id"), (plain, "root")]
    spots += [(step, "hash") for step in plain["path"]]
    spots += [(plain, "journal")] if plain["journal"] else []
    holder, key = data.draw(st.sampled_from(spots))
    digits = holder[key]
    at = data.draw(st.integers(0, len(digits) - 1))
    other = data.draw(st.sampled_from("0123456789abcdef").filter(lambda d: d != digits[at]))
    holder[key] = digits[:at] + other + digits[at + 1 :]
    assert not InclusionProof.from_json(plain).holds()


def test_sides_matter_and_malformed_paths_do_not_hold() -> None:
    leaf, other = bytes(32), bytes([1] * 32)
    expected = merkle.node_hash(leaf, other)
    assert check_inclusion(leaf, [("right", other)], expected)
    assert not check_inclusion(leaf, [("left", other)], expected)
    assert not check_inclusion(leaf, [("middle", other)], expected)  # type: ignore[list-item]
    assert not check_inclusion(leaf, [], expected)
    assert not check_inclusion(leaf, [("right", other[:31])], expected)
    assert not check_inclusion(leaf[:31], [("right", other)], expected)
    assert not check_inclusion(leaf, [("right", other)] * 1000, expected)


def test_paths_have_a_longest_length() -> None:
    node = bytes(32)
    path: list[merkle.Step] = [("left", bytes(32))] * merkle.MAX_PATH
    for _ in path:
        node = merkle.node_hash(bytes(32), node)
    assert check_inclusion(bytes(32), path, node)
    path.append(("left", bytes(32)))
    assert not check_inclusion(bytes(32), path, merkle.node_hash(bytes(32), node))


def test_a_node_does_not_pass_for_a_leaf() -> None:
    # Image ids and journals are hashed in another domain than inner nodes, so that the bytes of a
    # node cannot pass for a leaf.
    left, right = leaf_hash(IMAGE, b"a"), leaf_hash(IMAGE, b"b")
    assert leaf_hash(left, right) != merkle.node_hash(left, right)


@pytest.mark.parametrize("position", [-1, 4])
def test_no_such_position(position: int) -> None:
    plan = make_plan("single", range(4))
    with pytest.raises(ValueError, match="not in 0 to 3"):
        inclusion_path(plan, [bytes(32)] * 4, position)


def test_nothing_is_included_in_a_batch_without_a_root() -> None:
    plan = make_plan("none", range(4))
    with pytest.raises(ValueError, match="strategy none"):
        inclusion_path(plan, [bytes(32)] * 4, 0)
    with pytest.raises(ValueError, match="strategy none"):
        combined_hash(plan, [bytes(32)] * 4)


GOOD = proof_of([b"a", b"b", b"c", b"d"], 1).to_json()


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (None, "not an object"),
        ([], "not an object"),
        ({}, "not an object"),
        (GOOD | {"more": 1}, "not an object"),
        (GOOD | {"position": 4}, "position"),
        (GOOD | {"position": -1}, "position"),
        (GOOD | {"position": True}, "position"),
        (GOOD | {"count": 2**32}, "position"),
        (GOOD | {"count": "4"}, "position"),
        (GOOD | {"root": GOOD["root"][2:]}, "root has 31 bytes"),
        (GOOD | {"root": GOOD["root"].upper()}, "root is not lower-case hex"),
        (GOOD | {"root": None}, "root is not"),
        (GOOD | {"image_id": "00"}, "image_id has 1 bytes"),
        (GOOD | {"journal": "0"}, "journal is not"),
        (GOOD | {"journal": "00 00"}, "journal is not"),
        (GOOD | {"path": None}, "path is not a list"),
        (GOOD | {"path": GOOD["path"] * 100}, "path is not a list of at most"),
        (GOOD | {"path": [["left", "00" * 32]]}, "a step is not"),
        (GOOD | {"path": [{"side": "up", "hash": "00" * 32}]}, "side is neither"),
        (GOOD | {"path": [{"side": ["left"], "hash": "00" * 32}]}, "side is neither"),
        (GOOD | {"path": [{"side": "left", "hash": "00" * 33}]}, "step's hash has 33"),
    ],
)
def test_other_json_is_refused(data: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        InclusionProof.from_json(data)


def test_a_hundred_thousand_leaves() -> None:
    hashes = [leaf_hash(IMAGE, i.to_bytes(4, "little")) for i in range(10**5)]
    plan = make_plan("three_level", range(10**5))
    start = time.process_time()
    expected = combined_hash(plan, hashes)
    path = inclusion_path(plan, hashes, 77_777)
    assert time.process_time() - start < 2
    assert check_inclusion(hashes[77_777], path, expected)
    assert len(path) <= 17


def test_an_aggregate_is_what_the_guests_vectors_say() -> None:
    own, leaf = bytes(range(32)), bytes(32)
    leaves = [(leaf, b"%d" % i) for i in range(5)]
    low = merkle.aggregate(own, leaves[:2]), merkle.aggregate(own, leaves[2:4])
    top = merkle.aggregate(own, [*((own, part.encode()) for part in low), leaves[4]])
    assert top.verified_count == 5
    assert top.combined_hash == merkle.root([merkle.leaf_hash(*claim) for claim in leaves])


def test_an_aggregate_of_another_aggregator_has_no_result() -> None:
    own, other = bytes(32), bytes([1]) * 32
    stranger = merkle.aggregate(other, [(bytes([2]) * 32, b"")])
    with pytest.raises(ValueError, match="another program"):
        merkle.aggregate(own, [(own, stranger.encode())])
