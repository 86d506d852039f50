"""The command ``python -m runner.sign FOLDER --key FILE``: sign a finished batch.

``docs/signing.md`` says what a signature shows in addition to what is proved.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from runner import streams
from runner.errors import RunnerError
from runner.folder import SIGNATURE, SUMS
from runner.signature.sign import sign

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.sign",
        description=f"Sign a finished batch with an SSH key, into {SIGNATURE} in its folder.",
    )
    parser.add_argument("folder", type=Path, help="output folder of the batch")
    parser.add_argument(
        "--key",
        type=Path,
        required=True,
        metavar="FILE",
        help="a private key, or a public key whose private half is in ssh-agent",
    )
    options = parser.parse_args(arguments)
    try:
        signed = sign(options.folder, options.key)
    except RunnerError as error:
        sys.stderr.write(f"{'error: ' if error.exit_code == 2 else ''}{error}\n")
        return error.exit_code
    if signed.audit_line is None:
        audit = "--  no audit log: the run kept none"
    else:
        audit = f"ok  audit log: up to line {signed.audit_line}, {signed.audit_hash}"
    sys.stdout.write(
        f"  ok  files: {signed.files} match {SUMS}\n"
        f"  {audit}\n"
        f"SIGNED: {options.folder / SIGNATURE}, by {signed.key}\n"
    )
    return 0


if __name__ == "__main__":
    streams.run(main)
