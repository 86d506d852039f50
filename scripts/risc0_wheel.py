"""The wheel of RISC Zero's extension: what it depends on, and how it is compiled.

It has C++ kernels beside its crates, it has a twin for GPUs, and it contains the recursion
programs where they can be had (`recursion.py`).
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cuda_toolkit
import recursion
import wheels
from steps import SetupError, enabled, run, say, step
from toolchain import Compiler, Rust, cargo_home, ensure_compiler, find_rust

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CRATE", "SWITCHES", "build_env", "cpu", "install", "preflight", "run_tests"]

CRATE = Path("native/risc0")
"""The crate's folder, relative to the repository's root."""

LIBRARY = CRATE / "zkp" / "library"
"""The package that names the source of which the crate in ``native/risc0/zkp`` is made."""

CUDA_CRATE = CRATE / "cuda"
"""The crate of the extension for GPUs. It compiles the same sources."""

ALL_KERNELS = "all"
"""The value of ``RUNNER_CUDA`` that adds the kernels for keccak and Groth16."""

PORTABLE = "portable"
V3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}
LEVELS = {
    "x86-64-v4": V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "x86-64-v3": V3,
}
"""The x86-64 psABI's levels above the portable one, the best first, each with the flags that Linux
shows for it."""

CUDA_SWITCHES = (
    "RUNNER_CUDA",
    "NVCC_APPEND_FLAGS",
    "NVCC_PREPEND_FLAGS",
    "NVCC_CCBIN",
    "RISC0_CUDART_LINKAGE",
)
"""Environment variables that change the extension for GPUs alone."""

SWITCHES: tuple[str, ...] = (
    *CUDA_SWITCHES,
    "RUNNER_CPU",
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
)
"""Environment variables that change what is built. All of them are part of a wheel's key."""


def build_env(
    env: Mapping[str, str], target: Path, rust: Rust, compiler: Compiler, programs: Path | None
) -> dict[str, str]:
    """The environment that cargo runs in.

    Args:
        env: the caller's environment.
        target: cargo's target folder.
        rust: the Rust toolchain.
        compiler: the C++ compiler.
        programs: the archive of the recursion programs, or None for a build without them.
    """
    result = wheels.cargo_env(env, target, rust) | {"CC": compiler.cc, "CXX": compiler.cxx}
    for name in ("DOCS_RS", "RECURSION_SRC_PATH"):
        result.pop(name, None)
    if programs is None:
        # This is the one way to build risc0 without its recursion programs.
        result["DOCS_RS"] = "1"
    else:
        result["RECURSION_SRC_PATH"] = str(programs)
    if (level := cpu(env)) != PORTABLE:
        # This is for Rust only. The C++ that takes time chooses its instructions at run time.
        result["RUSTFLAGS"] = f"{env.get('RUSTFLAGS', '')} -C target-cpu={level}".strip()
    if shutil.which("cc") is None:
        triple = rust.host.upper().replace("-", "_")
        result.setdefault(f"CARGO_TARGET_{triple}_LINKER", compiler.cc)
    return result


def cpu(env: Mapping[str, str]) -> str:
    """The kind of CPU that rustc compiles for: ``RUNNER_CPU``, or the best level that this CPU has.

    Unlike the instructions of one model, a level is common to many CPUs. So a wheel serves all
    machines of a level, and a changed CI machine builds nothing anew.

    Raises:
        SetupError: ``RUNNER_CPU`` is not a choice.
    """
    chosen = env.get("RUNNER_CPU", "")
    if chosen in {PORTABLE, "native", *LEVELS}:
        return chosen
    if chosen:
        known = ", ".join((PORTABLE, "native", *LEVELS))
        raise SetupError(f"RUNNER_CPU={chosen} is not a choice; give one of {known}, or unset it")
    flags = set(re.findall(r"\w+", wheels.cpu_model()))
    return next((level for level, needed in LEVELS.items() if needed <= flags), PORTABLE)


def driver_link(home: Path) -> list[str]:
    """The linker arguments that a build for GPUs lacks where ``DOCS_RS`` is set."""
    folders = [home / "lib64", home / "lib64/stubs"]
    return ["--", *(f"-Lnative={folder}" for folder in folders), "-ldylib=cuda"]


def forget_interrupted(target: Path) -> bool:
    """Removes the archive of a recursion build script that began and did not end.

    That build script leaves the programs out only if there is no archive yet. An empty archive,
    left by a build that was interrupted or tried a download in vain, would make it try the download
    for ever.

    Returns:
        Whether there was such an archive.
    """
    removed = False
    for began in target.glob(f"release/build/{recursion.CRATE}-*/invoked.timestamp"):
        ended, archive = began.with_name("output"), began.with_name("out") / "recursion_zkr.zip"
        complete = ended.exists() and ended.stat().st_mtime_ns >= began.stat().st_mtime_ns
        if not complete and archive.exists():
            archive.unlink()
            removed = True
    return removed


def for_gpus(env: Mapping[str, str]) -> bool:
    """Whether the extension for GPUs is wanted as well."""
    return enabled(env, "RUNNER_CUDA") or env.get("RUNNER_CUDA", "").strip().lower() == ALL_KERNELS


def preflight(root: Path, env: Mapping[str, str]) -> None:
    """Raises an error for what a person must install, before anything slow begins.

    Raises:
        SetupError: there is no usable Rust, or CUDA was asked for and there is no GPU.
    """
    find_rust(env, root / CRATE)
    if for_gpus(env):
        cuda_toolkit.architecture(env)


