"""What this machine can prove, and what is missing, as values."""

from __future__ import annotations

import hashlib
import platform
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner import __version__
from runner.errors import InputError
from runner.provers import machine
from runner.provers.guests import Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from runner.model import Guest
    from runner.provers.machine import Native

__all__ = ["Ability", "GuestState", "Report", "abilities", "diagnose"]

X86_64 = {"x86_64", "amd64"}


@dataclass(frozen=True, slots=True)
class Ability:
    """One receipt kind: available, or why not and what to do."""

    kind: str
    available: bool
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class GuestState:
    """One guest of the manifest against the file on disk.

    Attributes:
        name: as in the manifest.
        image_id: as in the manifest, hex.
        state: ``ok``, ``missing``, ``altered`` (SHA-256) or ``wrong image id``.
        recomputed: whether the image id was computed anew from the file.
    """

    name: str
    image_id: str
    state: str
    recomputed: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the doctor found.

    Attributes:
        ready: composite proofs of the guests work here.
        openvm: the build of the second zkVM's extension; None where it is not installed.
        todo: what to do, most important first; empty when nothing is wrong.
    """

    runner: str
    python: str
    platform: str
    cpu: str
    cores: int
    memory_bytes: int
    native: dict[str, Any] | None
    native_problem: str
    receipts: list[Ability]
    guests: list[GuestState]
    tools: dict[str, str]
    proof_cache: str
    proof_cache_state: str
    ready: bool = False
    todo: list[str] = field(default_factory=list)
    openvm: dict[str, Any] | None = None


def abilities(info: Mapping[str, Any] | None, *, docker: str, machine: str) -> list[Ability]:
    """Which receipt kinds can be made here.

    Args:
        info: the extension's ``build_info()``, None when it does not load.
        docker: version of the engine that answers, empty when none does.
        machine: ``platform.machine()``.
    """
    if info is None:
        why, how = "the native extension is missing", "run `make setup`"
        return [Ability(kind, False, why, how) for kind in ("composite", "succinct", "groth16")]
    kinds = info["receipt_kinds"]
    result = [
        Ability("composite", True)
        if "composite" in kinds
        else Ability("composite", False, "not in this build", "run `make setup`")
    ]
    if not info["recursion"]:
        why = "this build has no recursion programs (they are downloaded when it is built)"
        how = "run `make setup` with a network, or `RECURSION_SRC_PATH=FILE make setup`"
        return [*result, *(Ability(kind, False, why, how) for kind in ("succinct", "groth16"))]
    result.append(Ability("succinct", "succinct" in kinds))
    if info["cuda"] or (docker and machine.lower() in X86_64):
        return [*result, Ability("groth16", "groth16" in kinds)]
    if machine.lower() in X86_64:
        why = "no Docker engine answers, and this build is without CUDA"
        return [
            *result,
            Ability("groth16", False, why, "start Docker, or RUNNER_CUDA=1 make setup"),
        ]
    why = f"its prover needs Docker on x86-64 (this is {machine}) or CUDA"
    return [*result, Ability("groth16", False, why, "use an x86-64 machine with Docker")]


def guest_state(guest: Guest, native: Native | None) -> GuestState:
    """One guest's file against what the manifest says."""
    image_id = guest.image_id.hex()
    try:
        content = guest.elf_path.read_bytes()
    except OSError:
        return GuestState(guest.name, image_id, "missing")
    if hashlib.sha256(content).hexdigest() != guest.elf_sha256:
        return GuestState(guest.name, image_id, "altered")
    if native is None:
        return GuestState(guest.name, image_id, "ok")
    try:
        found = native.image_id(content)
    except Exception as error:  # noqa: BLE001  # the extension's own type cannot be named here
        return GuestState(guest.name, image_id, f"not a program ({error})")
    state = "ok" if found == guest.image_id else "wrong image id"
    return GuestState(guest.name, image_id, state, recomputed=True)


def diagnose(
    guests: Path,
    env: Mapping[str, str],
    *,
    load: Callable[[], Native] = machine.load_native,
    ask: Callable[[Sequence[str]], str] = machine.ask,
    load_openvm: Callable[[], dict[str, Any] | None] = machine.load_openvm,
) -> Report:
    """Looks at everything.

    Args:
        guests: the folder with ``manifest.json``.
        env: the environment, for the cache folder.
        load: imports the native extension.
        ask: runs a tool and gives its first line.
        load_openvm: asks the second zkVM's extension.
    """
    native: Native | None = None
    info, problem, todo = None, "", []
    try:
        native = load()
        info = native.build_info()
    except ImportError as error:
        problem = " ".join(str(error).split())
        todo.append("run `make setup`: it builds and installs the native extension")
    tools = {name: ask(command) for name, command in machine.TOOLS.items()}
    kinds = abilities(info, docker=tools["docker engine"], machine=platform.machine())
    if info is not None and not kinds[0].available:
        todo.append(f"composite proofs: {kinds[0].reason}; {kinds[0].remedy}")
    states: list[GuestState] = []
    try:
        states = [guest_state(g, native) for g in Manifest.load(guests).guests.values()]
    except InputError as error:
        todo.append(str(error))
    bad = [guest.name for guest in states if guest.state != "ok"]
    if bad:
        todo.append(
            f"guests {', '.join(bad)}: not what the manifest says;"
            " `git checkout guests` brings them back, `make guests` compiles them"
        )
    folder = machine.proof_cache(env)
    return Report(
        runner=__version__,
        python=f"{platform.python_version()} ({sys.executable})",
        platform=platform.platform(),
        cpu=machine.cpu_model(),
        cores=machine.cores(),
        memory_bytes=machine.memory_bytes(),
        native=info,
        native_problem=problem,
        receipts=kinds,
        guests=states,
        tools=tools,
        proof_cache=str(folder),
        proof_cache_state=machine.folder_state(folder),
        ready=not todo,
        todo=todo,
        openvm=load_openvm(),
    )
