"""What the tests of the RISC Zero extension share: guests, claims, and codes of errors."""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
import runner_risc0 as native

from runner.plan import merkle
from runner.plan.journal import AggregationResult, aggregator_stdin
from runner.provers.guests import AGGREGATOR, DEFAULT_FOLDER, Manifest, read_elf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


CODES = {
    "bad_argument",
    "bad_elf",
    "guest_failed",
    "malformed_receipt",
    "verification_failed",
    "unavailable",
    "prover_failed",
    "cuda_failed",
    "unprovable",
    "bad_segment",
    "internal",
}
RECURSION = bool(native.build_info()["recursion"])

Claim = tuple[bytes, bytes]
"""A claim: an image id and a journal."""

GUESTS = Manifest.load(DEFAULT_FOLDER).guests


def elf(name: str) -> bytes:
    return read_elf(GUESTS[name])


def image_id(name: str) -> bytes:
    return GUESTS[name].image_id


def failure(call: Callable[..., object], *args: object) -> tuple[str, str]:
    """The code and the message with which the call fails."""
    with pytest.raises(native.NativeError) as caught:
        call(*args)
    assert len(caught.value.args) == 2
    code, message = caught.value.args
    assert code in CODES
    assert isinstance(message, str)
    assert message
    return code, message


def word(value: int) -> bytes:
    return struct.pack("<I", value)


def fibonacci(n: int) -> native.Execution:
    return native.execute(elf("fibonacci"), word(n))


def number(execution: native.Execution) -> int:
    assert len(execution.journal) == 8
    return int.from_bytes(execution.journal, "little")


def aggregate(children: Sequence[Claim], assumptions: Sequence[Claim]) -> native.Execution:
    stdin = aggregator_stdin(image_id(AGGREGATOR), children)
    return native.execute(elf(AGGREGATOR), stdin, list(assumptions))


def result_over(nodes: Sequence[tuple[int, bytes]]) -> AggregationResult:
    """The journal that an aggregation over these children should commit: leaves below, and node."""
    root = merkle.root([node for _, node in nodes])
    return AggregationResult(image_id(AGGREGATOR), sum(count for count, _ in nodes), root)


def leaf(number_of: int) -> Claim:
    """A claim of a program that does not exist. The executor believes every claim."""
    program = hashlib.sha256(b"program %d" % number_of).digest()
    return program, bytes(range(number_of % 40))


def python(code: str, *args: str, **environment: str) -> str:
    """The standard output of a fresh interpreter. A crash or an error fails the test."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


# Real proofs.


class Proofs(NamedTuple):
    fibonacci: bytes
    sha256: native.Proof
    aggregation: native.Proof
    children: list[Claim]


PROVE = """
import sys
from pathlib import Path
import runner_risc0 as native
proof = native.prove(Path(sys.argv[1]).read_bytes(), (10).to_bytes(4, "little"))
assert native.describe(proof.receipt).seal_bytes > 100_000
Path(sys.argv[2]).write_bytes(proof.receipt)
"""
