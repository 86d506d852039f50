"""What a worker elsewhere needs for the jobs of a batch: the prover, the guests, and the store.

The folder of the guests goes by the digests of its files, so that no path need be the same on two
machines. It holds more than programs for some zkVMs, such as OpenVM's VM with its keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import StoreError
from runner.provers.guests import read_elf
from runner.store.artifacts import Artifacts
from runner.store.place import UrlPlace
from runner.untrusted import read_regular

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner.model import Guest
    from runner.provers.prover import ProverSpec
    from runner.store.keep import Keep
    from runner.store.place import PlaceSettings

__all__ = ["Site", "digests", "folder_files"]

_MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Site:
    """What is the same for all jobs of a batch. It is sent with each of them, and is small.

    Attributes:
        prover: The spec of the prover. Its folder of guests is this machine's.
        files: The files of the folder of the guests, as pairs of path below it and SHA-256 in hex.
        programs: The guests of the batch.
        store: Where the store is, or None if there is none and the engine has taken the files to
            the workers.
        caches: Whether proofs are looked up in the store, and kept there for later runs.
    """

    prover: ProverSpec
    files: tuple[tuple[str, str], ...]
    programs: tuple[Guest, ...]
    store: PlaceSettings | None = None
    caches: bool = False

    def artifacts(self) -> Artifacts | None:
        """The store, or None if there is none."""
        return None if self.store is None else Artifacts(UrlPlace(self.store))

    def arrive(self, keep: Keep, artifacts: Artifacts | None) -> ProverSpec:
        """Make the folder of the guests on this machine, and return the spec with this folder.

        Raises:
            StoreError: A file could not be had.
            OSError: The disk takes no files.
        """

        def source(digest: str) -> bytes:
            if artifacts is None:
                raise StoreError("", f"the file with the SHA-256 {digest} has not arrived")
            return artifacts.get(digest)

        folder = keep.folder_of(dict(self.files), source)
        return replace(self.prover, guests=str(folder))

    def here(self, guest: Guest, folder: str) -> Guest:
        """A guest of the batch with its program in the folder on this machine."""
        paths = {digest: name for name, digest in self.files}
        return replace(guest, elf_path=Path(folder) / paths[guest.elf_sha256])


def folder_files(folder: Path, programs: Sequence[Guest]) -> Mapping[str, Path]:
    """The files that a worker needs of a folder of guests, by their paths below it.

    They are the programs of the batch, and whatever lies beside the manifest, as OpenVM's VM does.
    The sources of the guests are in folders of their own. A program that lies elsewhere gets a path
    in the folder.

    Raises:
        InputError: A program is not what it should be.
        OSError: The folder cannot be read.
    """
    found = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}
    for guest in programs:
        read_elf(guest)
        inside = guest.elf_path.is_relative_to(folder)
        name = f"programs/{guest.elf_sha256}.bin"
        found[str(guest.elf_path.relative_to(folder)) if inside else name] = guest.elf_path
    return found


def digests(files: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256 of each file in hex, by the same names. Raises OSError."""
    return {
        name: hashlib.sha256(read_regular(path, _MOST_BYTES)).hexdigest()
        for name, path in files.items()
    }
