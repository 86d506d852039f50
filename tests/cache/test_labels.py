"""What a blob says about its proof ties the proof to its key, with and without the index."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.cache.cache import CacheStats
from runner.cache.labels import MOST_BYTES, Label, split
from runner.cache.origins import MadeFrom, Origin
from runner.cache.proof_cache import ProofCache
from runner.model import Cycles, ReceiptKind
from tests.cache.entries import CYCLES, IMAGE, MAGIC, blob, key, on_disk, put, rewrite, tree

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = Origin("fibonacci", "ab" * 32, "risc0", "3.0.6", 0)
MADE_FROM = MadeFrom(IMAGE.hex(), "composite", ORIGIN)

digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
counts = st.integers(0, (1 << 63) - 1)
origins = st.builds(Origin, st.text(max_size=20), digests, st.text(max_size=9), st.text(), counts)
kinds = st.sampled_from([kind.value for kind in ReceiptKind])
labels = st.builds(
    Label,
    digests,
    st.builds(MadeFrom, digests, kinds, st.none() | origins),
    st.builds(Cycles, counts, counts, counts, counts),
    st.floats(0, allow_infinity=False, allow_nan=False),
)


def bare(folder: Path, name: str) -> None:
    """Make an entry what a version before the labels had left: the proof alone, and its row."""
    path = blob(folder, name)
    found = split(path.read_bytes())
    assert found is not None
    proof = path.read_bytes()[found.start :]
    path.write_bytes(proof)
    with contextlib.closing(sqlite3.connect(folder / "index.sqlite")) as db, db:
        digest = hashlib.sha256(proof).hexdigest()
        db.execute("UPDATE entries SET sha256 = ? WHERE key = ?", (digest, key(name)))


def exchange(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


def got(cache: ProofCache, name: str) -> bytes | None:
    entry = cache.get(key(name))
    return None if entry is None else entry.data


@pytest.fixture
def pair(folder: Path) -> Path:
    """A folder with the entries ``a`` and ``b``."""
    with ProofCache(folder, 9, 100) as cache:
        put(cache, "a", b"of a", origin=ORIGIN)
        put(cache, "b", b"of b", origin=ORIGIN)
    return folder


# -- entries of this version ---------------------------------------------------------------------


def test_an_entry_says_what_it_was_made_from(pair: Path) -> None:
    for index in ("there", "rebuilt"):
        if index == "rebuilt":
            (pair / "index.sqlite").unlink()
        with ProofCache(pair, 9, 100) as cache, cache.view() as view:
            entry = cache.get(key("a"))
            assert entry is not None
            assert (entry.data, entry.made_from) == (b"of a", MADE_FROM)
            assert (entry.cycles, entry.prove_s) == (CYCLES, 17.5)
            assert view.find(key("a")).made_from == MADE_FROM
            assert len(view.variants("fibonacci", "ab" * 32)) == 2
            assert view.without_origin() == 0
            assert cache.stats() == CacheStats(2, 8) == on_disk(pair)


@pytest.mark.parametrize("index", ["there", "removed", "damaged"])
def test_two_blobs_that_change_places_are_not_found(index: str, pair: Path) -> None:
    exchange(blob(pair, "a"), blob(pair, "b"))
    if index == "removed":
        (pair / "index.sqlite").unlink()
    if index == "damaged":
        (pair / "index.sqlite").write_bytes(b"x" * 5000)
    with ProofCache(pair, 9, 100).view() as view:
        assert view.find(key("a")).data is None
    with ProofCache(pair, 9, 100) as cache:
        assert (got(cache, "a"), got(cache, "b")) == (None, None)
        assert cache.stats() == CacheStats(0, 0) == on_disk(pair)
    assert len([*(pair / "quarantine").glob("*.reason")]) == 2


def test_an_index_whose_rows_change_places_as_well_is_no_help(pair: Path) -> None:
    exchange(blob(pair, "a"), blob(pair, "b"))
    with contextlib.closing(sqlite3.connect(pair / "index.sqlite")) as db, db:
        rows = dict(db.execute("SELECT key, sha256 FROM entries").fetchall())
        for name, other in (("a", "b"), ("b", "a")):
            digest = rows[key(other)]
            db.execute("UPDATE entries SET sha256 = ? WHERE key = ?", (digest, key(name)))
    with ProofCache(pair, 9, 100) as cache:
        assert (got(cache, "a"), got(cache, "b")) == (None, None)
    reason = (pair / "quarantine" / f"{key('a')}-1.reason").read_text()
    assert reason == f"it is the proof with the key {key('b')}\n"


# -- entries of earlier versions ---------------------------------------------------------------


def test_a_bare_proof_is_found_by_its_row_alone(pair: Path) -> None:
    bare(pair, "a")
    with ProofCache(pair, 9, 100) as cache:
        entry = cache.get(key("a"))
        assert entry is not None
        assert (entry.data, entry.made_from, entry.cycles) == (b"of a", None, CYCLES)
    (pair / "index.sqlite").unlink()
    with ProofCache(pair, 9, 100).view() as view:
        assert (view.find(key("a")).data, view.find(key("b")).data) == (None, b"of b")
    with ProofCache(pair, 9, 100) as cache:
        assert (got(cache, "a"), got(cache, "b")) == (None, b"of b")
        put(cache, "a", b"anew")
        assert got(cache, "a") == b"anew"
    reason = (pair / "quarantine" / f"{key('a')}-1.reason").read_text()
    assert reason == "nothing says what it was made from\n"


@pytest.mark.parametrize("digest", ["NULL", "sha256"])
def test_a_row_that_an_earlier_version_rebuilt_ties_a_bare_proof_to_nothing(
    digest: str, pair: Path
) -> None:
    """That version took in every blob, and recorded the digest when it was first read."""
    bare(pair, "a")
    with contextlib.closing(sqlite3.connect(pair / "index.sqlite")) as db, db:
        db.execute(f"UPDATE entries SET sha256 = {digest}, image_id = NULL, kind = NULL")
    with ProofCache(pair, 9, 100) as cache:
        assert (got(cache, "a"), got(cache, "b")) == (None, b"of b")


def test_two_bare_proofs_that_change_places_are_not_found(pair: Path) -> None:
    bare(pair, "a")
    bare(pair, "b")
    exchange(blob(pair, "a"), blob(pair, "b"))
    with ProofCache(pair, 9, 100) as cache:
        assert (got(cache, "a"), got(cache, "b")) == (None, None)


# -- labels that were edited -------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(labels, st.binary(max_size=50))
def test_a_label_is_read_as_it_was_written(label: Label, proof: bytes) -> None:
    content, digest = label.before(proof)
    found = split(content)
    assert found is not None
    assert (found.label, found.sha256, content[found.start :]) == (label, digest, proof)
    assert hashlib.sha256(content[found.first_line :]).hexdigest() == digest


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_byte_of_a_blob_can_change(data: st.DataObject) -> None:
    content, _ = Label(key("a"), MADE_FROM, CYCLES, 1.5).before(b"proof")
    at = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        found = split(bytes(changed))
    except ValueError as error:
        assert str(error).startswith("its label cannot be used")  # noqa: PT017  # one of two ways
        return
    # What is left of a damaged first line is a bare proof, which needs a row with its own digest.
    covered = bytes(changed) if found is None else bytes(changed[found.first_line :])
    assert found is None or hashlib.sha256(covered).hexdigest() != found.sha256


WRONG: dict[str, list[Any]] = {
    "key": [None, 1, "", "AB" * 32, "ab" * 31, ["ab" * 32]],
    "image_id": [None, 1, "", "AB" * 32, "ab" * 33],
    "kind": [None, 1, "", "Composite", ["composite"], {}],
    "guest": [None, 1, ["fibonacci"], "\ud800"],
    "stdin": [None, 1, "", "xy" * 32],
    "zkvm": [None, 1, {}],
    "zkvm_version": [None, 3.0, []],
    "children": [None, -1, 1.0, True, "0", 1 << 63],
    "cycles": [None, 1, [], [1, 2, 3], [1, 2, 3, 4, 5], [1, 2, 3, -4], [1, 2, 3, True], [1.0] * 4],
    "prove_s": [None, "1", -1.0, True, [1.0], 10**400],
    "another": [1],
}


@pytest.mark.parametrize(
    ("field", "value"), [(f, v) for f, values in WRONG.items() for v in values]
)
def test_a_label_of_another_form_is_set_aside_with_the_index_and_without(
    field: str,
    value: Any,  # noqa: ANN401  # any JSON value
    pair: Path,
) -> None:
    rewrite(blob(pair, "a"), **{field: value})
    with ProofCache(pair, 9, 100).view() as view:
        assert "label cannot be used" in view.find(key("a")).fault
    (pair / "index.sqlite").unlink()
    with ProofCache(pair, 9, 100) as cache:
        assert (got(cache, "a"), got(cache, "b")) == (None, b"of b")
    assert "label cannot be used" in (pair / "quarantine" / f"{key('a')}-1.reason").read_text()


def test_every_field_of_a_label_is_tried(pair: Path) -> None:
    found = blob(pair, "a").read_bytes().split(b"\n")[1]
    assert json.loads(found).keys() == WRONG.keys() - {"another"}


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 5000,
        b"{" * MOST_BYTES,
        b'{"key": 1, "key": 2}',
        b"NaN",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"",
        b" " * (2 * MOST_BYTES),
    ],
)
def test_a_label_made_to_deceive_is_set_aside(line: bytes, pair: Path) -> None:
    rest = line + b"\nproof"
    digest = hashlib.sha256(rest).hexdigest().encode()
    blob(pair, "a").write_bytes(MAGIC + digest + b"\n" + rest)
    (pair / "index.sqlite").unlink()
    with ProofCache(pair, 9, 100) as cache:
        assert (got(cache, "a"), got(cache, "b")) == (None, b"of b")


def test_seconds_that_are_no_number_are_not_kept(folder: Path) -> None:
    with ProofCache(folder, 9, 100) as cache, pytest.raises(ValueError, match="JSON"):
        put(cache, "a", prove_s=math.nan)


# -- an index from elsewhere ---------------------------------------------------------------------

ENDLESS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c"


@pytest.mark.parametrize(
    "statements",
    [
        f"DROP TABLE intents; CREATE VIEW intents AS {ENDLESS}",
        "CREATE TRIGGER more AFTER UPDATE ON entries BEGIN DELETE FROM entries; END",
        "CREATE VIEW another AS SELECT 1",
        "DROP TABLE totals",
        "DROP TRIGGER added; CREATE TRIGGER added AFTER INSERT ON entries BEGIN SELECT 1; END",
        "UPDATE entries SET user_cycles = 'many'",
        "UPDATE entries SET size = 'large', sha256 = x'00'",
        "UPDATE entries SET prove_s = 'long'",
        "INSERT INTO intents VALUES ('x', 'no JSON')",
        "INSERT INTO intents VALUES ('x', '[1]')",
        "INSERT INTO intents VALUES ('x', '{\"key\": 1}')",
        "INSERT INTO intents VALUES ('../../x', '[1]')",
        "INSERT INTO intents VALUES ('x', '" + "[" * 5000 + "')",
    ],
)
def test_an_index_with_what_this_program_does_not_write_is_rebuilt(
    statements: str, pair: Path
) -> None:
    with contextlib.closing(sqlite3.connect(pair / "index.sqlite")) as db:
        db.executescript(statements)
    before = tree(pair)
    with ProofCache(pair, 9, 100).view() as view:
        assert view.find(key("a")).data == b"of a"
    assert tree(pair) == before
    with ProofCache(pair, 9, 100) as cache:
        assert (got(cache, "a"), got(cache, "b")) == (b"of a", b"of b")
        assert cache.stats().entries == 2
    assert (pair / "index.sqlite.corrupt-1").exists()
