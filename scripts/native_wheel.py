"""The native extension: what its wheel depends on, the build, and the wheels kept from before.

A wheel is kept in the cache folder under a key made of everything that decides its content, so
that a second clone, or the same clone after `make clean`, installs it and compiles nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import recursion
from steps import SetupError, ask, enabled, run, say, step
from toolchain import Compiler, Rust, cargo_home, ensure_compiler, find_rust

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CRATE",
    "SWITCHES",
    "build_env",
    "install",
    "preflight",
    "run_tests",
    "source_digest",
    "wheel_key",
]

CRATE = Path("native/risc0")
"""The crate's folder, relative to the repository's root."""

PORTABLE = "portable"
V3 = {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"}
LEVELS = {
    "x86-64-v4": V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
    "x86-64-v3": V3,
}
"""The x86-64 psABI's levels above the portable one, the best first, by the flags Linux shows."""

KEPT_WHEELS = 8
PLAIN_INSTALL = (
    "--disable-pip-version-check",
    "--no-index",
    "--no-deps",
    "--force-reinstall",
)

SWITCHES = (
    "RUNNER_CUDA",
    "RUNNER_CPU",
    "CC",
    "CXX",
    "CFLAGS",
    "CXXFLAGS",
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "NVCC_APPEND_FLAGS",
    "NVCC_PREPEND_FLAGS",
    "NVCC_CCBIN",
    "RISC0_CUDART_LINKAGE",
)
"""Environment variables that change what is built; all of them are part of a wheel's key."""


def source_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of the crate's files, build outputs left out."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        skipped = any(part == "target" or part.startswith((".", "__")) for part in inside.parts)
        if skipped or not path.is_file() or path.suffix == ".so":
            continue
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{inside.as_posix()} {content}\n".encode())
    return total.hexdigest()


def wheel_key(parts: Mapping[str, str]) -> str:
    """A short name for everything that decides what a wheel contains."""
    return hashlib.sha256(json.dumps(dict(parts), sort_keys=True).encode()).hexdigest()[:20]


