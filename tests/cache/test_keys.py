"""A key must change with every field and with every move of bytes between fields."""

from __future__ import annotations

import hashlib
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.cache.keys import proof_key
from runner.model import ReceiptKind

PROVABLE = [kind for kind in ReceiptKind if kind is not ReceiptKind.EXECUTE]
Fields = tuple[str, str, ReceiptKind, bytes, bytes]

# The texts are few and short and of few letters, so that equal and shifted fields come up often.
names = st.text(alphabet="ab1.", max_size=4)
fields = st.tuples(
    names,
    names,
    st.sampled_from(PROVABLE),
    st.sampled_from([bytes(32), b"\x01" * 32, b"a" * 32]),
    st.binary(max_size=4),
)


def key(of: Fields) -> str:
    zkvm, version, kind, image_id, stdin = of
    return proof_key(zkvm=zkvm, zkvm_version=version, kind=kind, image_id=image_id, stdin=stdin)


def test_known_answers() -> None:
    # This key was computed from the description and not by the module. If it changes, nothing in
    # an existing cache is found any more.
    encoded = b"".join(
        len(part).to_bytes(8, "big") + part
        for part in (
            b"zk-batch-runner/proof-key",
            b"1",
            b"risc0",
            b"3.0.6",
            b"composite",
            bytes(range(32)),
            b"\x0a\0\0\0",
        )
    )
    got = key(("risc0", "3.0.6", ReceiptKind.COMPOSITE, bytes(range(32)), b"\x0a\0\0\0"))
    assert got == hashlib.sha256(encoded).hexdigest()
    assert got == "61ace04400f969908ecfaff859f92efd4ea8936fdf1b920df46b6226c5c93443"


@given(fields)
def test_is_64_hex_characters_and_repeats(one: Fields) -> None:
    assert len(key(one)) == 64
    assert set(key(one)) <= set(string.hexdigits.lower())
    assert key(one) == key(one)


@given(fields, fields)
def test_equal_only_for_equal_fields(one: Fields, other: Fields) -> None:
    assert (key(one) == key(other)) == (one == other)


@given(st.text(min_size=1, max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_moving_the_border_between_names_changes_the_key(text: str, i: int, j: int) -> None:
    i, j = min(i, len(text)), min(j, len(text))

    def cut(at: int) -> str:
        return key((text[:at], text[at:], ReceiptKind.COMPOSITE, bytes(32), b""))

    assert (cut(i) == cut(j)) == (i == j)


@given(fields, st.binary(min_size=1, max_size=3))
def test_more_input_is_another_key(one: Fields, more: bytes) -> None:
    zkvm, version, kind, image_id, stdin = one
    assert key(one) != key((zkvm, version, kind, image_id, stdin + more))


def test_every_kind_has_its_own_key() -> None:
    keys = {key(("risc0", "3.0.6", kind, bytes(32), b"")) for kind in PROVABLE}
    assert len(keys) == len(PROVABLE) == 3


def test_execute_is_refused() -> None:
    with pytest.raises(ValueError, match="no receipt"):
        key(("risc0", "3.0.6", ReceiptKind.EXECUTE, bytes(32), b""))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_image_id_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        key(("risc0", "3.0.6", ReceiptKind.COMPOSITE, bytes(size), b""))
