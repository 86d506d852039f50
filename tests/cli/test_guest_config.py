"""The guest's part of a config: what it reads, what it commits, and what is wrong with it."""

from __future__ import annotations

import pytest

from runner.errors import InputError
from runner.plan.inputs import leaves
from tests.cli.configs import settings

pytestmark = pytest.mark.usefixtures("hydra")

NO_FIELDS = ("guest.fields=[]", "~guest.series.n")
TYPES = "+guest.types.Point={struct: {x: i32, y: i32}}"


def test_a_schema_on_the_command_line() -> None:
    made = settings(
        *NO_FIELDS,
        TYPES,
        "guest.input={points: 'Vec<Point>', rest: {type: raw, frame: true}}",
        "guest.journal={sum: Point, count: u32}",
    )
    batch = leaves(made.spec, inputs=[{"points": [{"x": -1, "y": 2}], "rest": "hex:ff"}])
    assert batch[0].stdin.hex() == "01000000ffffffff0200000001000000ff"
    assert made.journal.show(bytes.fromhex("010000000200000003000000")) == {
        "sum": {"x": 1, "y": 2},
        "count": 3,
    }


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (["guest.input=u32"], "guest.input"),
        (["guest.encode=[cat]"], "guest.encode"),
        ([*NO_FIELDS, "guest.input=[u32]"], "guest.input"),
        ([*NO_FIELDS, "guest.input={n: u33}"], "guest.input.n"),
        (["guest.journal=u33"], "guest.journal"),
        (["guest.codec=xml"], "guest.codec"),
        (["+guest.types.A=B"], "guest.types.A"),
        ([*NO_FIELDS, "guest.encode=nothing"], "guest.encode"),
    ],
)
def test_what_is_wrong_is_named(overrides: list[str], field: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(*overrides)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("overrides", "value", "stdin"),
    [
        ([], "abcd", "0400000061626364"),
        (["guest.input={a: u32, b: u32}"], {"a": 1, "b": 2}, "0100000002000000"),
        (["guest.fields=[{name: n, type: u32}]"], 7, "07000000"),
    ],
)
def test_any_program_reads_a_byte_string_unless_it_is_told_otherwise(
    overrides: list[str], value: object, stdin: str
) -> None:
    made = settings("guest=program", "guest.elf=mine", *overrides)
    assert leaves(made.spec, inputs=[value])[0].stdin.hex() == stdin


def test_settings_that_need_others_say_so() -> None:
    with pytest.raises(InputError, match=r"dry_run_executes = True: .*give dry_run=true"):
        settings("dry_run_executes=true")
    with pytest.raises(InputError, match=r"on_failure = 'stop': .*give on_failure=continue"):
        settings("aggregate=succeeded")


def test_several_guests_in_one_batch() -> None:
    made = settings(
        "+guest@programs.sums=sha256",
        "guest.inputs=[{guest: sha256, input: a}, {guest: fibonacci, input: 5}]",
    )
    assert [leaf.guest for leaf in leaves(made.inputs_spec, inputs=made.inputs)] == [
        "sha256",
        "fibonacci",
    ]
    with pytest.raises(InputError, match=r"programs\.twice\.name = 'fibonacci': stands twice"):
        settings("+guest@programs.twice=fibonacci")
    with pytest.raises(InputError, match=r"programs\.sums\.count = 3: belongs to the batch"):
        settings("+guest@programs.sums=sha256", "programs.sums.count=3")
