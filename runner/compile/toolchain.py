"""The Rust compiler for guests, and the flags that it is called with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import InputError, ProverError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runner.compile.crates import Crate, Program

__all__ = ["METHODS", "TARGET", "Toolchain", "find"]

TARGET = "riscv32im-risc0-zkvm-elf"
METHODS = ("rzup", "stock")

_TEXT_START = 0x00200800
"""Where a user's program starts. RISC Zero's tools put the stack below it."""

_FORBIDDEN = re.compile(
    r"RUSTFLAGS|RUSTC_.*|CARGO_(BUILD|PROFILE|TARGET|ENCODED|UNSTABLE)_.*|CARGO_TARGET_DIR"
)
"""Variables by which a user's own flags, wrappers and profiles would change the image ids."""


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A compiler for guests.

    Attributes:
        method: ``rzup`` for an installed RISC Zero toolchain, or ``stock`` for a stock Rust that
            compiles the standard library from its sources.
        rustc: the compiler.
        version: what the compiler says of itself.
        library: the folder of the standard library's sources.
    """

    method: str
    rustc: Path
    version: str
    library: Path

    def build(self, crate: Crate, program: Program) -> Path:
        """Compile one program; returns its ELF file.

        Cargo is called in the crate's folder, so that its lock file, its patches and its toolchain
        file count.

        Raises:
            InputError: the crate's lock file does not fit its ``Cargo.toml``.
            ProverError: the program does not compile. Cargo has said why on standard error.
        """
        locked = ["--locked"] if (crate.root / "Cargo.lock").is_file() else []
        std = []
        if self.method == "stock":
            std = ["-Zbuild-std=core,alloc,proc_macro,panic_abort,std"]
            std.append("-Zbuild-std-features=compiler-builtins-mem")
        command = ["cargo", "build", "--release", *locked, "--target", TARGET, *std]
        command += ["--manifest-path", str(crate.manifest)]
        command += ["--package", program.package, "--bin", program.name]
        done = subprocess.run(  # noqa: S603  # cargo on the user's own crate
            command, cwd=crate.manifest.parent, env=self._env(crate), check=False, stdout=2
        )
        if done.returncode != 0:
            if locked and not _fits(crate):
                # Cargo's own advice is to leave out an option that is not the user's.
                remedy = f"run `cargo update --workspace` in {crate.root}, or restore it from git"
                problem = "does not fit the Cargo.toml beside it"
                raise InputError("crate", str(crate.root / "Cargo.lock"), problem, remedy)
            raise ProverError("build_failed", f"{program.name} does not compile")
        return crate.target / TARGET / "release" / program.name

    def _env(self, crate: Crate) -> dict[str, str]:
        env = {name: text for name, text in os.environ.items() if not _FORBIDDEN.fullmatch(name)}
        home = Path(env.get("CARGO_HOME") or Path.home() / ".cargo")
        # The flags of risc0-build 3.0. Paths of this machine are kept out of the program.
        flags = [
            *(["-C", "linker=ld.lld"] if self.method == "stock" else []),
            f"--remap-path-prefix={crate.root}=/guests",
            f"--remap-path-prefix={home.absolute()}=/cargo",
            f"--remap-path-prefix={self.library}=/rust",
            f"--remap-path-prefix={self.library.resolve()}=/rust",
            *("-C", "passes=lower-atomic", "-C", f"link-arg=-Ttext={_TEXT_START:#010x}"),
            *("-C", "link-arg=--fatal-warnings", "-C", "panic=abort"),
            *("--cfg", 'getrandom_backend="custom"'),
        ]
        if self.method == "stock":
            env["RUSTC_BOOTSTRAP"] = "1"
        return env | {
            "RUSTC": str(self.rustc),
            "CARGO_TARGET_DIR": str(crate.target),
            "CARGO_INCREMENTAL": "0",
            "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
        }


def find(method: str | None, env: Mapping[str, str] = os.environ) -> Toolchain:
    """The compiler of a method, or the first that is installed.

    Args:
        method: one of :data:`METHODS`; None for RISC Zero's toolchain if it is there, and else the
            stock compiler.
        env: the environment. ``GUEST_RUSTC`` is the stock compiler, by default ``/usr/bin/rustc``,
            or else the one on the PATH.

    Raises:
        InputError: it is not installed, or something is missing that it needs.
    """
    installed = _rzup()
    if installed is not None and method != "stock":
        return _toolchain("rzup", installed)
    if method == "rzup":
        remedy = "install it (https://risczero.com/install) and run `rzup install rust`"
        raise InputError("--method", method, "there is no RISC Zero toolchain", remedy)
    chosen = env.get("GUEST_RUSTC") or (
        "/usr/bin/rustc" if Path("/usr/bin/rustc").is_file() else shutil.which("rustc")
    )
    if not chosen:
        raise InputError("--method", "stock", "there is no rustc", "install Rust")
    found = _toolchain("stock", Path(chosen))
    missing = [] if shutil.which("ld.lld") else ["ld.lld (Debian: lld)"]
    if not (found.library / "library" / "Cargo.lock").is_file():
        missing.append(f"the sources of {found.version} (Debian: rust-web-src; or rust-src)")
    if missing:
        problem = f"a stock compiler needs {' and '.join(missing)}"
        remedy = "install this, or RISC Zero's toolchain (https://risczero.com/install)"
        raise InputError("--method", "stock", problem, remedy)
    return found


def _fits(crate: Crate) -> bool:
    """Whether a crate's lock file is one that cargo would not change."""
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--manifest-path"]
    done = subprocess.run(  # noqa: S603  # cargo on the user's own crate
        [*command, str(crate.manifest)], capture_output=True, check=False
    )
    return done.returncode == 0


def _rzup() -> Path | None:
    if shutil.which("rustup") is None:
        return None
    said = _said("rustup", "which", "--toolchain", "risc0", "rustc")
    return Path(said) if said else None


def _toolchain(method: str, rustc: Path) -> Toolchain:
    version, root = _said(str(rustc), "--version"), _said(str(rustc), "--print", "sysroot")
    if not version or not root:
        raise InputError("--method", method, f"{rustc} does not run", "give another GUEST_RUSTC")
    return Toolchain(method, rustc, version, Path(root, "lib", "rustlib", "src", "rust"))


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
