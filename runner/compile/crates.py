"""The programs in a crate or workspace, as cargo knows them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Crate", "Program", "find"]


@dataclass(frozen=True, slots=True)
class Program:
    """One program, which is a ``[[bin]]`` of a package, a ``src/main.rs`` or one in ``src/bin``.

    Attributes:
        name: the program's name.
        package: cargo's id of the package. A name would be ambiguous where a dependency has it too.
    """

    name: str
    package: str


@dataclass(frozen=True, slots=True)
class Crate:
    """A crate or a workspace with its programs.

    Attributes:
        manifest: the ``Cargo.toml`` that was given.
        root: the folder of the workspace, whose ``Cargo.toml`` has the patches.
        target: the folder for what cargo makes.
        programs: the programs, by their order in the workspace.
    """

    manifest: Path
    root: Path
    target: Path
    programs: tuple[Program, ...]


def find(folder: Path, only: Sequence[str] = ()) -> Crate:
    """The programs that a crate or a workspace has.

    Args:
        folder: the folder of the crate or the workspace.
        only: the names of the programs that are wanted; all if there are none.

    Raises:
        InputError: cargo is not there or does not know the crate, or it has no such program.
    """
    manifest = folder / "Cargo.toml"
    if not manifest.is_file():
        raise InputError("crate", str(folder), "has no Cargo.toml", "give the folder of a crate")
    command = ["cargo", "metadata", "--no-deps", "--format-version=1", "--manifest-path"]
    try:
        done = subprocess.run(  # noqa: S603  # cargo on the user's own crate
            [*command, manifest], capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise InputError(
            "crate", str(folder), f"cargo: {error.strerror}", "install Rust (https://rustup.rs)"
        ) from None
    if done.returncode != 0:
        problem = done.stderr.strip() or "cargo metadata failed"
        raise InputError("crate", str(folder), problem, "correct its Cargo.toml")
    data = json.loads(done.stdout)
    here = str(manifest.resolve())
    # A crate of a workspace stands for itself, and the workspace's folder for all its crates.
    packages = [p for p in data["packages"] if p["manifest_path"] == here] or data["packages"]
    programs = tuple(
        Program(target["name"], package["id"])
        for package in packages
        for target in package["targets"]
        if "bin" in target["kind"]
    )
    names = [program.name for program in programs]
    for name in only:
        if name not in names:
            known = f"there are: {', '.join(names) or 'none'}"
            raise InputError("--only", name, f"no such program in {folder}", known)
    chosen = tuple(program for program in programs if not only or program.name in only)
    if not chosen:
        raise InputError(
            "crate", str(folder), "has no program", "add a src/main.rs, or files in src/bin"
        )
    root, target = Path(data["workspace_root"]), Path(data["target_directory"])
    return Crate(manifest.resolve(), root, target / "guests", chosen)
