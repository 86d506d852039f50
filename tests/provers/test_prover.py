"""How an adapter is found and loaded, and how it checks its own settings."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError, ProverError
from runner.model import ReceiptKind, Scalar
from runner.provers.native_module import not_installed, prover_errors
from runner.provers.prover import (
    BUILT_IN,
    ProverSpec,
    adapters,
    load_adapter,
    load_prover,
    own_settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RANGES = {"size": (1, 8), "depth": (0, 3)}


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package on the path that installs an adapter called ``jolt`` by an entry point."""
    info = tmp_path / "other_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    entry_points(tmp_path, "jolt = other_package:JoltProver")
    (tmp_path / "other_package.py").write_text(
        "class JoltProver:\n    def __init__(self, spec):\n        self.spec = spec\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    load_prover.cache_clear()
    yield tmp_path
    load_prover.cache_clear()
    sys.modules.pop("other_package", None)


def entry_points(folder: Path, *lines: str) -> None:
    """Write the entry points of the other package."""
    path = folder / "other_package-1.0.dist-info" / "entry_points.txt"
    path.write_text("\n".join(["[zk_batch_runner.provers]", *lines, ""]))
    importlib.invalidate_caches()  # importlib.metadata keeps what it has read of a folder


def spec_of(**settings: Scalar | None) -> ProverSpec:
    return ProverSpec("jolt", ReceiptKind.SUCCINCT, tuple(settings.items()))


# -- adapters by name -------------------------------------------------------------------------


def test_the_built_in_adapters_are_listed() -> None:
    assert adapters().items() >= BUILT_IN.items()
    assert {"risc0", "openvm"} <= BUILT_IN.keys()


def test_an_adapter_of_another_package_is_listed_and_loaded(other_package: Path) -> None:
    assert adapters()["jolt"] == "other_package:JoltProver"
    assert load_adapter("jolt").__module__ == "other_package"
    prover = load_prover(spec_of(size=3))
    assert vars(prover) == {"spec": spec_of(size=3)}
    assert load_prover(spec_of(size=3)) is prover


def test_another_package_cannot_replace_a_built_in_adapter(other_package: Path) -> None:
    entry_points(other_package, "risc0 = other_package:JoltProver")
    assert adapters()["risc0"] == BUILT_IN["risc0"]
    assert load_adapter("risc0").__module__ == "runner.provers.risc0.adapter"


def test_an_adapter_is_also_loaded_by_module_and_class(other_package: Path) -> None:
    assert load_adapter("other_package:JoltProver").__name__ == "JoltProver"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nobody", "unknown zkVM adapter"),
        ("other_package:", "unknown zkVM adapter"),
        ("other_package:Nobody", "other_package has no Nobody"),
        ("no_such_module:Prover", "no_such_module is not installed"),
    ],
)
def test_an_adapter_that_cannot_be_loaded_is_bad_input(
    other_package: Path, name: str, problem: str
) -> None:
    with pytest.raises(InputError) as caught:
        load_adapter(name)
    assert (caught.value.field, caught.value.value) == ("prover.adapter", name)
    assert caught.value.problem == problem


def test_an_entry_point_without_a_class_is_bad_input(other_package: Path) -> None:
    entry_points(other_package, "jolt = other_package")
    with pytest.raises(InputError, match="unknown zkVM adapter"):
        load_adapter("jolt")


def test_an_adapter_whose_module_needs_what_is_missing_is_bad_input(other_package: Path) -> None:
    (other_package / "other_package.py").write_text("import no_such_native\n")
    with pytest.raises(InputError, match=r"'jolt': no_such_native is not installed; install it"):
        load_adapter("jolt")


# -- an adapter's own settings ----------------------------------------------------------------


def test_settings_that_are_not_given_are_none() -> None:
    assert own_settings(spec_of(), RANGES) == {"size": None, "depth": None}
    assert own_settings(spec_of(size=None, depth=None), RANGES) == {"size": None, "depth": None}


@pytest.mark.parametrize("size", [1, 5, 8])
def test_the_ends_of_a_range_are_in_it(size: int) -> None:
    assert own_settings(spec_of(size=size, depth=0), RANGES) == {"size": size, "depth": 0}


@pytest.mark.parametrize("size", [0, 9, -1])
def test_a_value_out_of_its_range_is_refused(size: int) -> None:
    with pytest.raises(InputError) as caught:
        own_settings(spec_of(size=size), RANGES)
    assert str(caught.value) == (f"prover.size = {size}: out of range; give a number from 1 to 8")


@pytest.mark.parametrize("value", [True, False, "3", ""])
def test_a_value_that_is_not_a_whole_number_is_refused(value: Scalar) -> None:
    with pytest.raises(InputError, match=r"^prover\.size = .*: not a whole number; give a number"):
        own_settings(spec_of(size=value), RANGES)


def test_a_setting_that_the_adapter_does_not_have_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        own_settings(spec_of(size=3, width=4), RANGES)
    assert str(caught.value) == (
        "prover.width = 4: jolt has no such setting; leave it out; it has size, depth"
    )
    with pytest.raises(InputError, match="it has no settings of its own"):
        own_settings(spec_of(width=4), {})


def test_a_setting_of_another_adapter_is_left_alone_while_it_is_null() -> None:
    assert own_settings(spec_of(width=None, depth=2), RANGES) == {"size": None, "depth": 2}


# -- native modules ---------------------------------------------------------------------------


def test_a_native_module_that_is_missing_is_named_with_the_remedy() -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module("no_such_native")
    assert str(not_installed("jolt", caught.value, "run `make setup-jolt`")) == (
        "prover.adapter = 'jolt': no_such_native is not installed; run `make setup-jolt`"
    )


def test_a_native_module_that_does_not_load_says_why(other_package: Path) -> None:
    (other_package / "broken_native.abi3.so").write_bytes(b"not a library")
    with pytest.raises(ImportError) as caught:
        importlib.import_module("broken_native")
    found = not_installed("jolt", caught.value, "run `make setup-jolt`")
    assert found.problem.startswith("does not load: ")
    assert "broken_native" in found.problem
    assert found.remedy == "run `make setup-jolt`"


def test_a_native_modules_exception_is_a_prover_error() -> None:
    class NativeError(Exception):
        """The exception of a native module."""

    with pytest.raises(ProverError) as caught, prover_errors(NativeError):
        raise NativeError("guest_failed", "the guest panicked")
    assert (caught.value.code, caught.value.message) == ("guest_failed", "the guest panicked")
    assert caught.value.__cause__ is None
    with pytest.raises(ValueError, match="another"), prover_errors(NativeError):
        raise ValueError("another")
