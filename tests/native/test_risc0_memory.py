"""A real worker without the memory for a segment, whose run is then cut smaller and proved."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.native.commands import call

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

ENOUGH_KIB = 780_000
"""The address space of a process in KiB. On two cores, a proof of 2^16 cycles takes more, and one
of 2^15 takes less."""

LIMITED = """
import os, resource, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]) << 10,) * 2)
os.execv(sys.executable, [sys.executable, "-m", "runner", *sys.argv[2:]])
"""


def test_a_worker_that_gets_no_memory_makes_a_smaller_cut(tmp_path: Path) -> None:
    letters = "a" * 13_500
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text(json.dumps({"data": letters}) + "\n")
    settings = [
        *("guest=sha256", f"guest.inputs_file={inputs}", "prover.segment_po2=16", "prover.gpus=0"),
        *("executor.workers=1", "strategy=none", "cache=off", "metrics=off"),
        f"output={tmp_path / 'out'}",
    ]
    home = {"RUNNER_SECRET": str(tmp_path / "secret"), "RUNNER_SEGMENTS": str(tmp_path / "kept")}
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(ENOUGH_KIB), *settings],
        env=os.environ | home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "cut into smaller segments" in done.stdout
    assert "worker died (signal SIGABRT)" in done.stderr
    (row,) = json.loads((tmp_path / "out" / "result.json").read_text())["jobs"]
    assert row["segments_halved"] == 1
    assert row["segments_proved_apart"] >= 2
    leaf = json.loads((tmp_path / "out" / "leaves.jsonl").read_text())
    assert leaf["journal"] == hashlib.sha256(letters.encode()).hexdigest()
    assert call("runner.verify", "out", cwd=tmp_path).returncode == 0
