"""What compiles kernels for GPUs: NVIDIA's compiler on PATH, or else the one from PyPI.

PyPI's packages have the compiler and the headers, but neither the folder ``lib64`` that builds look
for nor the driver's library that they link. Both are added here. The library that is linked has all
of the driver's functions and does nothing. Where the extension runs, the real one takes its place.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from steps import SetupError, apt_install, ask, run, step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolchain import Compiler

__all__ = ["Toolkit", "architecture", "build_env", "ensure_protoc", "ensure_toolkit"]

PACKAGES = tuple(
    f"nvidia-{name}==13.0.*"
    for name in ("cuda-nvcc", "cuda-crt", "nvvm", "cuda-runtime", "cuda-cccl")
)
"""The compiler and what it includes. Drivers of 2025 and later run what it compiles."""

FOLDER = "cuda-13.0"


@dataclass(frozen=True)
class Toolkit:
    """NVIDIA's compiler.

    Attributes:
        home: the folder that contains ``bin``, ``include`` and ``lib64``.
        version: the last line of what the compiler says of itself.
    """

    home: Path
    version: str


def architecture(env: Mapping[str, str]) -> str:
    """What the kernels are compiled for: the flags that the user gives, or this machine's GPUs.

    Raises:
        SetupError: there are neither.
    """
    flags = f"{env.get('NVCC_PREPEND_FLAGS', '')} {env.get('NVCC_APPEND_FLAGS', '')}".strip()
    if "arch" in flags or "-gencode" in flags:
        return flags
    gpus = ask("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    if not gpus:
        raise SetupError(
            "RUNNER_CUDA is on, and this machine shows no GPU to compile for; name one, such as"
            " NVCC_APPEND_FLAGS=-arch=sm_90 for an H100, or unset RUNNER_CUDA"
        )
    return gpus


def ensure_toolkit(
    env: Mapping[str, str], cache: Path, python: Path, compiler: Compiler
) -> Toolkit:
    """The compiler on PATH, or the one from PyPI, which is installed into the cache folder.

    Args:
        env: the caller's environment.
        cache: the cache folder.
        python: an interpreter with pip.
        compiler: the C compiler that makes the library that stands for the driver.

    Raises:
        SetupError: there is no compiler, and it cannot be had.
    """
    nvcc = shutil.which("nvcc", path=env.get("PATH"))
    if nvcc is not None:
        home = Path(env.get("CUDA_PATH") or Path(nvcc).resolve().parents[1])
        return Toolkit(home, ask(nvcc, "--version").splitlines()[-1])
    folder = cache / FOLDER
    home = folder / "nvidia" / "cu13"
    if not (home / "lib64" / "stubs" / "libcuda.so").exists():
        with step("CUDA: installing NVIDIA's compiler from PyPI, since there is no nvcc on PATH"):
            remedy = "a network is needed, or a CUDA toolkit with its bin folder on PATH"
            install(folder, python, compiler, remedy)
    return Toolkit(home, ask(home / "bin" / "nvcc", "--version").splitlines()[-1])


def install(folder: Path, python: Path, compiler: Compiler, remedy: str) -> None:
    """Installs NVIDIA's packages into a folder, which appears only when it is complete.

    Raises:
        SetupError: they cannot be had, or the library for the driver cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".incoming-") as part:
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--no-input"]
        pip += ["--disable-pip-version-check", "--no-deps", "--target", part, *PACKAGES]
        run(pip, remedy=remedy)
        home = Path(part) / "nvidia" / "cu13"
        (home / "lib64").symlink_to("lib")
        (home / "lib" / "stubs").mkdir()
        functions = (home / "include" / "cuda.h").read_text(errors="replace")
        source = Path(part) / "driver.c"
        source.write_text(stand_in(functions))
        library = home / "lib" / "stubs" / "libcuda.so"
        run([compiler.cc, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", library, source])
        Path(part).chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(part, folder, symlinks=True)


def stand_in(header: str) -> str:
    """The C source of a library with every function that the driver's header names.

    Each returns the error that NVIDIA's own library of this kind returns, CUDA_ERROR_STUB_LIBRARY.
    """
    called = re.findall(r"\b(cu[A-Z]\w*)\s*\(", header)
    renamed = re.findall(r"#define\s+(cu[A-Z]\w*)\s+(?:\w+\()?(cu[A-Z]\w*)", header)
    names = sorted({*called, *(name for pair in renamed for name in pair), "cuProfilerInitialize"})
    return "".join(f"int {name}(void) {{ return 34; }}\n" for name in names)


def ensure_protoc(env: Mapping[str, str]) -> None:
    """Makes sure that there is a protoc, which the library's build for GPUs runs.

    Raises:
        SetupError: there is none, and it cannot be installed.
    """
    if env.get("PROTOC") or shutil.which("protoc", path=env.get("PATH")):
        return
    if not apt_install(["protobuf-compiler"], "the build for GPUs runs protoc", env):
        raise SetupError(
            "RUNNER_CUDA is on but protoc is not on PATH; install Debian's protobuf-compiler, or"
            " name the program in PROTOC, or unset RUNNER_CUDA"
        )


def build_env(env: Mapping[str, str], toolkit: Toolkit) -> dict[str, str]:
    """What a build for GPUs adds to the environment that cargo runs in.

    Args:
        env: the environment so far.
        toolkit: the compiler.
    """
    # CUDA 13's headers need C++17, which is not clang 14's default. And the library's build names
    # this machine's GPU only if no flags are given.
    native = [] if env.get("NVCC_APPEND_FLAGS") else ["-arch=native"]
    home = str(toolkit.home)
    return {
        "PATH": f"{toolkit.home / 'bin'}:{env.get('PATH', '')}",
        "CUDA_PATH": home,
        "CUDA_ROOT": home,
        "CUDA_LIBRARY_PATH": home,
        "NVCC_PREPEND_FLAGS": env.get("NVCC_PREPEND_FLAGS") or " ".join(["-std=c++17", *native]),
    }
