"""Single packages from npm's registry, pinned by version and digest, without npm.

A package's archive is fetched, compared with the SHA-512 that is written here, and unpacked into
the cache folder. No script of a package is run. Only the standard library is used.
"""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import tarfile
import tempfile
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from steps import SetupError, step

__all__ = ["Package", "obtain"]

REGISTRY = "https://registry.npmjs.org"
TIMEOUT_S = 60.0
LARGEST = 200 << 20


@dataclass(frozen=True)
class Package:
    """A package of npm's registry.

    Attributes:
        name: the package's name, with its scope.
        version: the version.
        sha512: the digest of the archive in base64, as the registry's ``integrity`` gives it.
    """

    name: str
    version: str
    sha512: str

    @property
    def url(self) -> str:
        """The address of the archive."""
        base = self.name.rpartition("/")[2]
        return f"{REGISTRY}/{self.name}/-/{base}-{self.version}.tgz"

    @property
    def folder(self) -> str:
        """The name of the folder that the archive is unpacked into."""
        return f"{self.name.rpartition('/')[2]}-{self.version}"


def obtain(package: Package, cache: Path, why: str) -> Path:
    """The folder of a package, from the cache folder or else from the registry.

    Args:
        package: the package.
        cache: the folder in which packages are kept.
        why: what it is for, in a few words.

    Raises:
        SetupError: it cannot be fetched, or it is not the pinned one.
    """
    folder = cache / package.folder
    if folder.is_dir():
        return folder
    try:
        with step(f"{package.name} {package.version}: downloading, {why}"):
            data = _download(package)
            _check(package, data)
            _unpack(data, folder)
    except (OSError, HTTPException, tarfile.TarError) as error:
        raise SetupError(f"{package.name}: {error}; a network is needed ({package.url})") from error
    return folder


def _download(package: Package) -> bytes:
    with urllib.request.urlopen(package.url, timeout=TIMEOUT_S) as response:
        data: bytes = response.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise SetupError(f"{package.name}: larger than {LARGEST >> 20} MiB")
    return data


def _check(package: Package, data: bytes) -> None:
    found = base64.b64encode(hashlib.sha512(data).digest()).decode()
    if found != package.sha512:
        raise SetupError(f"{package.name}: its SHA-512 is {found}, expected {package.sha512}")


def _unpack(data: bytes, folder: Path) -> None:
    """Unpack an archive into a folder, which appears only when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".incoming-") as part:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            archive.extractall(part, filter="data")
        shutil.rmtree(folder, ignore_errors=True)
        (Path(part) / "package").rename(folder)
