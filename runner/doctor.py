"""What this machine can prove, and what is missing: ``python -m runner.doctor``.

Reads the guests' manifest and asks the native extension, the operating system and the tools on the
PATH; changes nothing and needs no configuration. Exit code 0: composite proofs work here.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from runner import __version__
from runner.errors import InputError
from runner.guests import DEFAULT_FOLDER, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rich.text import Text

    from runner.model import Guest

__all__ = ["Ability", "GuestState", "Native", "Report", "diagnose", "main"]

TOOLS: Mapping[str, tuple[str, ...]] = {
    "cargo": ("cargo", "--version"),
    "rustc": ("rustc", "--version"),
    "clang++": ("clang++", "--version"),
    "nvcc": ("nvcc", "--version"),
    "rzup": ("rzup", "--version"),
    "docker engine": ("docker", "version", "--format", "{{.Server.Version}}"),
}
X86_64 = {"x86_64", "amd64"}


class Native(Protocol):
    """The part of the native extension that is asked here."""

    def build_info(self) -> dict[str, Any]:
        """What the build can do."""

    def image_id(self, elf: bytes, /) -> bytes:
        """The image id of a program binary."""


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


def load_native() -> Native:
    """The extension itself; what is imported is only this, and only when it is asked for.

    Raises:
        ImportError: it is not installed, or does not load here.
    """
    return cast("Native", importlib.import_module("runner_risc0"))


def ask(command: Sequence[str]) -> str:
    """First line a tool prints; empty when it is not there, fails or does not answer."""
    try:
        done = subprocess.run(  # noqa: S603  # fixed commands, from TOOLS
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    release = [line for line in lines if "release" in line]  # nvcc tells it in a later line
    return (release or lines)[0].strip() if done.returncode == 0 and lines else ""


def cpu_model() -> str:
    """The processor by its maker's name, as far as it is known."""
    if platform.system() == "Darwin":
        return ask(("sysctl", "-n", "machdep.cpu.brand_string")) or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.machine()


def usable_cores() -> int:
    """Cores this process may use."""
    if platform.system() == "Linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Memory of the machine; 0 where it cannot be told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0


def proof_cache(env: Mapping[str, str]) -> Path:
    """Where proofs are kept unless a run says otherwise (conf/cache/disk.yaml says the same)."""
    if chosen := env.get("RUNNER_PROOFS"):
        return Path(chosen)
    home = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "zk-batch-runner" / "proofs"


def folder_state(folder: Path) -> str:
    """Whether a folder can be used, and the room there is."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return f"not writable ({there})"
    free = shutil.disk_usage(there).free / 1e9
    return f"{'ready' if there == folder else 'made when needed'}, {free:.1f} GB free"


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
    load: Callable[[], Native] = load_native,
    ask: Callable[[Sequence[str]], str] = ask,
) -> Report:
    """Looks at everything.

    Args:
        guests: the folder with ``manifest.json``.
        env: the environment, for the cache folder.
        load: imports the native extension.
        ask: runs a tool and gives its first line.
    """
    native: Native | None = None
    info, problem, todo = None, "", []
    try:
        native = load()
        info = native.build_info()
    except ImportError as error:
        problem = " ".join(str(error).split())
        todo.append("run `make setup`: it builds and installs the native extension")
    tools = {name: ask(command) for name, command in TOOLS.items()}
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
    folder = proof_cache(env)
    return Report(
        runner=__version__,
        python=f"{platform.python_version()} ({sys.executable})",
        platform=platform.platform(),
        cpu=cpu_model(),
        cores=usable_cores(),
        memory_bytes=memory_bytes(),
        native=info,
        native_problem=problem,
        receipts=kinds,
        guests=states,
        tools=tools,
        proof_cache=str(folder),
        proof_cache_state=folder_state(folder),
        ready=not todo,
        todo=todo,
    )


def spoken(value: object) -> str:
    """A value of ``build_info()`` for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def lines(report: Report) -> list[tuple[str, str, str, str]]:
    """The report for people: heading or empty, label, text, style of the text."""
    gib = report.memory_bytes / 2**30
    memory = f"{gib:.1f} GiB" if gib else "unknown"
    good, bad, dim = "green", "red", "dim"
    rows = [
        ("machine", "runner", report.runner, ""),
        ("", "python", report.python, ""),
        ("", "platform", report.platform, ""),
        ("", "processor", f"{report.cpu}, {report.cores} cores for this process", ""),
        ("", "memory", memory, ""),
        ("", "proof cache", f"{report.proof_cache} ({report.proof_cache_state})", ""),
    ]
    if report.native is None:
        rows.append(("native extension", "runner_risc0", f"missing: {report.native_problem}", bad))
    else:
        rows.append(("native extension", "runner_risc0", report.native["module_version"], good))
        rows += [("", key, spoken(value), "") for key, value in report.native.items()][1:]
    rows.append(("receipt kinds", "execute", "yes (no proof)" if report.native else "no", ""))
    for kind in report.receipts:
        text = "yes" if kind.available else f"no: {kind.reason}; {kind.remedy}"
        rows.append(("", kind.kind, text, good if kind.available else dim))
    for at, guest in enumerate(report.guests):
        note = ", image id recomputed" if guest.recomputed else ""
        style = good if guest.state == "ok" else bad
        text = f"{guest.state}{note}  {guest.image_id}"
        rows.append(("" if at else "guests", guest.name, text, style))
    for at, (name, version) in enumerate(report.tools.items()):
        rows.append(("" if at else "tools", name, version or "not found", "" if version else dim))
    return rows


def show(report: Report) -> None:
    """Prints the report, one fact a line."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)

    def put(*parts: str | tuple[str, str] | Text) -> None:
        console.print(Text.assemble(*parts))

    for heading, label, text, style in lines(report):
        if heading:
            put((heading, "bold"))
        put(f"  {label:<18}", (text, style))
    if report.ready:
        put(("\ncomposite proofs work here", "bold green"))
    for what in report.todo:
        put(("\nto do: ", "bold red"), what)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m runner.doctor``."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.doctor",
        description="What this machine can prove. Exit code 0: composite proofs work here.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object instead of text")
    parser.add_argument(
        "--guests", type=Path, default=DEFAULT_FOLDER, help="folder with manifest.json"
    )
    options = parser.parse_args(arguments)
    report = diagnose(options.guests, os.environ)
    if options.json:
        sys.stdout.write(json.dumps(asdict(report), indent=2) + "\n")
    else:
        show(report)
    return 0 if report.ready else 1


if __name__ == "__main__":
    sys.exit(main())
