"""Every file that is read from elsewhere, with any edit: it is refused, or the field is named.

An edit is found by hypothesis: a value anywhere in the file is replaced, taken away, or gets a
neighbour. Whoever reads the file must refuse it with an error of the runner, or say that the field
is not checked, or read the same as before. No other exception may come out.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.audit import __main__ as audit
from runner.audit.chain import GENESIS, make_line
from runner.audit.check import LOG_NAME
from runner.batch.run import run as run_batch
from runner.cache.labels import split
from runner.cache.origins import MadeFrom, Origin
from runner.cache.proof_cache import ProofCache
from runner.codec.reads import word_field
from runner.errors import InputError, LedgerCorruptError, LedgerNewerError, RunnerError
from runner.folder import LEAVES, RESULT, ROOT, SUMS, write_sums
from runner.inclusion import main as inclusion
from runner.jobs.entries import job_origin
from runner.metrics import Total
from runner.model import ProofJob, ReceiptKind
from runner.monitoring import ledger_file
from runner.monitoring.ledger import Ledger
from runner.plan.inputs import InputSpec, leaves
from runner.provers.guests import Manifest
from runner.provers.prover import load_prover
from runner.verify.__main__ import main as verify
from runner.verify.checks import verify_folder
from runner.verify.verified import PinnedIds
from tests import builders
from tests.cache.entries import MEMORY, rewrite
from tests.fakes.guests import write_guests
from tests.fakes.prover import ADAPTER

if TYPE_CHECKING:
    from collections.abc import Iterator

Where = tuple[str | int, ...]

texts = st.text(st.characters(codec=None), max_size=8) | st.sampled_from(
    ["", "\0", "\ud800", "../x", "/dev/zero", "ok", "ab" * 32, "AB" * 32, "1" * 400]
)
numbers = st.integers() | st.sampled_from([0, 1, -1, 1 << 31, 1 << 63, 10**400])
floats = st.floats() | st.sampled_from([0.0, 1.0, -0.0, 1e308])
values = st.recursive(
    st.none() | st.booleans() | numbers | floats | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)

few = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def places(value: object, where: Where = ()) -> Iterator[Where]:
    """The place of every value in a JSON value, its own first."""
    yield where
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for name, entry in inner:
        yield from places(entry, (*where, name))


class Edit:
    """An edited JSON value, and the place that was edited. Hypothesis prints it by its repr."""

    def __init__(self, where: Where, value: Any) -> None:  # noqa: ANN401  # any JSON value
        self.where = where
        self.value = value

    def __repr__(self) -> str:
        """The place and what is there now, without the rest of the file."""
        found = self.value
        try:
            for step in self.where:
                found = found[step]
        except (KeyError, IndexError):
            found = "nothing"
        return f"{self.where} = {found!r}"


@st.composite
def edits(draw: st.DrawFn, value: object) -> Edit:
    where = draw(st.sampled_from([*places(value)][1:]))
    found: Any = copy.deepcopy(value)
    holder = found
    for step in where[:-1]:
        holder = holder[step]
    last = where[-1]
    match draw(st.sampled_from(["replace", "nudge", "remove", "add", "rename"])):
        case "remove":
            del holder[last]
        case "add" if isinstance(holder, dict):
            name = draw(texts)
            holder[name] = draw(values)
            where = (*where[:-1], name)
        case "add":
            holder.insert(last, draw(values | st.just(copy.deepcopy(holder[last]))))
        case "rename" if isinstance(holder, dict):
            holder[draw(texts)] = holder.pop(last)
        case "nudge" if isinstance(holder[last], (int, float)):
            holder[last] += 1
        case "nudge" if isinstance(holder[last], str) and holder[last]:
            at = draw(st.integers(0, len(holder[last]) - 1))
            holder[last] = holder[last][:at] + draw(st.characters()) + holder[last][at + 1 :]
        case _:
            holder[last] = draw(values)
    return Edit(where, found)


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same, down to the types of numbers."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def one_line(error: Exception) -> None:
    assert len(str(error).splitlines()) == 1


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    # Hundreds of waits for a disk would take most of the time.
    with tempfile.TemporaryDirectory(dir=MEMORY) as made:
        yield Path(made)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Guests, and a batch of them with an audit log, a cache and an inclusion proof."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as made:
        _make(Path(made))
        yield Path(made)


def _make(home: Path) -> None:
    guests = home / "guests"
    write_guests(guests)
    config = {"guest": {"journal": "hex", "name": "sha256"}, "strategy": {"name": "auto"}}
    run_batch(
        builders.batch_settings(
            home / "batch",
            guests,
            inputs=["a", "b", "c", "b", "d"],
            count=None,
            config=config,
            strategy=builders.strategy("two_level", 2),
            audit=home / "batch" / LOG_NAME,
            cache=builders.disk_cache(home / "proofs"),
        )
    )
    command = ["--guests", str(guests), "--adapter", ADAPTER]
    proof = ["--leaf", "3", "--out", str(home / "proof.json")]
    assert verify([str(home / "batch"), *command, *proof]) == 0


@pytest.fixture
def batch(home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(home / "batch", tmp_path / "batch")


def sums(folder: Path) -> None:
    names = [line.partition("  ")[2] for line in (folder / SUMS).read_text().splitlines()]
    write_sums(folder, names)


def claims(folder: Path, guests: Path) -> tuple[str, ...] | None:
    """The fields that the verifier says it did not check, or None if it refuses the folder."""
    prover = load_prover(builders.prover(ReceiptKind.COMPOSITE))
    try:
        return tuple(verify_folder(folder, PinnedIds.of(Manifest.load(guests)), prover).claims_only)
    except RunnerError as error:
        one_line(error)
        return None


def named(where: Where, names: tuple[str, ...]) -> bool:
    """Whether a place is one of the fields, is below one, or is above some."""
    own = ""
    for step in where:
        part = "".join(c if c.isprintable() else "?" for c in str(step))[:80] or '""'
        own += "[]" if isinstance(step, int) else f".{part}"
    own = own.removeprefix(".")
    return any(
        name == own or own.startswith((f"{name}.", f"{name}[")) or name.startswith(f"{own}.")
        for name in names
    )


# -- the folder of a batch -----------------------------------------------------------------------


@few
@given(data=st.data())
def test_the_record(data: st.DataObject, batch: Path, home: Path) -> None:
    shutil.copytree(home / "batch", batch, dirs_exist_ok=True)
    record = json.loads((batch / RESULT).read_bytes())
    before = claims(batch, home / "guests")
    assert before is not None
    edit = data.draw(edits(record))
    (batch / RESULT).write_text(json.dumps(edit.value))
    sums(batch)
    after = claims(batch, home / "guests")
    if after is not None and not same(edit.value, record):
        assert named(edit.where, (*before, *after)), edit.where


@few
@given(data=st.data())
def test_the_leaf_list(data: st.DataObject, batch: Path, home: Path) -> None:
    shutil.copytree(home / "batch", batch, dirs_exist_ok=True)
    lines = [json.loads(line) for line in (batch / LEAVES).read_text().splitlines()]
    edit = data.draw(edits(lines))
    (batch / LEAVES).write_text("".join(json.dumps(line) + "\n" for line in edit.value))
    sums(batch)
    after = claims(batch, home / "guests")
    if after is not None and not same(edit.value, lines):
        assert f"{LEAVES}: input" in after
        assert "input" in edit.where[1:], edit.where


@few
@given(data=st.data())
def test_the_checksums(data: st.DataObject, batch: Path, home: Path) -> None:
    shutil.copytree(home / "batch", batch, dirs_exist_ok=True)
    whole = (batch / SUMS).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.binary(max_size=3) | st.sampled_from([b"\n", b"\0", b"../", b"/"]))
    edited = whole[:at] + new + whole[at + data.draw(st.integers(0, 70)) :]
    (batch / SUMS).write_bytes(edited)
    if claims(batch, home / "guests") is not None:
        # The same files are named with the same digests, or one that is not checked was left out.
        left = set(edited.decode(errors="replace").split()) - set(whole.decode().split())
        assert left == set()
        assert {RESULT, LEAVES, ROOT} <= set(edited.decode().split())


@few
@given(data=st.data())
def test_what_the_command_prints(
    data: st.DataObject, batch: Path, home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Where the edit is not refused, it is printed, and nothing in it may end the command."""
    shutil.copytree(home / "batch", batch, dirs_exist_ok=True)
    record = json.loads((batch / RESULT).read_bytes())
    edit = data.draw(edits(record))
    (batch / RESULT).write_text(json.dumps(edit.value))
    sums(batch)
    how = data.draw(st.sampled_from([[], ["--json"]]))
    options = ["--guests", str(home / "guests"), "--adapter", ADAPTER]
    assert verify([str(batch), *options, *how]) in {0, 1, 2}
    assert audit.main([str(batch)]) in {0, 1, 2}
    capfd.readouterr()