def cuda_parts(env: Mapping[str, str]) -> dict[str, str]:
    """What a CUDA build depends on: its kernels are compiled for the GPU in this machine.

    Raises:
        SetupError: CUDA was asked for and nvcc is not there.
    """
    if not enabled(env, "RUNNER_CUDA"):
        return {}
    nvcc = ask("nvcc", "--version")
    if not nvcc:
        raise SetupError(
            "RUNNER_CUDA=1 but nvcc is not on PATH; install the CUDA toolkit (12 or newer) and"
            " add its bin folder, usually /usr/local/cuda/bin, to PATH, or unset RUNNER_CUDA"
        )
    if "PROTOC" not in env and shutil.which("protoc", path=env.get("PATH")) is None:
        raise SetupError(
            "RUNNER_CUDA=1 but protoc is not on PATH; install Debian's protobuf-compiler, or name"
            " the program in PROTOC, or unset RUNNER_CUDA"
        )
    gpus = ask("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return {"nvcc": nvcc.splitlines()[-1], "gpus": gpus}


def build_env(
    env: Mapping[str, str], target: Path, rust: Rust, compiler: Compiler, programs: Path | None
) -> dict[str, str]:
    """The environment cargo runs in."""
    result = {k: v for k, v in env.items() if k not in {"DOCS_RS", "RECURSION_SRC_PATH"}}
    result |= {"CC": compiler.cc, "CXX": compiler.cxx, "CARGO_TARGET_DIR": str(target)}
    result["PATH"] = f"{Path(rust.cargo).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    if programs is None:
        # The one way to build risc0 without its recursion programs.
        result["DOCS_RS"] = "1"
    else:
        result["RECURSION_SRC_PATH"] = str(programs)
    if (cpu := target_cpu(env)) != PORTABLE:
        # Rust only: the C++ that takes time picks its instructions at run time (native/risc0).
        result["RUSTFLAGS"] = f"{env.get('RUSTFLAGS', '')} -C target-cpu={cpu}".strip()
    if enabled(env, "RUNNER_CUDA") and "NVCC_PREPEND_FLAGS" not in env:
        # CUDA 13's headers want C++17, which clang 14 does not speak by itself; and risc0's build
        # names this machine's GPU only where no flags are given.
        native = [] if "NVCC_APPEND_FLAGS" in env else ["-arch=native"]
        result["NVCC_PREPEND_FLAGS"] = " ".join(["-std=c++17", *native])
    if shutil.which("cc") is None:
        triple = rust.host.upper().replace("-", "_")
        result.setdefault(f"CARGO_TARGET_{triple}_LINKER", compiler.cc)
    return result


def target_cpu(env: Mapping[str, str]) -> str:
    """What rustc is told to compile for: ``RUNNER_CPU``, or the best level this CPU has.

    A level is kept by every CPU of the last ten years or so, unlike a model's own instructions, so
    a wheel serves all machines of a level and a changed CI machine builds nothing anew.

    Raises:
        SetupError: not a choice.
    """
    chosen = env.get("RUNNER_CPU", "")
    if chosen in {PORTABLE, "native", *LEVELS}:
        return chosen
    if chosen:
        known = ", ".join((PORTABLE, "native", *LEVELS))
        raise SetupError(f"RUNNER_CPU={chosen} is not a choice; give one of {known}, or unset it")
    flags = set(re.findall(r"\w+", cpu_model()))
    return next((level for level, needed in LEVELS.items() if needed <= flags), PORTABLE)


def cpu_model() -> str:
    """The CPU's model and flags, as the kernel names them."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    return "\n".join(sorted(set(re.findall(r"^(?:model name|flags)\s*:.*$", text, re.MULTILINE))))


def without_driver_link(env: Mapping[str, str], programs: Path | None) -> list[str]:
    """Linker arguments that ``DOCS_RS`` takes away from a CUDA build."""
    if programs is not None or not enabled(env, "RUNNER_CUDA"):
        return []
    home = Path(env.get("CUDA_PATH") or "/usr/local/cuda")
    folders = [home / "lib64", home / "lib64/stubs"]
    return ["--", *(f"-Lnative={folder}" for folder in folders), "-ldylib=cuda"]


def forget_interrupted(target: Path) -> bool:
    """Removes the archive of a recursion build script that began and did not end.

    It leaves the programs out only where there is no archive yet: an empty one, left by a build
    that was interrupted or tried a download in vain, would make it try to download for ever.

    Returns:
        Whether there was one.
    """
    removed = False
    for began in target.glob(f"release/build/{recursion.CRATE}-*/invoked.timestamp"):
        ended, archive = began.with_name("output"), began.with_name("out") / "recursion_zkr.zip"
        whole = ended.exists() and ended.stat().st_mtime_ns >= began.stat().st_mtime_ns
        if not whole and archive.exists():
            archive.unlink()
            removed = True
    return removed


def preflight(root: Path, env: Mapping[str, str]) -> None:
    """Says what a person must install, before anything slow is begun.

    Raises:
        SetupError: no usable Rust, or CUDA asked for and not there.
    """
    find_rust(env, root / CRATE)
    cuda_parts(env)


def install(root: Path, cache: Path, python: Path, env: Mapping[str, str]) -> bool:
    """Puts the extension into the virtual environment, building its wheel if there is none yet.

    Args:
        root: the repository's root.
        cache: the cache folder.
        python: the virtual environment's interpreter.
        env: the caller's environment.

    Returns:
        Whether the recursion programs are in it.

    Raises:
        SetupError: it cannot be built here.
    """
    crate = root / CRATE
    rust = find_rust(env, crate)
    cuda = cuda_parts(env)
    compiler = ensure_compiler(env)
    manifest = crate / "Cargo.toml"
    fetch: list[str | Path] = [
        rust.cargo,
        "fetch",
        "--quiet",
        "--locked",
        "--manifest-path",
        manifest,
    ]
    with step("Rust crates: fetching what Cargo.lock names"):
        run(fetch, env=dict(env), remedy="a network or a filled CARGO_HOME is needed")
    wanted = recursion.locked(crate / "Cargo.lock", cargo_home(env))
    programs = recursion.obtain(wanted, cache, env.get("RECURSION_SRC_PATH"))
    cpu = target_cpu(env)
    parts = {
        "source": source_digest(crate),
        "rust": rust.version,
        "compiler": f"{compiler.cc} {compiler.cxx} {compiler.version}",
        "recursion": wanted.sha256 if programs else "none",
        "platform": " ".join((sys.platform, platform.machine(), *platform.libc_ver())),
        "cpu": cpu_model() if cpu == "native" else cpu,
        **{name: env.get(name, "") for name in SWITCHES},
        **cuda,
    }
    folder = cache / "wheels" / wheel_key(parts)
    if not list(folder.glob("*.whl")):
        target = target_folder(cache, env)
        build(crate, folder, python, build_env(env, target, rust, compiler, programs))
        (folder / "key.json").write_text(json.dumps(parts, indent=2, sort_keys=True) + "\n")
        prune(folder.parent)
    os.utime(folder)
    wheel = next(folder.glob("*.whl"))
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-input"]
    with step(f"native extension: installing {folder.name}/{wheel.name}"):
        run([*pip, *PLAIN_INSTALL, wheel])
    return programs is not None


def target_folder(cache: Path, env: Mapping[str, str]) -> Path:
    """Cargo's target folder for the crate."""
    cpu = target_cpu(env)
    return cache / ("native" if cpu == PORTABLE else f"native-{cpu}") / "risc0"


def run_tests(root: Path, cache: Path, env: Mapping[str, str]) -> None:
    """Runs the crate's own tests, on the crates already compiled for its wheel.

    Raises:
        SetupError: a test failed, or the crate cannot be built here.
    """
    crate = root / CRATE
    rust, compiler = find_rust(env, crate), ensure_compiler(env)
    wanted = recursion.locked(crate / "Cargo.lock", cargo_home(env))
    programs = recursion.find(wanted, cache)
    command: list[str | Path] = [rust.cargo, "test", "--release", "--locked", "--lib"]
    command += ["--manifest-path", crate / "Cargo.toml"]
    run(command, env=build_env(env, target_folder(cache, env), rust, compiler, programs))


def build(crate: Path, folder: Path, python: Path, env: Mapping[str, str]) -> None:
    """Compiles the wheel into ``folder``, which appears only when the wheel is whole."""
    needed = tomllib.loads((crate / "pyproject.toml").read_text())["build-system"]["requires"]
    pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-input"]
    with step("build tool: maturin"):
        run([*pip, "--disable-pip-version-check", *needed])
    folder.parent.mkdir(parents=True, exist_ok=True)
    target = Path(env["CARGO_TARGET_DIR"])
    programs = Path(env["RECURSION_SRC_PATH"]) if "RECURSION_SRC_PATH" in env else None
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".incoming-") as part:
        command: list[str | Path] = [python, "-m", "maturin", "build", "--release", "--locked"]
        command += ["--manifest-path", crate / "Cargo.toml", "--interpreter", python, "--out", part]
        command += ["--compatibility", "linux"] if sys.platform == "linux" else []
        command += ["--features", "cuda"] if enabled(env, "RUNNER_CUDA") else []
        command += without_driver_link(env, programs)
        what = "with CUDA" if enabled(env, "RUNNER_CUDA") else "for CPU"
        with step(f"native extension: compiling {what} (minutes the first time, kept afterwards)"):
            left_out = programs is None
            if left_out:
                forget_interrupted(target)
            try:
                run(command, env=env)
            except SetupError:
                if not (left_out and forget_interrupted(target)):
                    raise
                say("once more, with nothing left of an earlier build's recursion programs")
                run(command, env=env)
        Path(part).chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(part, folder)


def prune(folder: Path) -> None:
    """Keeps the wheels used last, removes older ones."""
    wheels = [path for path in folder.iterdir() if not path.name.startswith(".")]
    for old in sorted(wheels, key=lambda path: -path.stat().st_mtime)[KEPT_WHEELS:]:
        shutil.rmtree(old, ignore_errors=True)
