"""The command ``python -m runner.compile CRATE...``, which compiles guests for a zkVM.

A crate may be anywhere. Its own lock file and its ``[patch.crates-io]`` count, and a crate with
several programs gives several guests.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.compile import crates, pinned, toolchain
from runner.errors import RunnerError
from runner.model import ReceiptKind
from runner.provers.committing import CommittingProver
from runner.provers.prover import ProverSpec, load_prover

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_LIBRARIES = {"risc0": "risc0_zkvm", "openvm": "openvm"}
"""The zkVMs, and how a manifest names the library of which it has the version."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.compile",
        description="Compile guest programs for a zkVM, and pin them in a manifest.",
    )
    parser.add_argument("crate", nargs="+", type=Path, help="folder of a crate or a workspace")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("guests"),
        metavar="FOLDER",
        help="where elfs/NAME.elf and manifest.json are written (default: %(default)s)",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="only this program"
    )
    parser.add_argument(
        "--zkvm",
        choices=_LIBRARIES,
        default="risc0",
        help="the zkVM that the programs are written for (default: %(default)s)",
    )
    parser.add_argument(
        "--method",
        choices=toolchain.METHODS,
        help="rzup: an installed RISC Zero toolchain; stock: a stock Rust with its sources "
        "(default: the first that is installed)",
    )
    options = parser.parse_args(arguments)
    try:
        found = [crates.find(folder, options.only) for folder in options.crate]
        compiler = toolchain.find(options.method)
        # A folder with a VM of its own gets image ids on that VM.
        spec = ProverSpec(options.zkvm, ReceiptKind.EXECUTE, guests=str(options.out))
        prover = load_prover(spec)
        programs = []
        for crate in found:
            for program in crate.programs:
                data = compiler.build(crate, program).read_bytes()
                parts = prover.commitments(data) if isinstance(prover, CommittingProver) else {}
                programs.append(pinned.Pinned(program.name, data, prover.image_id(data), parts))
        made_by = {
            "method": compiler.method,
            "rustc": compiler.version,
            _LIBRARIES[options.zkvm]: prover.versions.zkvm_version,
        }
        pinned.write(options.out, programs, made_by, options.zkvm)
    except RunnerError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    for one in programs:
        sys.stdout.write(f"{one.name} {one.image_id.hex()}\n")
    return 0


if __name__ == "__main__":
    streams.run(main)
