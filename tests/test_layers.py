"""The rooms of the package: imports point down, and a room is entered by its face.

A room's ``__init__.py`` says what the room may import, and names each of its files once: those
that other rooms use (its face), and those that are its own. What it says is what is checked here,
so that a new file needs a line in its room's header and nothing in this test.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import runner
from runner.provers.prover import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(runner.__file__).parent

ORDER = (
    "errors model files text untrusted metric_kinds gpus limits lifeline stopping streams",
    "consoles records run_parts",
    "threads",
    "codec store",
    "plan provers engines cache folder events metric_table destination locks long_runs",
    "alerts metrics signature evm jobs failures",
    "executor monitoring verify report doctor audit dashboard reference compile",
    "batch server inclusion sign l1 init",
    "cli",
    "commands",
    "__main__",
)
"""Rooms, and modules at the top of the package, from the ground up. Who stands on one floor does
not import another on it."""
FLOOR = {name: floor for floor, names in enumerate(ORDER) for name in names.split()}

PURE = {"errors", "model", "text", "metric_kinds", "metric_table", "plan", "events"}
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
    """``from runner.plan import merkle`` imports a module, other imports a name out of one."""
    folder = FOLDER.joinpath(*module.split(".")[1:])
    is_module = module.startswith("runner") and (folder / f"{name}.py").exists()
    return f"{module}.{name}" if is_module else module


def _dotted(path: Path) -> str:
    parts = path.relative_to(FOLDER).with_suffix("").parts
    return ".".join(("runner", *parts))


MODULES = {_dotted(path): path for path in sorted(FOLDER.rglob("*.py"))}
IMPORTS = {name: list(imports(path)) for name, path in MODULES.items()}
ROOMS = sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))


def room_of(module: str) -> str:
    """The room of a module, or its own name where it stands at the top."""
    return module.split(".")[1]


def own(module: str) -> set[str]:
    """Modules of this package that a module imports, also late or for type checkers only."""
    return {item.name for item in IMPORTS[module] if item.name.startswith("runner.")}


def users(library: str) -> set[str]:
    return {
        module
        for module, items in IMPORTS.items()
        if any(item.name.split(".")[0] == library for item in items)
    }


@dataclass(frozen=True)
class Header:
    """What a room's ``__init__.py`` says of the room."""

    may_import: set[str]
    face: list[str]
    inside: list[str]


def header(room: str) -> Header:
    text = ast.get_docstring(ast.parse((FOLDER / room / "__init__.py").read_text())) or ""
    allowed = re.search(r"^May import: ([^.]*)\.$", text, re.MULTILINE)
    assert allowed, f"{room} does not say what it may import"
    _, _, files = text.partition(allowed.group(0))
    face, _, inside = files.partition("Only this room uses:")
    named = re.compile(r"^- `(\w+)(?:\.py|/)`: \S", re.MULTILINE)
    return Header(
        set(re.split(r",\s+", allowed.group(1))), named.findall(face), named.findall(inside)
    )


def test_the_walk_sees_every_kind_of_import(tmp_path: Path) -> None:
    text = """
import os.path
from runner.plan import merkle
from runner import __version__
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
        Import("runner.plan.merkle", lazy=False, typing=False),
        Import("runner", lazy=False, typing=False),
        Import("runner.model", lazy=False, typing=True),
        Import("rich", lazy=True, typing=False),
        Import("runner_risc0", lazy=True, typing=False),
        Import("csv", lazy=False, typing=False),
        Import("json", lazy=False, typing=False),
        Import("re", lazy=False, typing=False),
    }


def test_every_room_has_its_floor() -> None:
    top = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"}
    assert set(FLOOR) == top | set(ROOMS)
    assert sum(len(names.split()) for names in ORDER) == len(FLOOR)


def test_imports_point_down() -> None:
    up = [
        f"{module} imports {target}"
        for module in MODULES
        if module != "runner.__init__"
        for target in own(module)
        if room_of(target) != room_of(module) and FLOOR[room_of(target)] >= FLOOR[room_of(module)]
    ]
    assert up == []


def test_no_module_imports_itself_around_a_corner() -> None:
    graph = {module: own(module) for module in MODULES}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("room", ROOMS)
def test_a_header_tells_what_its_room_has_and_imports(room: str) -> None:
    said = header(room)
    files = {path.stem for path in (FOLDER / room).glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (FOLDER / room).glob("*/__init__.py")}
    assert sorted(said.face + said.inside) == sorted(files | packages)
    found = {
        room_of(target)
        for module in MODULES
        if module.startswith(f"runner.{room}.")
        for target in own(module)
    }
    assert found - {room} == said.may_import
    assert IMPORTS[f"runner.{room}.__init__"] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_entered_by_its_face(room: str) -> None:
    inside = tuple(f"runner.{room}.{name}" for name in header(room).inside)
    entered = [
        f"{module} imports {target}"
        for module in MODULES
        if not module.startswith(f"runner.{room}.")
        for target in own(module)
        if f"{target}.".startswith(tuple(f"{name}." for name in inside))
    ]
    assert entered == []


@pytest.mark.parametrize("name", sorted(PURE))
def test_what_is_pure_has_no_effects(name: str) -> None:
    for module, items in IMPORTS.items():
        if module != "runner.__init__" and room_of(module) == name:
            found = {item.name.split(".")[0] for item in items if not item.typing}
            assert not found & EFFECTS, module


def test_only_the_command_line_knows_hydra() -> None:
    for library in ("hydra", "omegaconf"):
        assert {room_of(module) for module in users(library)} == {"cli"}


def test_optuna_has_one_importer_that_asks_for_it_late() -> None:
    assert users("optuna") == {"runner.cli.search"}
    items = [i for i in IMPORTS["runner.cli.search"] if i.name.split(".")[0] == "optuna"]
    assert all(item.lazy or item.typing for item in items)


def test_one_module_of_its_adapter_imports_a_native_extension() -> None:
    modules = {"risc0": "calls", "openvm": "adapter"}
    for adapter in BUILT_IN:
        assert users(f"runner_{adapter}") == {f"runner.provers.{adapter}.{modules[adapter]}"}


def test_an_adapter_is_loaded_by_its_name_alone() -> None:
    for adapter in BUILT_IN:
        package = f"runner.provers.{adapter}."
        outside = [module for module in MODULES if not module.startswith(package)]
        assert [m for m in outside if any(name.startswith(package) for name in own(m))] == []
