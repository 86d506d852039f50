"""The guest programs of a batch: found, checked against what pins them, and their image ids."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runner.errors import InputError, ProverError
from runner.provers.guests import (
    AGGREGATOR,
    REBUILD,
    Manifest,
    aggregator_of,
    guest_of_file,
    read_elf,
)

if TYPE_CHECKING:
    from pathlib import Path

    from runner.model import Guest
    from runner.provers.prover import Prover

__all__ = ["Programs", "check_zkvm"]

_PROGRAM = "give the program that cargo or risc0-build leaves for the guest, which runs on the zkVM"


class Programs:
    """The programs that batches may be made of: those of a manifest, and files that the user names.

    Args:
        folder: The folder with the manifest.
        prover: The prover, which computes image ids.

    Raises:
        InputError: The manifest cannot be read, or its guests are for another zkVM.
    """

    def __init__(self, folder: Path, prover: Prover) -> None:
        self._manifest = Manifest.load(folder)
        self._prover = prover
        check_zkvm(self._manifest, prover)

    def guest(self, name: str, elf: Path | None = None) -> Guest:
        """The guest of this name.

        Args:
            name: The guest's name.
            elf: The file of its program; None for the one in the manifest. If the manifest has
                this name or this program as well, it must have both together.

        Raises:
            InputError: There is no such guest, or its file is missing, no program, or another
                program than the manifest pins.
        """
        if elf is None:
            return self._checked(self._manifest.get(name))
        try:
            guest = guest_of_file(name, elf, self._prover.image_id)
        except OSError as error:
            problem = f"cannot be read ({error.strerror or error})"
            raise InputError("guest.elf", str(elf), problem, "give the program's file") from None
        except ProverError as error:
            raise InputError("guest.elf", str(elf), error.message, _PROGRAM) from None
        pin = self._manifest.guests.get(name)
        known = self._manifest.name_of(guest.image_id)
        if pin is not None and pin.image_id == guest.image_id:
            return replace(guest, pinned=True)
        if pin is None and known is None and name != AGGREGATOR:
            return guest
        # Whoever checks the batch with this manifest would otherwise find a name that is wrong.
        problem = f"{self._manifest.path} has another program by the name {name}"
        remedy = "give guest.name=NAME, a name that no guest there has"
        if known is not None:
            problem = f"{self._manifest.path} has this program by the name {known}, not {name}"
            remedy = f"give guest.name={known}"
        elif pin is None:
            problem = f"{AGGREGATOR} is the name of the guest that aggregates"
        raise InputError("guest.elf", str(elf), problem, remedy)

    def aggregator(self) -> Guest | None:
        """The guest that aggregates: the manifest's own, or else the one that the runner ships.

        Raises:
            InputError: Its file is missing, or not what the manifest says.
        """
        found = aggregator_of(self._manifest, self._prover.versions.zkvm)
        return None if found is None else self._checked(found)

    def _checked(self, guest: Guest) -> Guest:
        """Refuse a guest whose program has another image id than the manifest says."""
        try:
            found = self._prover.image_id(read_elf(guest))
        except ProverError as error:
            raise InputError(
                f"guests.{guest.name}.elf", str(guest.elf_path), error.message, REBUILD
            ) from None
        if found != guest.image_id:
            raise InputError(
                f"guests.{guest.name}.image_id",
                guest.image_id.hex(),
                f"the program's image id is {found.hex()}",
                REBUILD,
            )
        return guest


def check_zkvm(manifest: Manifest, prover: Prover) -> None:
    """Refuse guests that were compiled for another zkVM than the prover's.

    Raises:
        InputError: the manifest names another zkVM.
    """
    zkvm = prover.versions.zkvm
    if manifest.zkvm not in (None, zkvm):
        raise InputError(
            "guests",
            str(manifest.path),
            f"compiled for {manifest.zkvm}, the prover is {zkvm}",
            f"use prover={manifest.zkvm}, or leave `guests` to the prover",
        )
