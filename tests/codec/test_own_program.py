"""The user's own program encodes inputs: bounded, and its failures are errors of the input."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from runner.codec.own_program import Command, own_encoder
from runner.codec.values import UnusableError
from runner.errors import InputError
from runner.plan.inputs import InputSpec, leaves

if TYPE_CHECKING:
    from pathlib import Path


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import json, sys, time\n{text}")


def double(value: object) -> bytes:
    if value == "bad":
        raise KeyError(value)
    return str(value).encode() * 2


def text(value: object) -> str:
    return "no bytes"


def test_a_command_gets_json_and_prints_the_stdin() -> None:
    own = own_encoder(
        list(python("value = json.load(sys.stdin)\nsys.stdout.buffer.write(bytes(value['x']))"))
    )
    batch = leaves(InputSpec((), encoder=own), inputs=[{"x": [1, 2]}, {"x": [255]}])
    assert [leaf.stdin for leaf in batch] == [b"\1\2", b"\xff"]
    assert batch[0].value == {"x": [1, 2]}


def test_a_function_of_a_module() -> None:
    own = own_encoder("tests.codec.test_own_program:double")
    batch = leaves(InputSpec((), encoder=own), inputs=["a", 7])
    assert [(leaf.value, leaf.stdin) for leaf in batch] == [
        ({"input": "a"}, b"aa"),
        ({"input": 7}, b"77"),
    ]


def test_a_file_goes_through_the_program_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("a,b\n1,x\n")
    spec = InputSpec((), encoder=own_encoder("tests.codec.test_own_program:double"))
    assert leaves(spec, inputs_file=path)[0].stdin == b"{'a': '1', 'b': 'x'}" * 2
    with pytest.raises(InputError, match="no inputs of its own"):
        leaves(spec, count=2)


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("sys.exit('cannot do it')", "exit code 1: cannot do it"),
        ("sys.stderr.write('e' * 10**6)\nsys.exit(3)", "exit code 3: eee"),
        ("while True: print('x' * 10000)", "printed more than 1000 bytes"),
        ("time.sleep(60)", "no result within 0.5 s"),
        # What it has started ends with it, so that nothing holds its pipes open.
        ("import subprocess\nsubprocess.Popen(['sleep', '60'])\ntime.sleep(60)", "no result"),
    ],
)
def test_a_command_is_bounded(program: str, problem: str) -> None:
    # Only what sleeps has a limit that it reaches.
    timeout_s = 0.5 if "sleep" in program else 60.0
    with pytest.raises(UnusableError, match=problem) as caught:
        Command(python(program), timeout_s, most=1000)({"n": 1})
    assert caught.value.value == {"n": 1}
    assert len(str(caught.value.at("guest.inputs[0]"))) < 6000


def test_a_failing_function_names_the_input() -> None:
    spec = InputSpec((), encoder=own_encoder("tests.codec.test_own_program:double"))
    with pytest.raises(InputError, match=r"guest\.inputs\[1\] = 'bad': .*raised KeyError: 'bad'"):
        leaves(spec, inputs=["good", "bad"])
    other = InputSpec((), encoder=own_encoder("tests.codec.test_own_program:text"))
    with pytest.raises(InputError, match="returned str, not bytes"):
        leaves(other, inputs=["x"])


@pytest.mark.parametrize(
    "given",
    [
        "", "encode", "./encode x", [], [1], {"a": 1}, "no_such_module:f",
        "tests.codec.test_own_program:nothing", "tests.codec.test_own_program:__doc__",
        "os:path:x", "os; import x:y",
    ],
)  # fmt: skip
def test_what_is_no_program(given: object) -> None:
    with pytest.raises(InputError, match=r"guest\.encode"):
        own_encoder(given)


def test_a_command_that_is_not_there() -> None:
    with pytest.raises(InputError, match="No such file"):
        Command(("/no/such/program",))(1)
