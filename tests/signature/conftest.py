"""A batch to sign, and SSH keys to sign it with."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.verify.folders import make

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def make_key(tmp_path: Path) -> Callable[..., Path]:
    """A function that makes a key and returns the private key's path."""
    if shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh-keygen here; install OpenSSH (Debian: openssh-client)")

    def key(name: str, passphrase: str = "") -> Path:
        path = tmp_path / name
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-C", name, "-N", passphrase, "-f"]
        subprocess.run([*command, str(path)], check=True, timeout=60)
        return path

    return key


@pytest.fixture
def key(make_key: Callable[..., Path]) -> Path:
    return make_key("key")


@pytest.fixture
def batch(tmp_path: Path, guests: Path) -> Path:
    """A batch of five leaves, with an audit log."""
    folder = tmp_path / "batch"
    return make(folder, guests, audit=folder / "audit.jsonl")
