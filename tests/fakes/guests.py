"""Guest programs that are files with a name in them."""

from __future__ import annotations

import functools
import json
from hashlib import sha256
from pathlib import Path

from runner.model import Guest
from runner.provers.guests import Manifest
from tests.fakes.prover import fake_image_id

HEADER = b"\x7fELF\x01\x01\x01" + bytes(11) + (243).to_bytes(2, "little")
"""What an ELF file for 32-bit RISC-V begins with."""


def write_guests(folder: Path) -> Manifest:
    """Make a folder with fake guests and their manifest."""
    (folder / "elfs").mkdir(parents=True)
    entries = {}
    for name in ("aggregator", "echo", "fibonacci", "sha256"):
        elf = HEADER + name.encode() * 8
        (folder / "elfs" / f"{name}.bin").write_bytes(elf)
        entries[name] = {
            "elf": f"elfs/{name}.bin",
            "elf_sha256": sha256(elf).hexdigest(),
            "image_id": fake_image_id(elf).hex(),
        }
    text = json.dumps({"format": 1, "guests": entries}, indent=2) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return Manifest.load(folder)


@functools.cache
def sample_guest(name: str = "sha256") -> Guest:
    """A guest with no file behind it."""
    return Guest(name, fake_image_id(name.encode()), Path("/nowhere") / name, "00" * 32)
