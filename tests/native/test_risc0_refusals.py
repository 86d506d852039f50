"""What the RISC Zero extension refuses before it proves anything, and with which code."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest
import runner_risc0 as native

from tests.native.risc0 import CODES, GUESTS, RECURSION, elf, failure, word

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("name", sorted(GUESTS))
def test_empty_input_fails_the_guest(name: str) -> None:
    code, message = failure(native.execute, elf(name), b"")
    assert code == "guest_failed"
    assert "ended too early" in message


@pytest.mark.parametrize("po2", [0, 12, 13, 23, 2**32 - 1])
def test_segment_size_out_of_range(po2: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: native.execute(elf("fibonacci"), word(1), segment_po2=po2),
        lambda: native.prove(elf("fibonacci"), word(1), segment_po2=po2),
    ]
    for call in calls:
        code, message = failure(call)
        assert code == "bad_argument"
        assert str(po2) in message


@pytest.mark.parametrize("size", [0, 31, 33])
def test_an_image_id_has_32_bytes(size: int) -> None:
    calls: list[Callable[[], object]] = [
        lambda: native.execute(elf("fibonacci"), word(1), [(bytes(size), b"")]),
        lambda: native.verify(b"", bytes(size)),
    ]
    for call in calls:
        code, message = failure(call)
        assert code == "bad_argument"
        assert message.endswith(f"not {size}")


def test_an_unknown_kind_is_a_bad_argument() -> None:
    code, message = failure(lambda: native.prove(elf("fibonacci"), word(1), kind="fake"))
    assert code == "bad_argument"
    assert "fake" in message


def test_what_fails_before_proving_fails_the_same_way() -> None:
    calls: dict[str, Callable[[], object]] = {
        "guest_failed": lambda: native.prove(elf("fibonacci"), word(94)),
        "bad_elf": lambda: native.prove(b"", word(1)),
        "malformed_receipt": lambda: native.prove(elf("fibonacci"), word(1), [b"no receipt"]),
    }
    for expected, call in calls.items():
        assert failure(call)[0] == expected
    assert failure(lambda: native.prove(elf("fibonacci"), word(94), threads=2))[0] == "guest_failed"


@pytest.mark.skipif(RECURSION, reason="this build makes succinct receipts")
@pytest.mark.parametrize("kind", ["succinct", "groth16"])
def test_without_recursion_only_composite_receipts(kind: str) -> None:
    code, message = failure(lambda: native.prove(elf("fibonacci"), word(1), kind=kind))
    assert code == "unavailable"
    assert "recursion" in message
    assert native.build_info()["receipt_kinds"] == ["composite"]


def test_errors_survive_pickling() -> None:
    with pytest.raises(native.NativeError) as caught:
        native.image_id(b"")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is native.NativeError
    assert copy.args == caught.value.args
    assert copy.args[0] == "bad_elf"


def test_the_stub_names_every_code() -> None:
    documented = native.NativeError.__doc__
    assert documented is not None
    assert {code for code in CODES if code in documented} == CODES


def test_build_info() -> None:
    info = native.build_info()
    assert set(info) == {
        "module_version",
        "risc0_zkvm",
        "receipt_kinds",
        "recursion",
        "cuda",
        "all_kernels",
        "envelope_version",
        "simd",
    }
    assert info["receipt_kinds"][0] == "composite"
    assert info["envelope_version"] == 1
