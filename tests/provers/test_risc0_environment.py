"""RISC Zero's own variables, which change no proof of the runner's."""

from __future__ import annotations

import logging
import os

import pytest

from runner.model import ReceiptKind
from runner.provers.prover import ProverSpec
from runner.provers.risc0.environment import ignored_variables


def test_what_the_library_obeys_is_taken_out_and_named() -> None:
    env = {
        "RISC0_KECCAK_PO2": "14",
        "RISC0_DEV_MODE": "1",
        "RISC0_WITGEN_DEBUG": "",
        "RISC0_INFO": "1",
        "PATH": "/bin",
    }
    assert ignored_variables(env) == ("RISC0_DEV_MODE", "RISC0_KECCAK_PO2")
    # An empty variable is obeyed as well, and one that only prints may stay.
    assert env == {"RISC0_DEV_MODE": "1", "RISC0_INFO": "1", "PATH": "/bin"}
    assert ignored_variables(env) == ("RISC0_DEV_MODE",)


def test_a_run_says_once_which_variables_have_no_effect(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = pytest.importorskip("runner.provers.risc0.adapter")
    monkeypatch.setenv("RISC0_KECCAK_PO2", "14")
    prover = adapter.Risc0Prover(ProverSpec("risc0", ReceiptKind.EXECUTE))
    assert "RISC0_KECCAK_PO2" not in os.environ
    with caplog.at_level(logging.WARNING):
        prover.require(ReceiptKind.EXECUTE)
    assert caplog.messages == ["RISC0_KECCAK_PO2: set, and without any effect here"]
