"""Compiled guests on disk and the manifest that pins them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.files import SHIPPED
from runner.model import Guest
from runner.untrusted import parse_json, read_regular, unhex

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "AGGREGATOR",
    "DEFAULT_FOLDER",
    "REBUILD",
    "Manifest",
    "aggregator_of",
    "default_folder",
    "guest_of_file",
    "read_elf",
    "read_elf_file",
    "read_manifest",
]

AGGREGATOR = "aggregator"
"""The guest that verifies and binds the receipts of others."""

DEFAULT_FOLDER = SHIPPED / "guests"
"""The folder of the guests that come with the runner."""

_FORMAT = 1
_MANIFEST = "manifest.json"
_MOST_MANIFEST_BYTES = 16 << 20
_MOST_ELF_BYTES = 256 << 20
REBUILD = (
    "compile the guest anew (python -m runner.compile CRATE, or scripts/compile_guests.sh for the"
    " runner's own), or restore the file from git"
)
"""What to do about a program that is not the one that the manifest pins."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The image ids and file hashes of all compiled guests in a folder.

    Attributes:
        path: The manifest file.
        guests: The guests by name.
        zkvm: The zkVM that the guests are compiled for, or None if the manifest does not name one.
    """

    path: Path
    guests: dict[str, Guest]
    zkvm: str | None = None

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read ``manifest.json`` in ``folder``. The ELF files are not read yet.

        Raises:
            InputError: The file is missing, or is not a manifest that this version can read.
        """
        path = folder / _MANIFEST
        try:
            data = read_manifest(folder)
            if type(data["format"]) is not int or data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']!r}, this version reads {_FORMAT}")
            guests = {
                name: Guest(
                    name=name,
                    image_id=unhex(entry["image_id"], 32),
                    elf_path=folder / _below(entry["elf"]),
                    elf_sha256=unhex(entry["elf_sha256"], 32).hex(),
                )
                for name, entry in data["guests"].items()
            }
            zkvm = data.get("zkvm")
            if zkvm is not None and not isinstance(zkvm, str):
                raise ValueError(f"zkvm {zkvm!r} is no name")
        except OSError as error:
            raise InputError(
                "guests", str(path), f"cannot be read ({error.strerror})", REBUILD
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            problem = f"not a guest manifest ({type(error).__name__}: {error})"
            raise InputError("guests", str(path), problem, REBUILD) from None
        return cls(path, guests, zkvm)

    def get(self, name: str) -> Guest:
        """The guest called ``name``, after its ELF file was compared with the manifest.

        Raises:
            InputError: The manifest has no such guest, or its ELF file is missing or altered.
        """
        guest = self.guests.get(name)
        if guest is None:
            known = ", ".join(sorted(self.guests))
            raise InputError(
                "guest.name", name, f"not in {self.path}", f"known guests: {known}; or compile it"
            )
        read_elf(guest)
        return guest

    def name_of(self, image_id: bytes) -> str | None:
        """The name of the guest that has this image id, or None if there is none."""
        return next((g.name for g in self.guests.values() if g.image_id == image_id), None)


def guest_of_file(name: str, path: Path, image_id: Callable[[bytes], bytes]) -> Guest:
    """The guest whose program is in a file that the user names. No manifest pins it.

    Args:
        name: The name of the guest.
        path: The file. It may be a link.
        image_id: A function that computes the image id of the file's content.

    Raises:
        OSError: The file cannot be read, or is larger than a program can be.
        ProverError: It holds no program for the zkVM.
    """
    # Workers that run in another folder or follow no link find the file as well.
    path = path.resolve()
    data = read_regular(path, _MOST_ELF_BYTES)
    return Guest(name, image_id(data), path, hashlib.sha256(data).hexdigest(), pinned=False)


def aggregator_of(manifest: Manifest, zkvm: str) -> Guest | None:
    """The aggregator that goes with the guests of a manifest. Its ELF file is not read yet.

    Args:
        manifest: The manifest. An aggregator of its own comes first.
        zkvm: The zkVM that proves. The aggregator that comes with the runner for it comes second.

    Raises:
        InputError: The manifest that comes with the runner cannot be read.
    """
    own = manifest.guests.get(AGGREGATOR)
    if own is not None:
        return own
    shipped = Manifest.load(default_folder(zkvm))
    return shipped.guests.get(AGGREGATOR) if shipped.zkvm == zkvm else None


def read_manifest(folder: Path) -> Any:  # noqa: ANN401  # any JSON value
    """The content of the manifest in a folder. The folder may be a link, the manifest may not.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not JSON, or JSON that two readers may take differently.
    """
    return parse_json(read_regular(Path(_MANIFEST), _MOST_MANIFEST_BYTES, inside=folder))


def default_folder(adapter: str) -> Path:
    """The folder of the guests that come with the runner for one adapter.

    An adapter that has no folder of its own shares :data:`DEFAULT_FOLDER`.
    """
    own = DEFAULT_FOLDER / adapter
    return own if (own / _MANIFEST).is_file() else DEFAULT_FOLDER


@lru_cache(maxsize=16)
def read_elf(guest: Guest) -> bytes:
    """Read a guest's program binary, and compare it with the digest that the guest has.

    Each process reads a binary once.

    Raises:
        InputError: The file is missing or altered.
    """
    try:
        data = read_elf_file(guest)
    except OSError as error:
        raise InputError(
            f"guests.{guest.name}.elf",
            str(guest.elf_path),
            f"cannot be read ({error.strerror})",
            REBUILD,
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != guest.elf_sha256:
        raise InputError(
            f"guests.{guest.name}.elf",
            str(guest.elf_path),
            f"SHA-256 is {found[:16]}..., it must be {guest.elf_sha256[:16]}...",
            REBUILD if guest.pinned else "leave the file as it is while a batch runs",
        )
    return data


def read_elf_file(guest: Guest) -> bytes:
    """Read a guest's program binary, whatever it holds. A link in its place is not followed.

    Raises:
        OSError: The file cannot be read, or is larger than a program can be.
    """
    return read_regular(guest.elf_path, _MOST_ELF_BYTES)


def _below(name: object) -> str:
    """The path of a file below the manifest's folder."""
    if not isinstance(name, str):
        raise TypeError(f"elf {name!r} is no path")
    path = PurePath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise ValueError(f"elf {name!r} leads out of the folder")
    return name
