"""Guests, batches and proofs of one zkVM are not taken for those of another."""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, cast

import pytest

from runner.batch.programs import check_zkvm
from runner.errors import InputError
from runner.inclusion import _pins as inclusion_pins
from runner.provers import guests as guests_module
from runner.provers.guests import DEFAULT_FOLDER, Manifest, default_folder
from runner.provers.prover import BUILT_IN, load_prover
from runner.verify.claims import adapter_of
from tests.fakes.guests import write_guests
from tests.provers.fake_openvm import SPEC

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from runner.provers.prover import Prover


def test_guests_of_another_zkvm_are_refused(prover: Prover, guests: Path) -> None:
    path = guests / "manifest.json"
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"zkvm": "risc0"}))
    with pytest.raises(InputError, match="compiled for risc0, the prover is openvm"):
        check_zkvm(Manifest.load(guests), prover)
    path.write_text(json.dumps(data | {"zkvm": 2}))
    with pytest.raises(InputError, match="not a guest manifest"):
        Manifest.load(guests)


def test_each_adapter_has_its_own_guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_folder("risc0") == DEFAULT_FOLDER
    assert default_folder("some.module:Prover") == DEFAULT_FOLDER
    monkeypatch.setattr(guests_module, "DEFAULT_FOLDER", tmp_path)
    assert default_folder("openvm") == tmp_path
    write_guests(tmp_path / "openvm")
    assert default_folder("openvm") == tmp_path / "openvm"


@pytest.mark.parametrize(
    ("record", "adapter"),
    [
        ({"versions": {"zkvm": "openvm"}}, "openvm"),
        ({"versions": {"zkvm": "risc0"}}, "risc0"),
        ({"versions": {"zkvm": ["openvm"]}}, "risc0"),
        ({"versions": 3}, "risc0"),
        ({}, "risc0"),
    ],
)
def test_a_batch_is_checked_by_the_zkvm_it_names(
    tmp_path: Path, record: dict[str, object], adapter: str
) -> None:
    result = {"format": 1, "status": "ok", **record}
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert adapter_of(tmp_path) == adapter


@pytest.mark.parametrize("zkvm", ["../../evil", "os:system", "jolt"])
def test_a_zkvm_without_an_installed_adapter_is_refused(tmp_path: Path, zkvm: str) -> None:
    result = {"format": 1, "status": "ok", "versions": {"zkvm": zkvm}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    with pytest.raises(InputError, match=r"--adapter = .*no installed adapter is of it"):
        adapter_of(tmp_path)


def test_a_folder_that_is_not_a_batch_is_left_to_the_verifier(tmp_path: Path) -> None:
    assert adapter_of(tmp_path) == next(iter(BUILT_IN))


def test_an_inclusion_proof_is_checked_by_the_zkvm_whose_leaf_it_names() -> None:
    leaf = Manifest.load(DEFAULT_FOLDER).get("fibonacci")
    adapter, pins = inclusion_pins(None, leaf.image_id, None, None)
    assert (adapter, pins.name(leaf.image_id)) == ("risc0", "fibonacci")


def test_an_adapter_without_its_extension_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "runner_openvm", cast("ModuleType", None))
    monkeypatch.delitem(sys.modules, "runner.provers.openvm.adapter", raising=False)
    load_prover.cache_clear()
    with pytest.raises(InputError, match="runner_openvm is not installed"):
        importlib.import_module("runner.provers.openvm.adapter")
    with pytest.raises(InputError, match="setup-openvm"):
        load_prover(SPEC)
