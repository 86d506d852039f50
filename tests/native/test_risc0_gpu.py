"""Real proofs as on a GPU: the CPU's extension takes a GPU's lock too, and fakes do the rest."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import runner_risc0 as native

from runner.files import SHIPPED
from tests.native.risc0 import elf, failure, image_id

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

FAKES = SHIPPED / "tests" / "fakes" / "gpu"


def test_a_run_of_two_segments_waits_for_the_lock_and_is_proved(tmp_path: Path) -> None:
    lock = tmp_path / "gpu.lock"
    data = b"two segments".ljust(20_000)
    stdin = struct.pack("<I", len(data)) + data
    proofs: list[native.Proof] = []

    def prove() -> None:
        proofs.append(native.prove(elf("sha256"), stdin, segment_po2=16, gpu_lock=str(lock)))

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        proving = threading.Thread(target=prove)
        proving.start()
        proving.join(timeout=2)
        assert proving.is_alive()
        assert not proofs
    proving.join(timeout=300)
    (proof,) = proofs
    assert proof.execution.segments == 2
    assert proof.gpu_s > 0
    assert native.verify(proof.receipt, image_id("sha256")) == proof.execution.journal
    assert native.describe(proof.receipt).segments == 2


def test_a_lock_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere" / "lock")

    def prove() -> None:
        native.prove(elf("fibonacci"), struct.pack("<I", 10), gpu_lock=nowhere)

    code, message = failure(prove)
    assert code == "unavailable"
    assert nowhere in message


def test_a_batch_goes_on_by_the_cpu_where_the_gpu_kills_its_workers(tmp_path: Path) -> None:
    """The first proof is the GPU's. For the next, the fake ends the worker, as CUDA may."""
    switch = tmp_path / "switch"
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            [str(FAKES), str(SHIPPED), *filter(None, [os.environ.get("PYTHONPATH")])]
        ),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "FAKE_GPU_FAILS": str(switch),
    }

    def run(count: int, folder: Path) -> str:
        settings = ["strategy=none", f"guest.count={count}", "executor.workers=1", "cache=off"]
        settings += ["prover.gpus=1", f"output={folder}", f"metrics.textfile={folder}.prom"]
        command = [sys.executable, "-m", "runner", *settings, "retry.wait_initial_s=0"]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, done.stderr
        assert (
            "VERIFIED"
            in subprocess.run(
                [sys.executable, "-m", "runner.verify", str(folder)],
                cwd=tmp_path,
                env=env,
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            ).stdout
        )
        (gpu,) = json.loads((folder / "result.json").read_text())["gpus"]
        assert gpu["name"] == "no GPU (a fake driver)"
        return done.stderr + (tmp_path / f"{folder}.prom").read_text()

    said = run(1, tmp_path / "well")
    assert "l2_gpu_proofs_total 1.0" in said
    assert "l2_gpus_set_aside 0.0" in said

    switch.write_text("abort")
    said = run(2, tmp_path / "badly")
    assert "worker died (signal SIGABRT)" in said
    assert "is set aside: a worker died while it used the GPU" in said
    assert "l2_gpu_proofs_total 0.0" in said
    assert "l2_cuda_errors_total 1.0" in said
    assert "l2_gpus_set_aside 1.0" in said
    assert "l2_job_retries_total 1.0" in said
