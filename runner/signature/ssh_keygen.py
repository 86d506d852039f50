"""Runs ``ssh-keygen -Y``, the part of OpenSSH that signs files and checks signatures.

``ssh-keygen`` reads the keys. It asks for a passphrase at the terminal or through ``SSH_ASKPASS``,
and it uses ssh-agent and security keys, so no private key passes through this program. It is never
given the path of a batch's file, because whoever can write to the folder could change the file
between two readings.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from runner.errors import InputError, VerificationFailedError
from runner.folder import SIGNATURE, SUMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["NAMESPACE", "SshKeygen"]

NAMESPACE = "zk-batch-runner@batch"
"""What the signatures are for. A signature that the same key made for Git or mail has another."""


_TALK_S = 120.0
"""The time that a user has to type a passphrase and to touch a security key."""

_CHECK_S = 30.0

_TOO_OLD = ("option -- Y", "Unsupported operation for -Y")
_INSTALL = "install OpenSSH 8.2 or later (Debian's package is openssh-client)"


class SshKeygen:
    """The tool, as it is needed for one file that the user has given.

    Args:
        field: the command-line argument that the file was given with, for error messages.
        path: the path of that file.

    Raises:
        InputError: there is no ``ssh-keygen``.
    """

    def __init__(self, field: str, path: Path) -> None:
        self._field = field
        self._path = path
        tool = shutil.which("ssh-keygen")
        if tool is None:
            raise self.unusable("needs ssh-keygen, which is not on the PATH", _INSTALL)
        self._tool = tool

    def unusable(self, problem: str, remedy: str) -> InputError:
        """Return the error that says why the user's file cannot be used."""
        return InputError(self._field, str(self._path), problem, remedy)

    def run(
        self, arguments: Sequence[str], message: bytes | None = b""
    ) -> subprocess.CompletedProcess[str]:
        """Run the tool.

        Args:
            arguments: the arguments of the tool.
            message: what the tool reads from standard input. With None the tool has our standard
                input, and our standard error if it is a terminal, so that it can ask the user.

        Raises:
            InputError: the tool is too old, or did not end in time.
        """
        talks = message is None
        with subprocess.Popen(  # noqa: S603  # a list of arguments, and no shell
            [self._tool, *arguments],
            stdin=None if talks else subprocess.PIPE,
            stdout=subprocess.PIPE,
            # It asks the user to touch a security key only if its standard error is a terminal.
            stderr=None if talks and sys.stderr.isatty() else subprocess.PIPE,
        ) as process:
            try:
                pipes = process.communicate(message, timeout=_TALK_S if talks else _CHECK_S)
            except subprocess.TimeoutExpired:
                process.terminate()  # SIGKILL would leave the terminal without its echo
                raise self.unusable("ssh-keygen did not answer in time", "try again") from None
        out, err = ((text or b"").decode("utf-8", "replace") for text in pipes)
        if process.returncode != 0 and any(words in err for words in _TOO_OLD):
            raise self.unusable(f"{self._tool} is too old to sign and check files", _INSTALL)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def key_of(self, signature: Path, message: bytes) -> str:
        """Return the key that made a signature, as the tool names it, if the signature holds.

        Whether this key may sign is another question.

        Args:
            signature: the path of the signature.
            message: what was signed.

        Raises:
            VerificationFailedError: the signature is malformed, is for something else, or is not
                over this message.
        """
        done = self.run(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(signature)], message)
        found = re.search(r" signature with (\S+ key \S+)$", done.stdout.strip())
        if done.returncode != 0 or found is None:
            reason = f"{SIGNATURE} does not hold for {SUMS}: {last_line(done.stderr)}"
            raise VerificationFailedError("signature", reason)
        return found[1]


def last_line(words: str) -> str:
    """The last line of what the tool said."""
    return (words.strip().splitlines() or ["ssh-keygen does not say why"])[-1]
