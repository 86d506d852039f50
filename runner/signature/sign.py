"""Signs a finished batch, once its files are as its checksums say."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from runner.errors import InputError, VerificationFailedError
from runner.files import atomic_write
from runner.folder import RESULT, SIGNATURE, SUMS, check_sums, read_file, read_record
from runner.model import ReceiptKind
from runner.signature.ssh_keygen import NAMESPACE, SshKeygen, last_line
from runner.untrusted import open_regular, unhex

__all__ = ["Signed", "sign"]

_REFUSALS = {
    "are too open": ("others can read it, so ssh-keygen refuses it", "run chmod 600 on it"),
    "incorrect passphrase": (
        "its passphrase was not given",
        "run this at a terminal, or add the key to ssh-agent and give its .pub file",
    ),
    "No private key found": (
        "its private half is neither beside it nor in ssh-agent",
        "give the file of the private key, or add it with ssh-add",
    ),
    "load public key": (
        "ssh-keygen finds no key in it",
        "give a private key of OpenSSH, or the .pub file of a key in ssh-agent",
    ),
}
"""What is wrong with a key and what to do about it, by words that ssh-keygen says then."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, and with which key.

    Attributes:
        key: the key, as ssh-keygen names it.
        files: the number of files that ``SHA256SUMS`` names.
        audit_line: the number of the run's last line in the audit log; None for a run without one.
        audit_hash: the hash of that line.
    """

    key: str
    files: int
    audit_line: int | None
    audit_hash: str


def sign(folder: Path, key: Path) -> Signed:
    """Sign a finished batch. An earlier signature is replaced.

    Args:
        folder: the output folder of the batch.
        key: a private key's file, or a public key's file if ssh-agent has the private half.

    Raises:
        InputError: no finished batch has left this folder, or it cannot be written; or there is no
            ssh-keygen, or it cannot sign with the key.
        VerificationFailedError: a file of the batch is not as its checksum says, the batch did not
            succeed, or nothing was proved.
    """
    tool = SshKeygen("--key", key)
    try:
        open_regular(key, follow=True).close()
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise tool.unusable(problem, "give the file of a key") from None
    names = check_sums(folder)
    line, digest = _check_record(folder, names)
    sums = read_file(folder, SUMS)
    with tempfile.TemporaryDirectory(prefix="zk-batch-sign-") as name:
        message, signature = Path(name, SUMS), Path(name, SIGNATURE)
        message.write_bytes(sums)
        # The message is not on standard input, from which ssh-keygen may read a passphrase.
        key_and_purpose = ["-f", str(key.absolute()), "-n", NAMESPACE]
        done = tool.run(["-q", "-Y", "sign", *key_and_purpose, "--", str(message)], message=None)
        if done.returncode != 0:
            raise _refusal(tool, done.stderr)
        signed = Signed(tool.key_of(signature, sums), len(names), line, digest)
        try:
            atomic_write(folder / SIGNATURE, signature.read_bytes())
        except OSError as error:
            problem = f"{SIGNATURE} cannot be written there ({error.strerror})"
            raise InputError("folder", str(folder), problem, "make it writable") from None
    return signed


def _check_record(folder: Path, names: list[str]) -> tuple[int | None, str]:
    """Check that a batch is finished, and return the last line of its run in the audit log."""
    record = read_record(folder)
    if record.get("kind") == ReceiptKind.EXECUTE.value:
        raise VerificationFailedError("receipt", "the batch was executed only, nothing was proved")
    receipts = record.get("receipts")
    if not isinstance(receipts, list) or not set(map(str, receipts)) <= set(names):
        raise VerificationFailedError(SUMS, "does not name every receipt of the batch")
    seal = record.get("audit")
    if seal is None:
        return None, ""
    try:
        line, digest = seal["lines"], seal["hash"]
        unhex(digest, 32)
    except (KeyError, TypeError, ValueError):
        line, digest = None, ""
    if type(line) is not int:
        raise VerificationFailedError(RESULT, "audit does not name a line of an audit log")
    return line, digest


def _refusal(tool: SshKeygen, words: str) -> InputError:
    for said, (problem, remedy) in _REFUSALS.items():
        if said in words:
            return tool.unusable(problem, remedy)
    if not words:
        return tool.unusable("ssh-keygen did not sign with it", "see what it says above")
    return tool.unusable(f"ssh-keygen did not sign: {last_line(words)}", "see ssh-keygen(1)")
