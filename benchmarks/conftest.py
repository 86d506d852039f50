"""What a saved run says of the machine, the versions and the commit it was measured on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import runner
from runner.provers.machine import machine, packages

COMMIT = "BENCH_COMMIT"
"""Environment variable: JSON for ``commit_info``, where the code measured is another checkout's."""


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
