"""The examples of "Write your own" work as they stand on their pages."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

from runner.batch.run import run as run_batch
from runner.engines.engine import Engine, jobs_at_once
from runner.files import SHIPPED
from runner.plan.strategy import STRATEGIES, make_plan
from tests import builders

if TYPE_CHECKING:
    from pathlib import Path


def example(page: str) -> dict[str, Any]:
    """The names that the Python code on a page defines."""
    text = (SHIPPED / "docs" / "extending" / page).read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {"__name__": "example"}
    exec(code, names)
    return names


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_an_engine(tmp_path: Path, guests: Path) -> None:
    made = example("engine.md")["ThreadEngine"]
    assert issubclass(made, Engine)
    assert jobs_at_once(made(workers=3).hosts()) == 3
    run_batch(builders.batch_settings(tmp_path / "out", guests, make_engine=made))
    assert record(tmp_path / "out")["status"] == "ok"


def test_a_cache(tmp_path: Path, guests: Path) -> None:
    cache = example("cache.md")["MemoryCache"](max_entries=100)
    settings = builders.batch_settings(tmp_path / "first", guests, cache=cache)
    run_batch(settings)
    run_batch(dataclasses.replace(settings, output=tmp_path / "again"))
    for name, cached in (("first", False), ("again", True)):
        assert {job["cached"] for job in record(tmp_path / name)["jobs"]} == {cached}
    assert cache.stats().entries == 7


def test_a_strategy(tmp_path: Path, guests: Path) -> None:
    example("strategy.md")
    try:
        settings = builders.batch_settings(
            tmp_path / "out", guests, count=16, strategy=builders.strategy("four_level", 2)
        )
        run_batch(settings)
        # What `auto` picks and takes does not change when there is a deeper strategy.
        assert make_plan("auto", range(600), fan_in=[8, 4]).strategy == "three_level"
    finally:
        del STRATEGIES["four_level"]
    found = record(tmp_path / "out")
    assert found["status"] == "ok"
    assert max(job["level"] for job in found["jobs"]) == 4
