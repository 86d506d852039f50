"""Every field of a batch's files is compared with what is proved, or is named as a claim."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch.run import run as run_batch
from runner.codec.reads import journal_layout
from runner.codec.work import unit_of
from runner.errors import VerificationFailedError
from runner.folder import LEAVES, RESULT, SUMS, write_sums
from runner.model import ReceiptKind
from runner.provers.guests import Manifest
from runner.provers.prover import load_prover
from runner.verify.checks import verify_folder
from runner.verify.verified import PinnedIds, VerifiedBatch
from tests import builders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Path_ = tuple[str | int, ...]

CONFIG = {"guest": {"journal": "hex", "name": "sha256"}, "strategy": {"name": "auto"}}


@pytest.fixture(params=["two_level", "none"])
def batch(request: pytest.FixtureRequest, tmp_path: Path, guests: Path) -> Path:
    folder = tmp_path / "batch"
    strategy = builders.strategy(request.param, 2 if request.param == "two_level" else "auto")
    changes = {"inputs": ["a", "b", "c", "b", "d"], "count": None, "strategy": strategy}
    run_batch(builders.batch_settings(folder, guests, config=CONFIG, **changes))
    return folder


def check(folder: Path, guests: Path) -> VerifiedBatch:
    pins = PinnedIds.of(Manifest.load(guests))
    return verify_folder(folder, pins, load_prover(builders.prover(ReceiptKind.COMPOSITE)))


def sums(folder: Path) -> None:
    names = [line.partition("  ")[2] for line in (folder / SUMS).read_text().splitlines()]
    write_sums(folder, names)


def fields(value: object, where: Path_ = ()) -> Iterator[Path_]:
    """The place of every value that is no object and no list, and of every empty one."""
    if isinstance(value, dict) and value:
        for name, entry in value.items():
            yield from fields(entry, (*where, name))
    elif isinstance(value, list) and value:
        for index, entry in enumerate(value):
            yield from fields(entry, (*where, index))
    else:
        yield where


def changes(value: object) -> list[object]:
    """Other values for a field, among them those that compare as equal in Python."""
    if isinstance(value, bool):
        return [not value, int(value)]
    if isinstance(value, int):
        return [value + 1, float(value), *([bool(value)] if value in (0, 1) else [])]
    if isinstance(value, float):
        return [value + 1.5, str(value)]
    if isinstance(value, str):
        return [value + "x", value.upper() if value.upper() != value else value.lower() + " "]
    return ["something", 7]


def edited(record: Any, where: Path_, value: object) -> Any:  # noqa: ANN401  # JSON
    found = copy.deepcopy(record)
    inner = found
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    return found


def dotted(where: Path_) -> str:
    return "".join("[]" if isinstance(s, int) else f".{s}" for s in where).removeprefix(".")


def is_claim(where: Path_, claims: set[str]) -> bool:
    """Whether a field is named as a claim; a list of nothing but claims is one field."""
    name = dotted(where)
    return any(name == claim or name.startswith((f"{claim}.", f"{claim}[]")) for claim in claims)


def test_every_field_of_the_record_is_compared_or_named(batch: Path, guests: Path) -> None:
    claims = set(check(batch, guests).claims_only)
    record = json.loads((batch / RESULT).read_bytes())
    compared = 0
    for where in fields(record):
        inner = record
        for step in where:
            inner = inner[step]
        for value in changes(inner):
            (batch / RESULT).write_text(json.dumps(edited(record, where, value)))
            sums(batch)
            if is_claim(where, claims):
                continue
            compared += 1
            with pytest.raises(VerificationFailedError):
                check(batch, guests)
    assert compared > 100


def test_a_field_that_is_named_can_say_anything(batch: Path, guests: Path) -> None:
    record = json.loads((batch / RESULT).read_bytes())
    record["machine"]["host"] = "elsewhere"
    record["summary"]["wall_s"] = 0.001
    record["a field"] = {"of nobody\x1b[31m": 1}
    record[""] = {"": 1}
    (batch / RESULT).write_text(json.dumps(record))
    sums(batch)
    claims = check(batch, guests).claims_only
    assert {"machine.host", "summary.wall_s", "a field.of nobody?[31m", '"".""'} <= set(claims)


def test_what_the_record_says_of_gpus_is_the_runs_own_word(batch: Path, guests: Path) -> None:
    record = json.loads((batch / RESULT).read_bytes())
    record["jobs"][1] |= {"gpu": "GPU-a", "gpu_s": 0.5, "gpu_error": ""}
    (batch / RESULT).write_text(json.dumps(record))
    sums(batch)
    claims = check(batch, guests).claims_only
    assert {"jobs[].gpu", "jobs[].gpu_s", "jobs[].gpu_error"} <= set(claims)


def test_what_people_rely_on_is_compared(batch: Path, guests: Path) -> None:
    """The fields that the record repeats from what is proved are not among the claims."""
    claims = check(batch, guests).claims_only
    for name in ("status", "kind", "plan", "receipts", "root", "jobs[].id", "jobs[].guest"):
        assert not is_claim((name,), set(claims))
    assert f"{LEAVES}: input" in claims


@pytest.mark.parametrize("field", ["index", "job", "guest", "image_id", "journal", "shows"])
def test_every_field_of_a_leaf_but_its_input_is_compared(
    field: str, batch: Path, guests: Path
) -> None:
    lines = [json.loads(line) for line in (batch / LEAVES).read_text().splitlines()]
    for value in changes(lines[1][field]):
        text = [dict(line) for line in lines]
        text[1][field] = value
        (batch / LEAVES).write_text("".join(json.dumps(line) + "\n" for line in text))
        sums(batch)
        with pytest.raises(VerificationFailedError):
            check(batch, guests)


@pytest.mark.parametrize(
    "edit",
    [
        lambda line: line.replace('"index"', '"index": 1, "index"', 1),
        lambda line: line.replace("}\n", ', "more": 1}\n'),
        lambda line: line.replace('"input": {', '"input": {"data": "x", ', 1),
        lambda line: line.replace('"shows"', '"show"'),
        lambda line: line.replace('"data": "b"', '"data": NaN'),
    ],
    ids=["a key twice", "another key", "a key twice below", "a key less", "no number"],
)
def test_a_line_that_two_readers_may_take_differently_is_refused(
    edit: Any,  # noqa: ANN401  # a function of a line
    batch: Path,
    guests: Path,
) -> None:
    lines = (batch / LEAVES).read_text().splitlines(keepends=True)
    lines[1] = edit(lines[1])
    (batch / LEAVES).write_text("".join(lines))
    sums(batch)
    with pytest.raises(VerificationFailedError, match=f"{LEAVES}: line 2"):
        check(batch, guests)


@pytest.mark.parametrize("strategy", ["two_level", "none"])
def test_work_is_counted_again_in_the_journals(tmp_path: Path, guests: Path, strategy: str) -> None:
    given = {"name": "transfers", "field": "low"}
    shape = {"journal": {"low": "u32", "rest": "raw"}}
    layout = journal_layout(shape)
    folder = tmp_path / "batch"
    run_batch(
        builders.batch_settings(
            folder,
            guests,
            inputs=["a", "b", "a"],
            count=None,
            strategy=builders.strategy(strategy),
            journal=layout,
            unit=unit_of(given, layout, "guest.work"),
            config={"guest": {"name": "sha256", "work": given, **shape}},
        )
    )
    assert "summary.work.transfers.per_s" in check(folder, guests).claims_only
    record = json.loads((folder / RESULT).read_bytes())
    lines = (folder / LEAVES).read_text().splitlines()
    counted = sum(json.loads(line)["shows"]["low"] for line in lines)
    assert record["summary"]["work"]["transfers"]["count"] == counted
    for where, value, problem in (
        (("summary", "work", "transfers", "count"), counted + 1, "transfers.count"),
        (("summary", "work", "batches"), {"count": 9, "per_s": 1.0}, "no guest counts this unit"),
        (("summary", "work"), {}, "work.transfers: is missing"),
        (("config", "guest", "work", "field"), "nothing", "not in the journal"),
    ):
        (folder / RESULT).write_text(json.dumps(edited(record, where, value)))
        sums(folder)
        with pytest.raises(VerificationFailedError, match=problem):
            check(folder, guests)
