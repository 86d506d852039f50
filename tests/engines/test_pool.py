"""The engine over a pool of the user's own, beyond the contract that all engines keep."""

from __future__ import annotations

import functools
import multiprocessing
import subprocess
import sys
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from runner.engines.pool import PoolEngine
from runner.errors import InputError
from runner.files import SHIPPED
from tests.engines.cases import PATIENCE_S
from tests.fakes import calls

if TYPE_CHECKING:
    from pathlib import Path


def test_a_pool_that_breaks_is_replaced() -> None:
    context = multiprocessing.get_context("spawn")
    pool = functools.partial(ProcessPoolExecutor, mp_context=context)
    with PoolEngine(1, pool=pool) as engine:
        assert isinstance(engine.submit(calls.end, "kill").exception(PATIENCE_S), BrokenExecutor)
        assert engine.submit(calls.add, 1, 2).result(PATIENCE_S) == 3


def test_it_starts_nothing_before_the_first_job() -> None:
    made: list[int] = []

    def pool(max_workers: int) -> ThreadPoolExecutor:
        made.append(max_workers)
        return ThreadPoolExecutor(max_workers)

    with PoolEngine(3, pool=pool) as engine:
        assert engine.hosts()[0].workers == 3
        engine.suggest_workers(5)  # the number was not left to the engine
        assert made == []
        engine.submit(calls.add, 1, 2).result(PATIENCE_S)
        engine.submit(calls.add, 1, 2).result(PATIENCE_S)
        assert made == [3]
    with pytest.raises(RuntimeError, match="shut down"):
        engine.submit(calls.add, 1, 2)


@pytest.mark.parametrize(
    ("pool", "words"),
    [
        (None, "does not say how a pool is made"),
        (dict, "is no concurrent.futures.Executor"),
        (functools.partial(ThreadPoolExecutor, wrong=1), "cannot be made"),
    ],
)
def test_what_is_no_pool_is_refused(pool: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        PoolEngine(1, pool=pool).submit(calls.add, 1, 2)  # type: ignore[arg-type]


def test_the_command_runs_a_batch_in_a_pool(tmp_path: Path) -> None:
    """A class that the configuration names; nothing is proved."""
    arguments = ["executor=pool", "executor.workers=2", "guest.count=8", "prover=execute"]
    arguments += ["metrics=off", "audit=off", f"output={tmp_path}/out", "--quiet"]
    command = [sys.executable, "-m", "runner", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SHIPPED, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "result.json").exists()