def install(root: Path, cache: Path, python: Path, env: Mapping[str, str]) -> bool:
    """Installs the extension into the virtual environment, and builds its wheel if none is kept.

    Args:
        root: the repository's root.
        cache: the cache folder.
        python: the virtual environment's interpreter.
        env: the caller's environment.

    Returns:
        Whether the recursion programs are in it. If not, a later try may find them.

    Raises:
        SetupError: the wheel cannot be built here.
    """
    crate = root / CRATE
    rust = find_rust(env, crate)
    compiler = ensure_compiler(env)
    fetch: list[str | Path] = [rust.cargo, "fetch", "--quiet", "--locked"]
    with step("Rust crates: fetching what Cargo.lock names"):
        remedy = "a network or a filled CARGO_HOME is needed"
        for manifest in (crate / "Cargo.toml", root / LIBRARY / "Cargo.toml"):
            run([*fetch, "--manifest-path", manifest], env=env, remedy=remedy)
    wanted = recursion.locked(crate / "Cargo.lock", cargo_home(env))
    programs = recursion.obtain(wanted, cache, env.get("RECURSION_SRC_PATH"))
    level = cpu(env)
    parts = {
        "source": wheels.source_digest(crate, root / wheels.SHARED),
        "rust": rust.version,
        "compiler": f"{compiler.cc} {compiler.cxx} {compiler.version}",
        "recursion": wanted.sha256 if programs else "none",
        "platform": wheels.platform_name(),
        "cpu": wheels.cpu_model() if level == "native" else level,
        **{name: env.get(name, "") for name in SWITCHES},
    }
    cargo = build_env(env, target_folder(cache, env), rust, compiler, programs)
    wheels.install(
        "RISC Zero",
        cache,
        python,
        parts | dict.fromkeys(CUDA_SWITCHES, ""),
        lambda to: build(crate, to, python, cargo),
    )
    if for_gpus(env):
        install_for_gpus(Where(root, cache, python), env, parts, cargo, compiler)
    else:
        # It would be left from other sources than the CPU's.
        run([python, *wheels.PIP, "uninstall", "--quiet", "--yes", "runner-risc0-cuda"])
    return programs is not None


@dataclass(frozen=True)
class Where:
    """The repository's root, the cache folder, and the virtual environment's interpreter."""

    root: Path
    cache: Path
    python: Path


def install_for_gpus(
    where: Where,
    env: Mapping[str, str],
    parts: Mapping[str, str],
    cargo: Mapping[str, str],
    compiler: Compiler,
) -> None:
    """Installs the extension for GPUs beside the one for the CPU.

    Args:
        where: the folders and the interpreter.
        env: the caller's environment.
        parts: what decides the content of the CPU's wheel, which decides this one's too.
        cargo: the environment that cargo builds the CPU's extension in.
        compiler: the C++ compiler.

    Raises:
        SetupError: the wheel cannot be built here.
    """
    cuda_toolkit.ensure_protoc(env)
    toolkit = cuda_toolkit.ensure_toolkit(env, where.cache, where.python, compiler)
    everything = env["RUNNER_CUDA"].strip().lower() == ALL_KERNELS
    more = {"for": cuda_toolkit.architecture(env), "nvcc": toolkit.version}
    build_in = {**cargo, **cuda_toolkit.build_env(cargo, toolkit)}
    wheels.install(
        "RISC Zero for GPUs",
        where.cache,
        where.python,
        {**parts, **more},
        lambda to: build(
            where.root / CUDA_CRATE,
            to,
            where.python,
            build_in,
            arguments=[
                *(["--features", "all-kernels"] if everything else []),
                *(driver_link(toolkit.home) if "DOCS_RS" in build_in else []),
            ],
        ),
    )


def target_folder(cache: Path, env: Mapping[str, str]) -> Path:
    """Cargo's target folder for the crate."""
    level = cpu(env)
    return cache / ("native" if level == PORTABLE else f"native-{level}") / "risc0"


def run_tests(root: Path, cache: Path, env: Mapping[str, str]) -> None:
    """Runs the Rust tests of the crate, on what is already compiled for its wheel.

    Raises:
        SetupError: a test failed, or the crate cannot be built here.
    """
    crate = root / CRATE
    rust, compiler = find_rust(env, crate), ensure_compiler(env)
    wanted = recursion.locked(crate / "Cargo.lock", cargo_home(env))
    programs = recursion.find(wanted, cache)
    cargo = build_env(env, target_folder(cache, env), rust, compiler, programs)
    # Named together, the two crates are compiled with the features that the wheel's are.
    members = ("--tests", "--package", "runner-risc0", "--package", "risc0-zkp")
    wheels.cargo_test(crate, rust, cargo, members)


def build(
    crate: Path,
    folder: Path,
    python: Path,
    env: Mapping[str, str],
    arguments: Sequence[str] = (),
) -> None:
    """Compiles the wheel into a folder, which appears only when the wheel is complete.

    Args:
        crate: the extension's crate.
        folder: the folder that the wheel is kept in.
        python: the virtual environment's interpreter.
        env: the environment that cargo runs in.
        arguments: more arguments for maturin.
    """
    target = Path(env["CARGO_TARGET_DIR"])
    left_out = "RECURSION_SRC_PATH" not in env
    what = f"compiling {crate.name} (minutes the first time, kept afterwards)"

    def run_maturin(command: list[str | Path]) -> None:
        command += arguments
        with step(f"RISC Zero extension: {what}"):
            if left_out:
                forget_interrupted(target)
            try:
                run(command, env=env)
            except SetupError:
                if not (left_out and forget_interrupted(target)):
                    raise
                say("once more, with nothing left of an earlier build's recursion programs")
                run(command, env=env)

    wheels.build(crate, folder, python, run_maturin)
