"""What the manifest has of a program for OpenVM."""

from __future__ import annotations

import json
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


def test_the_vm_of_a_folder_stays_pinned(tmp_path: Path) -> None:
    write(tmp_path, [Pinned("first", b"elf", bytes(32))], {"rustc": "1"}, "openvm")
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps(read_manifest(tmp_path) | {"vm_sha256": "ab"}))
    write(tmp_path, [Pinned("second", b"elf", bytes(32))], {"rustc": "2"}, "openvm")
    data = read_manifest(tmp_path)
    assert (data["vm_sha256"], sorted(data["guests"])) == ("ab", ["first", "second"])
    assert data["toolchain"] == {"rustc": "2"}
