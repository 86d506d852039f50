"""Every benchmark runs once, so that a change that breaks one is seen before it is needed.

The header of each room of ``benchmarks/`` names its files.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from benchmarks.compare import sides
from runner.engines.machine import machine, packages
from runner.files import SHIPPED

if TYPE_CHECKING:
    from pathlib import Path


def suite(*options: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "pytest_benchmark.plugin",
        sides.BENCHMARKS,
        "-q",
    ]
    # pytest-benchmark refuses to measure under pytest-xdist.
    here = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", *options],
        cwd=SHIPPED,
        env=here | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_every_benchmark_runs(tmp_path: Path) -> None:
    done = suite("--benchmark-disable", "-m", "not real and not slow", f"--basetemp={tmp_path}/t")
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


def test_a_saved_run_says_what_it_was_measured_on(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    commit = json.dumps({"id": "0123456789", "dirty": False})
    quick = ["-k", "proof_key", "--benchmark-max-time=0.001", "--benchmark-min-rounds=1"]
    done = suite(*quick, f"--benchmark-json={out}", BENCH_COMMIT=commit)
    assert done.returncode == 0, done.stdout
    saved = json.loads(out.read_text(encoding="utf-8"))
    assert saved["machine_info"] == machine()
    assert saved["commit_info"]["id"] == "0123456789"
    assert saved["commit_info"]["runner"] == str(SHIPPED / "runner")
    assert saved["commit_info"]["packages"] == packages()
    assert "risc0_zkvm" in saved["commit_info"]["native"]
    assert [item["group"] for item in saved["benchmarks"]] == ["keys", "keys"]


@pytest.mark.parametrize("room", ["suite", "compare", "exact", "studies"])
def test_a_header_names_the_files_of_its_room(room: str) -> None:
    folder = SHIPPED / "benchmarks" / room
    header = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    named = re.findall(r"^- `(\w+\.py)`: \S", header or "", re.MULTILINE)
    files = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
    assert sorted(named) == sorted(files)
