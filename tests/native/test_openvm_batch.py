"""A real batch on OpenVM whose keys are damaged and whose worker is killed, and a tree over it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runner.model import ReceiptKind
from runner.provers.guests import AGGREGATOR, Manifest, default_folder
from runner.provers.prover import ProverSpec, load_prover
from tests.native.commands import call, run_and_kill_a_worker
from tests.native.flips import unnoticed_flips

if TYPE_CHECKING:
    from pathlib import Path

native = pytest.importorskip(
    "runner_openvm", reason="the OpenVM extension is not installed (make setup-openvm)"
)
pytestmark = pytest.mark.real

RUNNER = [sys.executable, "-m", "runner", "prover=openvm"]
MADE = "proving keys made"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a damaged key file, in which the runs leave their outputs."""
    base = tmp_path_factory.mktemp("openvm")
    pin = json.loads((default_folder("openvm") / "manifest.json").read_text())["vm_sha256"]
    keys = base / "keys" / f"openvm-2.0.2-{pin[:16]}.keys"
    keys.parent.mkdir()
    keys.write_bytes(b"ZKOVKEYS" + bytes(1000))
    return base


def environment(base: Path) -> dict[str, str]:
    return {
        **os.environ,
        "RUNNER_PROOFS": str(base / "proofs"),
        "RUNNER_KEYS": str(base / "keys"),
    }


@pytest.fixture(scope="module")
def batch(base: Path) -> dict[str, Any]:
    """The result of a batch of two leaves and an aggregation. One of its two workers was killed."""
    command = [*RUNNER, "guest.inputs=[10,20]", "strategy=single", f"output={base / 'batch'}"]
    # By then the worker is proving.
    run_and_kill_a_worker(command, base, environment(base), after_s=5)
    data: dict[str, Any] = json.loads((base / "batch" / "result.json").read_text())
    return data


def test_damaged_keys_are_made_anew(base: Path, batch: dict[str, Any]) -> None:
    assert batch["status"] == "ok"
    assert MADE in (base / "log").read_text()


def test_a_killed_workers_job_is_tried_again(base: Path, batch: dict[str, Any]) -> None:
    assert batch["summary"]["retries"] >= 1
    assert "worker died (signal SIGKILL)" in (base / "log").read_text()


def test_two_proofs_become_one_of_the_same_size(base: Path, batch: dict[str, Any]) -> None:
    assert batch["versions"]["zkvm"] == "openvm"
    assert batch["root"]["verified_count"] == 2
    sizes = [job["receipt_bytes"] for job in batch["jobs"]]
    assert max(sizes) - min(sizes) < 100  # only the journals differ in size
    assert batch["summary"]["size_savings_percent"] == pytest.approx(50, abs=0.1)
    done = call("runner.verify", str(base / "batch"), cwd=base)
    assert "VERIFIED: 2 leaves" in done.stdout, done.stderr


@pytest.mark.usefixtures("batch")
def test_no_byte_of_an_aggregate_can_be_changed(base: Path) -> None:
    receipt = (base / "batch" / "root.receipt").read_bytes()
    prover = load_prover(ProverSpec("openvm", ReceiptKind.SUCCINCT))
    own = Manifest.load(default_folder("openvm")).get(AGGREGATOR).image_id
    assert prover.verify(receipt, own)
    # The ends have the head and the paths to the children's results.
    ends = [*range(100), *range(len(receipt) - 8000, len(receipt), 13)]
    places = [*ends, *range(100, len(receipt), 997)]
    places += [place for place in range(len(receipt)) if receipt[place] == 1][:300]
    assert unnoticed_flips(native, receipt, places, own, random.Random(1)) == []


@pytest.mark.usefixtures("batch")
def test_an_aggregate_is_verified_by_the_next_level(base: Path) -> None:
    """The cache has everything but the new root, and the root verifies what it gets from there."""
    command = [*RUNNER, "guest.inputs=[10,20,10]", "strategy=two_level", "strategy.fan_in=2"]
    done = subprocess.run(
        [*command, f"output={base / 'tree'}"],
        env=environment(base),
        cwd=base,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert MADE not in done.stderr
    data = json.loads((base / "tree" / "result.json").read_text())
    assert data["summary"]["levels"] == 2
    assert (data["summary"]["made"], data["root"]["verified_count"]) == (1, 3)
    checked = call("runner.verify", str(base / "tree"), cwd=base)
    assert "VERIFIED: 3 leaves" in checked.stdout, checked.stderr
    said = (base / "tree" / "metrics.prom").read_text()
    assert 'zkvm="openvm"' in said
