"""The recursion programs that succinct and groth16 receipts need.

The crate ``risc0-circuit-recursion`` fetches them while it is compiled, and fails where it cannot.
Here they are fetched beforehand, checked against the digest that the locked crate names, and kept
in the cache folder. The build then copies them from there.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import time
import tomllib
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from steps import SetupError, human, say, step

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CRATE", "KNOWN", "Programs", "find", "keep", "locked", "obtain"]

CRATE = "risc0-circuit-recursion"
CONNECT_TIMEOUT_S = 15.0
TOTAL_TIMEOUT_S = 1200.0
CHUNK = 1 << 20
LARGEST = 4 << 30


@dataclass(frozen=True)
class Programs:
    """The address at which the archive is published, and the archive's SHA-256 in hex."""

    url: str
    sha256: str


_SHA = "744b999f0a35b3c86753311c7efb2a0054be21727095cf105af6ee7d3f4d8849"
KNOWN = Programs(f"https://risc0-artifacts.s3.us-west-2.amazonaws.com/zkr/{_SHA}.zip", _SHA)
"""What version 4.0.5 of the crate asks for. It is used if the crate's source cannot be read."""


def locked(lock_file: Path, cargo_home: Path) -> Programs:
    """What the crate's version in ``Cargo.lock`` asks for, according to its build script."""
    packages = tomllib.loads(lock_file.read_text())["package"]
    version = next((p["version"] for p in packages if p["name"] == CRATE), None)
    for script in sorted(cargo_home.glob(f"registry/src/*/{CRATE}-{version}/build.rs")):
        text = script.read_text()
        sha256 = re.search(r'SHA256_HASH: &str =\s*"([0-9a-f]{64})"', text)
        url = re.search(r'"(https://[^"]*\{SHA256_HASH\}[^"]*)"', text)
        if sha256 and url:
            digest = sha256.group(1)
            return Programs(url.group(1).replace("{SHA256_HASH}", digest), digest)
    return KNOWN


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def find(programs: Programs, cache: Path) -> Path | None:
    """The checked copy in the cache folder, if there is one."""
    path = cache / "recursion" / f"{programs.sha256}.zip"
    if not path.is_file():
        return None
    if digest_of(path) == programs.sha256:
        return path
    say(f"{path} is damaged; it is removed")
    path.unlink()
    return None


def keep(programs: Programs, cache: Path, fill: Callable[[BinaryIO], None]) -> Path:
    """Puts an archive into the cache folder, provided that it is complete and the right one.

    Args:
        programs: the archive that is wanted.
        cache: the cache folder.
        fill: writes the archive to the file that it is given.

    Returns:
        The archive's path in the cache folder.

    Raises:
        SetupError: what was written is not the archive.
    """
    folder = cache / "recursion"
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".incoming-")
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            fill(stream)
        found = digest_of(part)
        if found != programs.sha256:
            raise SetupError(f"its SHA-256 is {found}, expected {programs.sha256}")
        part.chmod(0o644)
        return part.replace(folder / f"{programs.sha256}.zip")
    finally:
        part.unlink(missing_ok=True)


def download(programs: Programs, out: BinaryIO) -> None:
    """Copies the archive from where it is published. ``https_proxy`` is honoured."""
    begin = told = time.monotonic()
    done = 0
    with urllib.request.urlopen(programs.url, timeout=CONNECT_TIMEOUT_S) as response:
        total = int(response.headers.get("Content-Length") or 0)
        while block := response.read(CHUNK):
            out.write(block)
            done += len(block)
            now = time.monotonic()
            if now - begin > TOTAL_TIMEOUT_S or done > LARGEST:
                raise SetupError(f"given up after {done >> 20} MiB in {human(now - begin)}")
            if now - told > 5:
                told = now
                say(f"  {done >> 20} MiB of {f'{total >> 20} MiB' if total else 'unknown size'}")


def obtain(programs: Programs, cache: Path, given: str | None) -> Path | None:
    """The archive on this machine, which the user gives, is kept from before, or is fetched now.

    Args:
        programs: the archive that is wanted.
        cache: the cache folder.
        given: the value of ``RECURSION_SRC_PATH``, if it is set.

    Returns:
        The archive's path in the cache folder, or None if it cannot be had, which has then been
        said.

    Raises:
        SetupError: what the user gave cannot be used.
    """
    if given:
        try:
            with Path(given).expanduser().open("rb") as source:
                return keep(programs, cache, lambda out: shutil.copyfileobj(source, out, CHUNK))
        except (OSError, SetupError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SetupError(
                f"RECURSION_SRC_PATH={given}: {reason}; give the file from {programs.url}"
            ) from error
    kept = find(programs, cache)
    if kept is not None:
        return kept
    try:
        with step("recursion programs: downloading"):
            return keep(programs, cache, lambda out: download(programs, out))
    except (OSError, HTTPException, ValueError, SetupError) as error:
        say(f"recursion programs: not available ({error}); this build has no succinct or groth16")
        say(
            "  receipts, all else works. Later: `make setup` with a network, or"
            f" RECURSION_SRC_PATH=FILE make setup ({programs.url})"
        )
        return None
