"""Writes into a saved run on which machine, with which versions and of which commit it was made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import runner
from runner.engines.machine import machine, packages

COMMIT = "BENCH_COMMIT"
"""The environment variable that holds ``commit_info`` as JSON.

It is set where the measured code is that of another checkout, whose commit pytest-benchmark cannot
find out by itself."""


def pytest_benchmark_generate_machine_info() -> dict[str, Any]:
    return dict(machine())


@pytest.hookimpl
def pytest_benchmark_update_commit_info(commit_info: dict[str, Any]) -> None:
    commit_info.update(json.loads(os.environ.get(COMMIT, "{}")))
    commit_info["runner"] = str(Path(runner.__file__).parent)
    commit_info["packages"] = packages()
    try:
        import runner_risc0
    except ImportError:
        return
    commit_info["native"] = runner_risc0.build_info()
    commit_info["extension"] = str(Path(runner_risc0.__file__).parent)
