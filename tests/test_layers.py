"""The layers of the package: imports point down, and each heavy library has its place."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import runner
from runner.prover import ADAPTERS

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(runner.__file__).parent

LEVELS = (
    "__init__ errors model",
    # Pure: values in, values out. `inputfile` also reads the one file it is told to.
    """plan strategy cost keys merkle journal estimator fields inputfile inputs metric_table
    promql alert_table panels audit_chain report_json timeleft""",
    # Adapters: each has its own kind of effect.
    """files textfile guests prover risc0 openvm cache cache_blobs cache_index cache_store engines
    cache_origins cache_view
    worker_process dask_engine executor retry metrics ledger ledger_file recovery
    pushgateway worker progress spool machine probes gpu audit_log live live_file site
    exposition server_pages generated alert_config tally logs health headline""",
    # One batch, its results and what checks them.
    """settings batch lookup recording results summary prepare publish outputs app claims checks
    identity sweep search verify inclusion diagnosis doctor server alerts dashboard reference
    audit_trail audit_events audit forecast dry_run dry_run_report report report_find
    report_read report_figures report_export report_table report_svg report_charts
    report_run_charts report_page""",
    # The command line.
    "schema config cli_errors sweep_report sweep_jobs sweepers cli __main__",
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names.split()}

EFFECTS = {"os", "subprocess", "socket", "shutil", "tempfile", "threading", "multiprocessing"}


@dataclass(frozen=True)
class Import:
    """One import: of which module, and how it is reached.

    Attributes:
        name: dotted.
        lazy: inside a function.
        typing: for type checkers only.
    """

    name: str
    lazy: bool
    typing: bool


def imports(path: Path) -> Iterator[Import]:
    yield from _walk(ast.parse(path.read_text(encoding="utf-8")), lazy=False, typing=False)


def _walk(node: ast.AST, *, lazy: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, lazy, typing)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            assert child.module is not None
            for alias in child.names:
                yield Import(_resolved(child.module, alias.name), lazy, typing)
        elif isinstance(child, ast.Call) and ast.unparse(child.func).endswith("import_module"):
            if child.args and isinstance(child.args[0], ast.Constant):
                yield Import(str(child.args[0].value), lazy, typing)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _walk(child, lazy=lazy, typing=True)
        else:
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _walk(child, lazy=lazy or function, typing=typing)


def _resolved(module: str, name: str) -> str:
    """``from runner import app`` imports a module, ``from runner import __version__`` a name."""
    return f"runner.{name}" if module == "runner" and (FOLDER / f"{name}.py").exists() else module


MODULES = {path.stem: path for path in sorted(FOLDER.rglob("*.py"))}
IMPORTS = {name: list(imports(path)) for name, path in MODULES.items()}


def own(name: str, *, at_run_time: bool = False) -> set[str]:
    """Modules of this package that a module imports."""
    found = set()
    for item in IMPORTS[name]:
        package, _, module = item.name.partition(".")
        if package == "runner" and not (at_run_time and (item.lazy or item.typing)):
            found.add(module or "__init__")
    return found


def users(library: str) -> set[str]:
    return {
        name
        for name, items in IMPORTS.items()
        if any(item.name.split(".")[0] == library for item in items)
    }


def test_the_walk_sees_every_kind_of_import(tmp_path: Path) -> None:
    text = """
import os.path
from runner import plan, __version__
if TYPE_CHECKING:
    from runner.model import Job
def f():
    from rich import box
    importlib.import_module("runner_risc0")
class C:
    import csv
try:
    import json
except ImportError:
    import re
"""
    path = tmp_path / "sample.py"
    path.write_text(text, encoding="utf-8")
    assert set(imports(path)) == {
        Import("os.path", lazy=False, typing=False),
        Import("runner.plan", lazy=False, typing=False),
        Import("runner", lazy=False, typing=False),
        Import("runner.model", lazy=False, typing=True),
        Import("rich", lazy=True, typing=False),
        Import("runner_risc0", lazy=True, typing=False),
        Import("csv", lazy=False, typing=False),
        Import("json", lazy=False, typing=False),
        Import("re", lazy=False, typing=False),
    }


def test_every_module_has_its_level() -> None:
    assert set(MODULES) == set(LEVEL), "list each module in LEVELS, once, and no other"
    assert sum(len(names.split()) for names in LEVELS) == len(LEVEL)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_down(name: str) -> None:
    for target in own(name):
        assert LEVEL[target] <= LEVEL[name], f"{name} imports {target}, which is above it"


def test_no_module_imports_itself_around_a_corner() -> None:
    graph = {name: own(name, at_run_time=True) for name in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("name", [name for name, level in LEVEL.items() if level <= 1])
def test_the_pure_levels_touch_nothing(name: str) -> None:
    found = {item.name.split(".")[0] for item in IMPORTS.get(name, []) if not item.typing}
    assert not found & EFFECTS


def test_hydra_stays_on_the_command_line() -> None:
    hydra = {
        *("schema", "config", "cli", "cli_errors"),
        *("sweep_report", "sweep_jobs", "sweepers"),
    }
    assert users("hydra") <= hydra
    assert users("omegaconf") <= hydra


def test_optuna_has_one_importer_that_asks_for_it_late() -> None:
    assert users("optuna") == {"search"}
    items = [item for item in IMPORTS["search"] if item.name.split(".")[0] == "optuna"]
    assert all(item.lazy or item.typing for item in items)


def test_each_native_extension_has_one_importer() -> None:
    for adapter in ADAPTERS:
        assert users(f"runner_{adapter}") <= {adapter, "probes"}
        assert all(item.lazy for item in IMPORTS["probes"] if item.name == f"runner_{adapter}")


def test_only_the_adapters_name_loads_the_adapter() -> None:
    """Nobody imports the zkVM's adapter: it is made from its name."""
    assert [name for name in MODULES if own(name) & set(ADAPTERS)] == []
