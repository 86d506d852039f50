"""What the manifest has of a program for OpenVM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.compile.pinned import Pinned, write
from runner.provers.guests import Manifest, read_manifest

if TYPE_CHECKING:
    from pathlib import Path


def test_commitments_stand_beside_the_image_id(tmp_path: Path) -> None:
    parts = {"executable": bytes(32), "vm": bytes([1]) * 32}
    write(tmp_path, [Pinned("square", b"elf", bytes([2]) * 32, parts)], {"rustc": "1"}, "openvm")
    entry = read_manifest(tmp_path)["guests"]["square"]
    assert (entry["executable"], entry["vm"]) == ("00" * 32, "01" * 32)
    assert Manifest.load(tmp_path).get("square").image_id == bytes([2]) * 32
