"""A real batch of two proofs and an aggregation whose worker is killed, and all checks of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner.folder import write_sums
from tests.native.commands import call, run_and_kill_a_worker

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.real

RUNNER = [sys.executable, "-m", "runner", "guest.inputs=[10,20,10]", "strategy=single"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a batch of three leaves, two of them the same. Its first worker was killed."""
    base = tmp_path_factory.mktemp("real")
    environment = {**os.environ, "RUNNER_PROOFS": str(base / "proofs"), "RISC0_DEV_MODE": "1"}
    command = [*RUNNER, f"output={base / 'batch'}"]
    # By then the worker is proving, or about to: it must not matter which.
    run_and_kill_a_worker(command, base, environment, after_s=0.8)
    return base


def test_the_result_is_measured_and_recorded(folder: Path) -> None:
    data = json.loads((folder / "batch" / "result.json").read_text())
    summary = data["summary"]
    assert (summary["leaves"], summary["distinct"], summary["made"]) == (3, 2, 3)
    assert summary["retries"] == 1
    assert data["root"]["verified_count"] == 3
    assert summary["bytes_after"] == (folder / "batch" / "root.receipt").stat().st_size
    # A composite aggregate carries its children, so it cannot be smaller than they are.
    assert summary["bytes_after"] > summary["bytes_before"] > 100_000
    assert all(job["total_cycles"] >= 2**13 and job["prove_s"] > 0 for job in data["jobs"])
    text = (folder / "batch" / "metrics.prom").read_text()
    assert "\nl2_proof_generation_total 3.0\n" in text


def test_anyone_can_check_it(folder: Path) -> None:
    done = call("runner.verify", "batch", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "VERIFIED: 3 leaves" in done.stdout


def test_a_leaf_is_shown_to_be_in_it(folder: Path) -> None:
    assert (
        call("runner.verify", "batch", "--leaf", "1", "--out", "p.json", cwd=folder).returncode == 0
    )
    done = call("runner.inclusion", "p.json", "--receipt", "batch/root.receipt", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "INCLUDED: fibonacci with journal 6d1a000000000000" in done.stdout  # 6765
    proof = json.loads((folder / "p.json").read_text())
    proof["journal"] = "6e1a000000000000"
    (folder / "q.json").write_text(json.dumps(proof))
    forged = call("runner.inclusion", "q.json", "--receipt", "batch/root.receipt", cwd=folder)
    assert forged.returncode == 1
    assert "NOT VERIFIED: path" in forged.stderr


def test_a_tampered_batch_is_refused_with_the_reason(folder: Path) -> None:
    tampered = folder / "tampered"
    subprocess.run(["cp", "-r", str(folder / "batch"), str(tampered)], check=True)
    leaves = tampered / "leaves.jsonl"
    # fibonacci(20) = 6765 is changed to 6766, and the checksums are made to fit.
    leaves.write_text(leaves.read_text().replace("6d1a000000000000", "6e1a000000000000"))
    write_sums(tampered, ["leaves.jsonl", "result.json", "root.receipt"])
    done = call("runner.verify", "tampered", cwd=folder)
    assert done.returncode == 1
    assert "NOT VERIFIED: combined_hash" in done.stderr


def test_the_same_command_again_makes_nothing(folder: Path) -> None:
    environment = {**os.environ, "RUNNER_PROOFS": str(folder / "proofs")}
    subprocess.run(
        [*RUNNER, f"output={folder / 'again'}"],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )
    summary = json.loads((folder / "again" / "result.json").read_text())["summary"]
    assert (summary["made"], summary["cached"]) == (0, 3)
    assert (folder / "again" / "root.receipt").read_bytes() == (
        folder / "batch" / "root.receipt"
    ).read_bytes()
