"""The compiled programs in a folder, and the manifest that pins them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.files import atomic_write
from runner.provers.guests import AGGREGATOR, read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Pinned", "write"]

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Pinned:
    """A program as it is written.

    Attributes:
        name: its name.
        data: its ELF file. The adapter adds the kernel that it runs on.
        image_id: its image id, 32 bytes.
        commitments: what the image id is made of, by name, where it is made of commitments.
    """

    name: str
    data: bytes
    image_id: bytes
    commitments: Mapping[str, bytes] = field(default_factory=dict)


def write(folder: Path, programs: Sequence[Pinned], toolchain: dict[str, str], zkvm: str) -> None:
    """Write ``elfs/NAME.elf`` for each program, and ``manifest.json``, which keeps all else in it.

    Args:
        folder: the folder of the manifest.
        programs: the programs.
        toolchain: what they were compiled with, by name.
        zkvm: the zkVM that they are for.

    Raises:
        InputError: the folder cannot be written, it has guests for another zkVM, or a program has
            the aggregator's name.
    """
    kept = _kept(folder, zkvm)
    guests = dict(kept["guests"])
    for program in programs:
        if program.name == AGGREGATOR:
            remedy = "give the program another name"
            raise InputError("crate", program.name, "the name of the aggregating guest", remedy)
        guests[program.name] = {
            "elf": f"elfs/{program.name}.elf",
            "elf_sha256": hashlib.sha256(program.data).hexdigest(),
            "image_id": program.image_id.hex(),
            **{name: part.hex() for name, part in program.commitments.items()},
        }
    own = {"format": 1, "guests": guests, "toolchain": toolchain, "zkvm": zkvm}
    manifest = kept | own  # such as the digest of the folder's VM
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    try:
        (folder / "elfs").mkdir(parents=True, exist_ok=True)
        for program in programs:
            atomic_write(folder / "elfs" / f"{program.name}.elf", program.data)
        atomic_write(folder / MANIFEST, text.encode())
    except OSError as error:
        raise InputError(
            "--out", str(folder), f"cannot be written ({error.strerror})", "choose another folder"
        ) from None


def _kept(folder: Path, zkvm: str) -> dict[str, Any]:
    """What the manifest that is there already has."""
    try:
        data = read_manifest(folder)
        if data["zkvm"] != zkvm:
            raise ValueError(f"its guests are for {data['zkvm']}")
        return {**data, "guests": dict(data["guests"])}
    except FileNotFoundError:
        return {"guests": {}}
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"has a {MANIFEST} that cannot be added to ({error})"
        raise InputError("--out", str(folder), problem, "choose another folder") from None
