"""Single packages of npm's registry and of crates.io, pinned by version and digest.

A package's archive is fetched, compared with the digest that is written where it is used, and
unpacked into the cache folder. No script of a package is run. Only the standard library is used.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tarfile
import tempfile
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from steps import SetupError, step

__all__ = ["Package", "crate", "npm", "obtain"]

TIMEOUT_S = 60.0
LARGEST = 200 << 20


@dataclass(frozen=True)
class Package:
    """A package.

    Attributes:
        name: the package's name, with its scope.
        version: the version.
        url: the address of the archive.
        algorithm: the name of the digest.
        digest: the digest of the archive in hex.
        top: the folder in the archive that has everything.
    """

    name: str
    version: str
    url: str
    algorithm: str
    digest: str
    top: str

    @property
    def folder(self) -> str:
        """The name of the folder that the archive is unpacked into."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}"


def npm(name: str, version: str, sha512: str) -> Package:
    """A package of npm's registry.

    Args:
        name: the package's name, with its scope.
        version: the version.
        sha512: the digest in base64, as the registry's ``integrity`` gives it.
    """
    base = name.rpartition("/")[2]
    url = f"https://registry.npmjs.org/{name}/-/{base}-{version}.tgz"
    return Package(name, version, url, "sha512", base64.b64decode(sha512).hex(), "package")


def crate(name: str, version: str, sha256: str) -> Package:
    """A package of crates.io.

    Args:
        name: the crate's name.
        version: the version.
        sha256: the digest in hex, as a ``Cargo.lock`` gives it.
    """
    url = f"https://static.crates.io/crates/{name}/{name}-{version}.crate"
    return Package(name, version, url, "sha256", sha256, f"{name}-{version}")


def obtain(package: Package, cache: Path, why: str) -> Path:
    """The folder of a package, from the cache folder or else from its registry.

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
            _unpack(data, package.top, folder)
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
    found = hashlib.new(package.algorithm, data).hexdigest()
    if found != package.digest:
        raise SetupError(
            f"{package.name}: its {package.algorithm} is {found}, expected {package.digest}"
        )


def _unpack(data: bytes, top: str, folder: Path) -> None:
    """Unpack an archive into a folder, which appears only when it is complete."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".incoming-") as part:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
            archive.extractall(part, filter="data")
        try:
            (Path(part) / top).rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was not faster
                raise
