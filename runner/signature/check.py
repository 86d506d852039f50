"""Checks the signature of a batch against the signers that the user trusts."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runner.errors import InputError, VerificationFailedError
from runner.folder import SIGNATURE, SUMS, read_file
from runner.signature.ssh_keygen import NAMESPACE, SshKeygen
from runner.untrusted import read_regular

__all__ = ["check_signature"]

_MAX_SIGNATURE_BYTES = 1 << 16
_MAX_SIGNERS_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Signers:
    """Who may sign.

    Attributes:
        text: the signers in the format of OpenSSH's allowed signers.
        only_key: the public key, if the user gave one key and no list of signers; else empty.
    """

    text: str
    only_key: str = ""


def check_signature(folder: Path, signer: Path) -> str:
    """Check that a batch's ``SHA256SUMS`` was signed by someone who may sign it.

    Whether the files are as ``SHA256SUMS`` says is for the caller to check.

    Args:
        folder: the output folder of the batch.
        signer: the path of a public key, or of a list of allowed signers as ssh-keygen reads it.

    Returns:
        The key that signed, as ssh-keygen names it. It follows the name that the list of allowed
        signers gives its owner, if there is one.

    Raises:
        InputError: no finished batch has left this folder, the signer's file cannot be used, or
            there is no ssh-keygen.
        VerificationFailedError: there is no signature, or it does not hold, or is for something
            else, or is by someone else.
    """
    tool, signers = SshKeygen("--signer", signer), _read_signers(signer)
    sums, signature = read_file(folder, SUMS), _read_signature(folder)
    with tempfile.TemporaryDirectory(prefix="zk-batch-verify-") as name:
        path, allowed = Path(name, SIGNATURE), Path(name, "allowed_signers")
        path.write_bytes(signature)
        allowed.write_text(signers.text, encoding="utf-8")
        if signers.only_key:
            only = Path(name, "key.pub")
            only.write_text(signers.only_key, encoding="utf-8")
            if tool.run(["-l", "-f", str(only)]).returncode != 0:
                raise _no_signer(signer, "ssh-keygen cannot read this key")
        key = tool.key_of(path, sums)
        files = ["-s", str(path), "-f", str(allowed)]
        done = tool.run(["-Y", "find-principals", *files])
        # Some versions name all principals of a line in one line, with commas between them.
        for principal in done.stdout.replace(",", "\n").splitlines():
            who = ["-n", NAMESPACE, "-I", principal]
            done = tool.run(["-Y", "verify", *files, *who], sums)
            if done.returncode == 0:
                return key if signers.only_key else f"{principal} ({key})"
    # ssh-keygen says so if a key that is in the list may not sign batches, or not any more.
    why = re.search(r"allowed_signers:(\d+: key (?:is|has) .*)", done.stderr)
    detail = f" (line {why[1]})" if why else ""
    reason = f"it is by {key}, and {signer} does not allow this key to sign{detail}"
    raise VerificationFailedError("signature", reason)


def _read_signature(folder: Path) -> bytes:
    try:
        return read_regular(Path(SIGNATURE), _MAX_SIGNATURE_BYTES, inside=folder)
    except FileNotFoundError:
        reason = f"the batch has none, there is no {SIGNATURE}"
        raise VerificationFailedError("signature", reason) from None
    except OSError as error:
        reason = f"{SIGNATURE} cannot be read ({error.strerror})"
        raise VerificationFailedError("signature", reason) from None


def _read_signers(path: Path) -> _Signers:
    """Read a public key or a list of allowed signers, whichever the file holds."""
    try:
        text = read_regular(path, _MAX_SIGNERS_BYTES, follow=True).decode()
    except OSError as error:
        raise _no_signer(path, f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise _no_signer(path, "it is not a text file") from None
    if "PRIVATE KEY-----" in text:
        raise _no_signer(path, "it is a private key, which nobody but the signer should have")
    lines = [line.split() for line in text.splitlines() if not line.lstrip().startswith("#")]
    lines = [words for words in lines if words]
    # A public key begins with the length of the name of its type, which is AAAA in Base64. The type
    # stands before the key. In a list of allowed signers, the signer stands before both.
    if any(words[1].startswith("AAAA") for words in lines if len(words) > 1):
        if len(lines) > 1:
            raise _no_signer(path, "it holds several lines, and not all name a signer")
        key = " ".join(lines[0][:2]) + "\n"
        return _Signers(f"signer {key}", key)
    if not any(word.startswith("AAAA") for words in lines for word in words):
        raise _no_signer(path, "it holds no public key")
    return _Signers(text)


def _no_signer(path: Path, problem: str) -> InputError:
    remedy = "give a public key (.pub), or a list of allowed signers (see ssh-keygen(1))"
    return InputError("--signer", str(path), problem, remedy)
