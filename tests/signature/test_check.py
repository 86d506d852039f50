"""``python -m runner.verify --signer``: whose signatures are accepted, over what."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError, VerificationFailedError
from runner.folder import LEAVES, RESULT, SIGNATURE, SUMS
from runner.signature.check import check_signature
from runner.signature.sign import sign
from runner.verify.__main__ import main as verify
from tests.fakes.prover import ADAPTER
from tests.verify.folders import edit_record, make

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def public(key: Path) -> Path:
    return key.with_name("key.pub")


@pytest.fixture
def signed(batch: Path, key: Path) -> Path:
    sign(batch, key)
    return batch


@pytest.fixture
def options(guests: Path, public: Path) -> list[str]:
    return ["--guests", str(guests), "--adapter", ADAPTER, "--signer", str(public)]


def refused(batch: Path, signer: Path) -> str:
    with pytest.raises(VerificationFailedError) as caught:
        check_signature(batch, signer)
    assert caught.value.check == "signature"
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- the command ---------------------------------------------------------------------------------


def test_who_signed_is_a_line_of_the_verifier(
    signed: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify([str(signed), *options]) == 0
    first, second, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("  ok  signature: by ED25519 key SHA256:")
    assert first.endswith(", over SHA256SUMS")
    assert second == "  ok  files: 3 match SHA256SUMS"
    assert last.startswith("VERIFIED: ")
    assert verify([str(signed), *options, "--json"]) == 0
    assert "signature: by" in json.loads(capsys.readouterr().out)["checks"][0]


def test_a_signature_is_looked_at_only_if_the_user_names_a_signer(
    signed: Path, options: list[str]
) -> None:
    (signed / SIGNATURE).write_text("anything")
    assert verify([str(signed), *options[:-2]]) == 0
    assert verify([str(signed), *options]) == 1


def test_a_batch_that_is_not_signed_is_refused(
    batch: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify([str(batch), *options]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"NOT VERIFIED: signature: the batch has none, there is no {SIGNATURE}\n"


@pytest.mark.parametrize("name", [RESULT, LEAVES, "root.receipt"])
def test_a_changed_file_is_caught(name: str, signed: Path, options: list[str]) -> None:
    """The sums are not mended, so the signature holds and the file does not."""
    data = bytearray((signed / name).read_bytes())
    data[len(data) // 2] ^= 0x04
    (signed / name).write_bytes(data)
    assert verify([str(signed), *options]) == 1


def test_what_nothing_proves_is_the_signers_word(signed: Path, options: list[str]) -> None:
    """Anyone can change the host and mend the sums; only the signature notices."""
    edit_record(signed, lambda record: record["machine"].update(host="another"))
    assert verify([str(signed), *options[:-2]]) == 0
    assert verify([str(signed), *options]) == 1


def test_another_end_of_the_audit_log_is_caught(signed: Path, options: list[str]) -> None:
    edit_record(signed, lambda record: record["audit"].update(hash="0" * 64))
    assert verify([str(signed), *options[:-2]]) == 0
    assert verify([str(signed), *options]) == 1


# -- signatures that do not hold -----------------------------------------------------------------


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 1.0])
def test_one_changed_byte_of_the_sums_is_caught(where: float, signed: Path, public: Path) -> None:
    data = bytearray((signed / SUMS).read_bytes())
    data[min(int(len(data) * where), len(data) - 1)] ^= 0x04
    (signed / SUMS).write_bytes(data)
    assert "does not hold for SHA256SUMS: Signature verification failed" in refused(signed, public)


def test_one_changed_byte_of_the_signature_is_caught(signed: Path, public: Path) -> None:
    text = (signed / SIGNATURE).read_text().split("-----")
    data = base64.b64decode(text[2])
    for position in range(1, len(data), 3):
        changed = bytearray(data)
        changed[position] ^= 0x01
        text[2] = f"\n{base64.b64encode(changed).decode()}\n"
        (signed / SIGNATURE).write_text("-----".join(text))
        refused(signed, public)


@pytest.mark.parametrize("text", ["", "-----BEGIN SSH SIGNATURE-----\n", "\x1b[31m" * 100])
def test_what_is_no_signature_is_refused(text: str, signed: Path, public: Path) -> None:
    (signed / SIGNATURE).write_text(text)
    assert "\x1b" not in refused(signed, public)


def test_the_signature_of_another_batch_is_refused(
    signed: Path, public: Path, tmp_path: Path, guests: Path
) -> None:
    other = make(tmp_path / "other", guests)
    shutil.copy(signed / SIGNATURE, other / SIGNATURE)
    assert "does not hold" in refused(other, public)


def test_a_signature_for_another_purpose_is_refused(batch: Path, key: Path, public: Path) -> None:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "git"]
    subprocess.run([*command, str(batch / SUMS)], check=True, timeout=60)
    assert "namespace does not match" in refused(batch, public)


def to_zero(path: Path) -> None:
    path.symlink_to("/dev/zero")


def to_a_good_one(path: Path) -> None:
    path.symlink_to(path.with_name("moved"))


def too_large(path: Path) -> None:
    path.write_bytes(bytes(1 << 17))


@pytest.mark.parametrize(
    "fault", [to_zero, to_a_good_one, os.mkfifo, os.mkdir, too_large], ids=lambda f: f.__name__
)
def test_a_signature_that_is_no_plain_file_is_refused(
    fault: Callable[[Path], None], signed: Path, public: Path
) -> None:
    (signed / SIGNATURE).rename(signed / "moved")
    fault(signed / SIGNATURE)
    assert "cannot be read" in refused(signed, public)


# -- signers -------------------------------------------------------------------------------------


def test_another_key_is_refused(signed: Path, public: Path, make_key: Callable[..., Path]) -> None:
    other = make_key("other").with_name("other.pub")
    message = refused(signed, other)
    assert "it is by ED25519 key SHA256:" in message
    assert f"{other} does not allow this key" in message
    with_comment = public.read_text()
    public.write_text(f"# whose key it is\n\n{with_comment}\n")
    assert check_signature(signed, public)


def test_one_of_several_allowed_signers(
    signed: Path, public: Path, make_key: Callable[..., Path], tmp_path: Path
) -> None:
    other = make_key("other").with_name("other.pub").read_text()
    signers = tmp_path / "signers"
    signers.write_text(
        f"# people\n\nbob@example.org {other}"
        f'alice@example.org,a@example.org namespaces="zk-*" {public.read_text()}'
    )
    assert check_signature(signed, signers).startswith("alice@example.org (ED25519 key SHA256:")
    signers.write_text(f"bob@example.org {other}")
    assert "does not allow this key to sign" in refused(signed, signers)


@pytest.mark.parametrize(
    ("restriction", "message"),
    [('namespaces="git"', "key is not permitted"), ('valid-before="20200101"', "key has expired")],
)
def test_a_restriction_of_an_allowed_signer_holds(
    restriction: str, message: str, signed: Path, public: Path, tmp_path: Path
) -> None:
    signers = tmp_path / "signers"
    signers.write_text(f"# first line\nalice@example.org {restriction} {public.read_text()}")
    assert f"(line 2: {message}" in refused(signed, signers)


def test_a_principal_that_looks_like_an_option_is_a_name(
    signed: Path, public: Path, tmp_path: Path
) -> None:
    signers = tmp_path / "-f"
    signers.write_text(f"-Y {public.read_text()}")
    assert check_signature(signed, signers).startswith("-Y (ED25519 key ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        (b"", "it holds no public key"),
        (b"\xff\xfe", "it is not a text file"),
        (b"alice@example.org", "it holds no public key"),
        (b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA", "cannot read this key"),
        (b"ssh-ed25519 AAAA1\nssh-ed25519 AAAA2\n", "not all name a signer"),
        (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "it is a private key"),
        (bytes(2 << 20), "larger than"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_what_is_no_signer_is_refused(
    text: bytes | None, message: str, signed: Path, tmp_path: Path
) -> None:
    signer = tmp_path / "signer"
    if text is not None:
        signer.write_bytes(text)
    with pytest.raises(InputError) as caught:
        check_signature(signed, signer)
    assert message in str(caught.value)
    assert "give a public key (.pub), or a list of allowed signers" in str(caught.value)


def test_a_signer_that_cannot_be_read_is_unusable_input(
    signed: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify([str(signed), *options[:-1], "nowhere"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: --signer = 'nowhere': cannot be read")
    assert err.count("\n") == 1


# -- the tool ------------------------------------------------------------------------------------


def test_without_the_tool_the_remedy_is_named(
    signed: Path, key: Path, public: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"not on the PATH; install OpenSSH 8\.2"):
        check_signature(signed, public)
    with pytest.raises(InputError, match=r"not on the PATH; install OpenSSH 8\.2"):
        sign(signed, key)


def test_a_tool_that_is_too_old_is_named(
    signed: Path, public: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "ssh-keygen"
    tool.write_text("#!/bin/sh\ntest $1 = -l && exit\necho 'unknown option -- Y' >&2; exit 1\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(InputError, match=r"is too old .*install OpenSSH 8\.2"):
        check_signature(signed, public)


def test_a_tool_that_does_not_answer_is_ended(
    signed: Path, public: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = tmp_path / "ssh-keygen"
    tool.write_text("#!/bin/sh\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("runner.signature.ssh_keygen._CHECK_S", 0.2)
    with pytest.raises(InputError, match="did not answer in time"):
        check_signature(signed, public)
