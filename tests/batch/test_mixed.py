"""Batches of several guests: each input names its guest, and the root binds each image id."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

from runner.batch.run import run as run_batch
from runner.batch.settings import Program
from runner.codec.reads import journal_layout, word_field
from runner.errors import BatchFailedError, InputError
from runner.folder import LEAVES, RESULT
from runner.plan.inputs import InputSpec
from runner.provers.guests import Manifest
from tests import builders
from tests.verify.folders import check, edit_leaves, edit_record, refused

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings

CONFIG = {
    "guest": {"name": "sha256", "journal": "hex"},
    "programs": {"small": {"name": "fibonacci", "journal": "u64"}},
}
INPUTS: list[Any] = [
    {"guest": "sha256", "input": "a"},
    {"guest": "fibonacci", "input": {"n": 10}},
    {"guest": "sha256", "input": {"data": "b"}},
    {"guest": "fibonacci", "input": 10},
    {"guest": "fibonacci", "input": 11},
]


def mixed(settings: Settings, inputs: list[object] | None = INPUTS, **changes: object) -> Settings:
    chosen: dict[str, Any] = {
        "programs": {
            "fibonacci": Program(
                InputSpec((word_field("n", "u32"),)), journal_layout({"journal": "u64"})
            )
        },
        "inputs": inputs,
        "count": None,
        "strategy": builders.strategy("two_level", 2),
        "config": CONFIG,
    }
    return dataclasses.replace(settings, **(chosen | changes))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LEAVES).read_text().splitlines()]


def test_each_leaf_runs_the_guest_that_it_names(settings: Settings, guests: Path) -> None:
    summary = run_batch(mixed(settings))
    assert (summary.leaves, summary.distinct) == (5, 4)
    manifest = Manifest.load(guests)
    found = lines(settings.output)
    assert [line["guest"] for line in found] == [one["guest"] for one in INPUTS]
    assert [line["image_id"] for line in found] == [
        manifest.get(line["guest"]).image_id.hex() for line in found
    ]
    assert [line["shows"] for line in found[1::2]] == ["55", "55"]
    assert found[4]["shows"] == "89"
    assert found[0]["input"] == {"data": "a"}
    data = json.loads((settings.output / RESULT).read_text())
    assert set(data["guests"]) == {"sha256", "fibonacci", "aggregator"}
    assert {job["guest"] for job in data["jobs"] if job["level"] == 0} == {"sha256", "fibonacci"}
    verified = check(settings.output, guests)
    assert verified.inclusion(4).holds()
    assert verified.inclusion(4).image_id == manifest.get("fibonacci").image_id


def test_a_leaf_of_another_guest_is_caught(settings: Settings, guests: Path) -> None:
    run_batch(mixed(settings))

    def swap(found: list[dict[str, Any]]) -> None:
        found[1]["image_id"] = found[3]["image_id"] = found[0]["image_id"]
        found[1]["guest"] = found[3]["guest"] = "sha256"

    edit_leaves(settings.output, swap)
    assert "combined_hash" in str(refused(settings.output, guests))


def test_a_guest_whose_journal_the_config_does_not_describe_is_caught(
    settings: Settings, guests: Path
) -> None:
    run_batch(mixed(settings))
    edit_record(settings.output, lambda data: data["config"].pop("programs"))
    assert "has no journal of fibonacci" in str(refused(settings.output, guests))


def test_the_same_input_of_two_guests_is_two_runs(settings: Settings, guests: Path) -> None:
    fields = InputSpec((word_field("data", "bytes"),))
    programs = {"echo": Program(fields, journal_layout({"journal": "hex"}))}
    inputs: list[object] = [{"guest": "sha256", "input": "a"}, {"guest": "echo", "input": "a"}]
    config = {"guest": CONFIG["guest"], "programs": {"echo": {"name": "echo", "journal": "hex"}}}
    run_batch(mixed(settings, inputs, programs=programs, config=config))
    first, second = lines(settings.output)
    assert first["journal"] != second["journal"]
    check(settings.output, guests)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("a", "does not name its guest"),
        ({"guest": "sha256"}, "does not name its guest"),
        ({"guest": "sha256", "input": "a", "n": 1}, "does not name its guest"),
        ({"guest": "sha512", "input": "a"}, r"inputs\[0\]\.guest = 'sha512': not a guest of this"),
        ({"guest": ["sha256"], "input": "a"}, "not a guest of this"),
        ({"guest": "fibonacci", "input": "a"}, r"inputs\[0\]\.input\.n = 'a': not a whole number"),
        ({"guest": "fibonacci", "input": {}}, "field n is missing"),
    ],
)
def test_inputs_that_do_not_name_a_guest(settings: Settings, value: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        run_batch(mixed(settings, [value]))


def test_a_mixed_batch_has_no_series(settings: Settings) -> None:
    with pytest.raises(InputError, match="no inputs of its own"):
        run_batch(mixed(settings, inputs=None, count=3))


def test_a_file_of_inputs_names_the_guests(
    settings: Settings, guests: Path, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in INPUTS))
    run_batch(mixed(settings, None, inputs_file=str(path)))
    check(settings.output, guests)
    path.write_text('{"guest": "sha512", "input": 1}\n')
    with pytest.raises(InputError, match=r"in\.jsonl:1': guest = 'sha512'"):
        run_batch(mixed(settings, None, inputs_file=str(path)))


def test_a_mixed_batch_goes_on_without_what_fails(settings: Settings, guests: Path) -> None:
    inputs: list[object] = [*INPUTS, {"guest": "fibonacci", "input": 94}]
    partial = mixed(settings, inputs, executor=builders.executor("continue"), aggregate="succeeded")
    with pytest.raises(BatchFailedError, match="1 of 6 leaves failed: leaf 5"):
        run_batch(partial)
    assert check(settings.output, guests).claims.count == 5
    assert lines(settings.output)[5]["guest"] == "fibonacci"