# -- the audit log -------------------------------------------------------------------------------


@few
@given(data=st.data())
def test_the_audit_log(data: st.DataObject, batch: Path, home: Path) -> None:
    """A forger makes the chain anew. Beside the folder that it belongs to, that shows."""
    shutil.copytree(home / "batch", batch, dirs_exist_ok=True)
    lines = [json.loads(line) for line in (batch / LOG_NAME).read_text().splitlines()]
    edit = data.draw(edits(lines))
    text, last = b"", GENESIS
    for number, line in enumerate(edit.value, start=1):
        fields = line if isinstance(line, dict) else {"event": line}
        fields = {k: v for k, v in fields.items() if k not in {"seq", "prev", "hash"}}
        try:
            made, last = make_line(number, last, fields)
        except ValueError:  # what is no JSON could not be written
            return
        text += made
    (batch / LOG_NAME).write_bytes(text)
    assert audit.main([str(batch / LOG_NAME)]) in {0, 1}
    anew = {"seq", "prev", "hash"} & set(map(str, edit.where[1:]))
    longer = same(edit.value[: len(lines)], lines)  # as by a later run, which may share the log
    if not longer and not anew:
        assert audit.main([str(batch)]) == 1


# -- inclusion proofs ----------------------------------------------------------------------------


@few
@given(data=st.data())
def test_an_inclusion_proof(
    data: st.DataObject, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = json.loads((home / "proof.json").read_bytes())
    edit = data.draw(edits(proof))
    (tmp_path / "proof.json").write_text(json.dumps(edit.value))
    options = ["--guests", str(home / "guests"), "--adapter", ADAPTER]
    receipt = ["--receipt", str(home / "batch" / ROOT)]
    code = inclusion([str(tmp_path / "proof.json"), *receipt, *options])
    out = capsys.readouterr().out
    assert code in {0, 1, 2}
    if code == 0 and not same(edit.value, proof):
        assert edit.where == ("position",)
        assert f"not proved, the prover's own word: position {edit.value['position']}\n" in out


# -- the ledger ----------------------------------------------------------------------------------


@few
@given(data=st.data(), seal=st.booleans())
def test_the_ledger(data: st.DataObject, seal: bool, tmp_path: Path) -> None:
    """Without the checksum made anew every edit is found; with it, what is read is usable."""
    total = Total("l2_errors_total", {"a": "b"}, 5)
    timed = Total("l2_x", {}, 5, (1.0, 2.0), (1, 2, 3))
    recent = ledger_file.RecentRun("a", 1.0, 2.0, 0.0, 4.0, "composite")
    contents = ledger_file.Contents((total, timed), (total,), ("a",), (recent,))
    file = json.loads(ledger_file.encode(contents))
    edit = data.draw(edits(file))
    if seal and isinstance(edit.value, dict) and {"version", "content"} <= edit.value.keys():
        try:
            edit.value["sha256"] = ledger_file._checksum(
                edit.value["version"], edit.value["content"]
            )
        except ValueError:  # what is no JSON has no checksum
            return
    ledger = Ledger(tmp_path / "ledger.json")
    ledger.path.write_text(json.dumps(edit.value))
    try:
        assert ledger.read().render()
        ledger.recent()
    except (LedgerCorruptError, LedgerNewerError):
        return
    assert seal or same(edit.value, file) or edit.where[0] not in {*file}


# -- inputs and guests ---------------------------------------------------------------------------

SPEC = InputSpec(
    (word_field("n", "u32"), word_field("data", "bytes"), word_field("text", "string")), ()
)


@few
@given(data=st.data())
def test_an_inputs_file(data: st.DataObject, tmp_path: Path) -> None:
    rows = [{"n": 1, "data": "00", "text": "a"}, {"n": 2, "data": "ff", "text": "b"}]
    edit = data.draw(edits(rows))
    path = tmp_path / "inputs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in edit.value))
    try:
        found = leaves(SPEC, inputs_file=path)
    except InputError as error:
        one_line(error)
        return
    assert same([leaf.value for leaf in found], edit.value)


@few
@given(data=st.data())
def test_a_manifest_of_guests(data: st.DataObject, home: Path, tmp_path: Path) -> None:
    """What the manifest pins is trusted. It must be read as it stands, or refused."""
    folder = shutil.copytree(home / "guests", tmp_path / "guests", dirs_exist_ok=True)
    manifest = json.loads((home / "guests" / "manifest.json").read_bytes())
    edit = data.draw(edits(manifest))
    (folder / "manifest.json").write_text(json.dumps(edit.value))
    try:
        found = Manifest.load(folder)
        for name, guest in found.guests.items():
            entry = edit.value["guests"][name]
            assert (guest.image_id.hex(), guest.elf_sha256) == (
                entry["image_id"],
                entry["elf_sha256"],
            )
            found.get(name)
    except InputError as error:
        one_line(error)


# -- the proof cache -----------------------------------------------------------------------------

UNCHECKED = {"guest", "cycles", "prove_s"}
"""The fields of a label that nothing is compared with: the name, and what was measured."""


@few
@given(data=st.data())
def test_the_label_of_a_cache_entry(data: st.DataObject, home: Path, tmp_path: Path) -> None:
    """A forger makes the digest anew and removes the index."""
    shutil.copytree(home / "proofs", tmp_path / "proofs", dirs_exist_ok=True)
    (tmp_path / "proofs" / "index.sqlite").unlink(missing_ok=True)
    blob = min((tmp_path / "proofs" / "objects").glob("*/*"))
    whole = blob.read_bytes()
    found = split(whole)
    assert found is not None
    label = json.loads(whole[found.first_line : found.start])
    edit = data.draw(edits(label))
    rewrite(blob, fields=edit.value)
    with ProofCache(tmp_path / "proofs", 100, 10_000_000) as cache:
        entry = cache.get(blob.name)
    if entry is None:
        return
    assert entry.made_from is not None
    differences = entry.made_from.differences(found.label.made_from)
    if not same(edit.value, label):
        assert differences or edit.where[0] in UNCHECKED, edit.where


def test_a_run_asks_for_every_field_of_a_label(home: Path) -> None:
    """The comparison of the test above is the one that a run makes."""
    guest = Manifest.load(home / "guests").get("sha256")
    job = ProofJob(0, "leaf 0", guest, b"a", (), ReceiptKind.COMPOSITE)
    asked = job_origin(load_prover(builders.prover(ReceiptKind.COMPOSITE)), job)
    names = {field.name for kind in (MadeFrom, Origin) for field in dataclasses.fields(kind)}
    assert dataclasses.asdict(asked).keys() == names - {"image_id", "kind", "origin"}
    made = MadeFrom(guest.image_id.hex(), "composite", asked)
    others = [dataclasses.replace(made, image_id="x"), dataclasses.replace(made, kind="x")]
    changed: list[dict[str, Any]] = [{"stdin": "x"}, {"zkvm": "x"}, {"zkvm_version": "x"}]
    origins = [dataclasses.replace(asked, **change) for change in (*changed, {"children": 9})]
    others += [dataclasses.replace(made, origin=origin) for origin in origins]
    found = [name for other in others for name in other.differences(made)]
    assert set(found) == names - {"guest", "origin"}
    assert len(found) == len(others)
    assert dataclasses.replace(made, origin=None).differences(made)
