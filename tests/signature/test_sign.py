"""``python -m runner.sign``: what is signed, and with which keys."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError, VerificationFailedError
from runner.folder import LEAVES, RESULT, ROOT, SIGNATURE, SUMS
from runner.sign import main
from runner.signature.check import check_signature
from runner.signature.sign import sign
from tests import builders
from tests.verify.folders import edit_record, make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def in_a_process(batch: Path, key: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with no terminal, and with nobody to answer but what the variables name."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS", "SSH_AUTH_SOCK")
    env = {name: value for name, value in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-m", "runner.sign", str(batch), "--key", str(key)],
        env=env | environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# -- what is signed ------------------------------------------------------------------------------


def test_a_batch_is_signed_with_its_audit_log(
    batch: Path, key: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([str(batch), "--key", str(key)]) == 0
    out, err = capfd.readouterr()
    seal = json.loads((batch / RESULT).read_text())["audit"]
    first, second, last = out.splitlines()
    assert first == "  ok  files: 3 match SHA256SUMS"
    assert second == f"  ok  audit log: up to line {seal['lines']}, {seal['hash']}"
    assert last.startswith(f"SIGNED: {batch / SIGNATURE}, by ED25519 key SHA256:")
    assert err == ""
    assert (batch / SIGNATURE).read_text().startswith("-----BEGIN SSH SIGNATURE-----\n")
    for name in (RESULT, LEAVES, ROOT):
        assert name in (batch / SUMS).read_text()


def test_a_batch_without_an_audit_log_is_signed(
    tmp_path: Path, guests: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    batch = make(tmp_path / "plain", guests)
    assert main([str(batch), "--key", str(key)]) == 0
    assert "  --  no audit log: the run kept none\n" in capsys.readouterr().out


def test_a_batch_without_aggregation_is_signed(tmp_path: Path, guests: Path, key: Path) -> None:
    batch = make(tmp_path / "none", guests, strategy=builders.strategy("none"))
    assert sign(batch, key).files == 6
    assert check_signature(batch, public(key))


def test_a_second_signature_replaces_the_first(
    batch: Path, key: Path, make_key: Callable[..., Path]
) -> None:
    sign(batch, key)
    sign(batch, make_key("other"))
    assert check_signature(batch, public(key.with_name("other")))
    with pytest.raises(VerificationFailedError):
        check_signature(batch, public(key))


def test_a_link_in_the_place_of_the_signature_is_replaced(
    batch: Path, key: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("keep this")
    (batch / SIGNATURE).symlink_to(elsewhere)
    sign(batch, key)
    assert elsewhere.read_text() == "keep this"
    assert check_signature(batch, public(key))


# -- what is not signed --------------------------------------------------------------------------


@pytest.mark.parametrize("name", [RESULT, LEAVES, ROOT])
def test_a_folder_whose_sums_do_not_hold_is_not_signed(name: str, batch: Path, key: Path) -> None:
    (batch / name).write_bytes((batch / name).read_bytes() + b"\n")
    with pytest.raises(VerificationFailedError, match="SHA-256 is"):
        sign(batch, key)
    assert not (batch / SIGNATURE).exists()


def test_sums_without_a_receipt_are_not_signed(batch: Path, key: Path) -> None:
    lines = (batch / SUMS).read_text().splitlines(keepends=True)
    (batch / SUMS).write_text("".join(line for line in lines if ROOT not in line))
    with pytest.raises(VerificationFailedError, match="does not name every receipt"):
        sign(batch, key)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"status": "failed"}, "the run ended 'failed'"),
        ({"kind": "execute"}, "nothing was proved"),
        ({"receipts": "root.receipt"}, "does not name every receipt"),
        ({"audit": {"lines": True, "hash": "0" * 64}}, "audit does not name a line"),
        ({"audit": {"lines": 3, "hash": "0"}}, "audit does not name a line"),
        ({"audit": [3]}, "audit does not name a line"),
    ],
)
def test_what_is_no_finished_batch_is_not_signed(
    fields: dict[str, object], message: str, batch: Path, key: Path
) -> None:
    edit_record(batch, lambda record: record.update(fields))
    with pytest.raises(VerificationFailedError, match=message):
        sign(batch, key)


def test_a_folder_that_is_no_batch_is_not_signed(
    tmp_path: Path, key: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path), "--key", str(key)]) == 2
    assert "give the output folder of a finished batch" in capsys.readouterr().err


# -- keys ----------------------------------------------------------------------------------------


def test_a_key_that_others_can_read_is_refused(batch: Path, key: Path) -> None:
    key.chmod(0o644)
    with pytest.raises(InputError, match=r"others can read it.*chmod 600"):
        sign(batch, key)


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "No such file"), ("no key", "finds no key in it")],
    ids=["missing", "another file"],
)
def test_what_is_no_key_is_refused(
    text: str | None, message: str, batch: Path, key: Path, tmp_path: Path
) -> None:
    path = tmp_path / "-o key"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        sign(batch, path)


def test_a_public_key_alone_cannot_sign(
    batch: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    key.unlink()
    with pytest.raises(InputError, match="neither beside it nor in ssh-agent"):
        sign(batch, public(key))


def test_a_name_that_begins_with_a_dash_is_a_name(
    batch: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(batch.parent)
    key.rename("-f")
    public(key).rename("-f.pub")
    assert main(["--key=-f", "--", "batch"]) == 0


@pytest.fixture
def agent() -> Iterator[str]:
    """The socket of an ssh-agent that holds no key."""
    if shutil.which("ssh-agent") is None:
        pytest.skip("there is no ssh-agent here; install OpenSSH (Debian: openssh-client)")
    # The name of a socket may have no more than about 100 characters, so it is not in tmp_path.
    with tempfile.TemporaryDirectory(prefix="agent-") as folder:
        socket = f"{folder}/socket"
        command = ["ssh-agent", "-D", "-a", socket]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it is printed once the socket is there
            yield socket
            process.terminate()


def test_a_key_in_the_agent_signs(
    batch: Path, key: Path, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    subprocess.run(["ssh-add", "-q", str(key)], check=True, timeout=60)
    key.unlink()
    assert sign(batch, public(key)).key.startswith("ED25519 key SHA256:")
    assert check_signature(batch, public(key))


# -- passphrases ---------------------------------------------------------------------------------


def test_without_a_terminal_a_passphrase_is_one_line(
    batch: Path, make_key: Callable[..., Path]
) -> None:
    done = in_a_process(batch, make_key("locked", "a secret"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "its passphrase was not given; run this at a terminal" in done.stderr
    assert not (batch / SIGNATURE).exists()


def test_a_passphrase_is_asked_for_by_the_users_program(
    batch: Path, make_key: Callable[..., Path], tmp_path: Path
) -> None:
    ask = tmp_path / "ask"
    ask.write_text("#!/bin/sh\necho a secret\n")
    ask.chmod(0o755)
    key = make_key("locked", "a secret")
    done = in_a_process(batch, key, SSH_ASKPASS=str(ask), SSH_ASKPASS_REQUIRE="force", DISPLAY=":")
    assert done.returncode == 0, done.stderr
    assert check_signature(batch, public(key))


def test_a_passphrase_is_asked_for_at_the_terminal(
    batch: Path, make_key: Callable[..., Path]
) -> None:
    key = make_key("locked", "a secret")
    command = [sys.executable, "-m", "runner.sign", str(batch), "--key", str(key)]
    at_a_terminal = [sys.executable, "-c", f"import pty; pty.spawn({command!r})"]
    with subprocess.Popen(
        at_a_terminal, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = b""
        while b"passphrase" not in said:
            piece = os.read(process.stdout.fileno(), 1000)
            assert piece, said
            said += piece
        process.stdin.write(b"a secret\n")
        process.stdin.flush()
        said += process.stdout.read()
    assert b"SIGNED: " in said
    assert b"a secret" not in said
    assert check_signature(batch, public(key))
