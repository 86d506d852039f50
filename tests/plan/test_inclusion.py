"""Inclusion proofs: every leaf has one, and an altered one does not hold."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.plan import merkle
from runner.plan.merkle import (
    InclusionProof,
    check_inclusion,
    combined_hash,
    inclusion_path,
    leaf_hash,
)
from runner.plan.strategy import make_plan
from tests.plan.trees import AGGREGATED, IMAGE, journals, tree


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
