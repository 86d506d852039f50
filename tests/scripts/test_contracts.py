"""The contracts are what their sources compile to, and what is downloaded for them is pinned."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from runner.evm.openvm import UNSAFE
from runner.files import SHIPPED
from tests.evm.openvm import UNSAFE_POINT

sys.path.insert(0, str(SHIPPED / "scripts"))

import archives
import compile_contracts
import ethereum_tools
import openvm_contract
from setup import cache_folder
from steps import SetupError

if TYPE_CHECKING:
    from pathlib import Path

CONTRACTS = SHIPPED / "contracts"
NAME = "OpenVmHalo2Verifier"
KEY = bytes(range(1, 33))


def test_what_is_committed_is_what_the_sources_compile_to() -> None:
    try:
        files = compile_contracts.made(cache_folder(os.environ) / "tools", os.environ)
    except SetupError as error:
        pytest.skip(f"no compiler here: {error}")
    for name, text in files.items():
        assert (CONTRACTS / name).read_text() == text, "run scripts/compile_contracts.py"


def test_the_manifest_pins_source_and_artifact() -> None:
    manifest = json.loads((CONTRACTS / "manifest.json").read_text())
    assert set(manifest["contracts"]) == {path.stem for path in CONTRACTS.glob("*.sol")}
    for name, row in manifest["contracts"].items():
        for suffix, key in ((".sol", "source_sha256"), (".json", "artifact_sha256")):
            data = (CONTRACTS / f"{name}{suffix}").read_bytes()
            assert hashlib.sha256(data).hexdigest() == row[key]


def test_openvms_contract_is_named_for_the_unsafe_reference_string() -> None:
    """What follows from the keys is a stand-in here, which has the point in its code or has not."""
    generated = """
    // SPDX-License-Identifier: MIT
    pragma solidity 0.8.19;
    contract Halo2Verifier {
        fallback(bytes calldata) external returns (bytes memory) {
            assembly { if iszero(eq(calldataload(0), 0x%s)) { revert(0, 0) } }
        }
    }
    """
    tools = cache_folder(os.environ) / "tools"
    for point, name in ((UNSAFE_POINT, "UnsafeTestOpenVmHalo2Verifier"), (KEY, NAME)):
        try:
            found = openvm_contract.contract(generated % point.hex(), tools, os.environ)
        except SetupError as error:
            pytest.skip(f"no compiler here: {error}")
        assert found["name"] == name
        assert point.hex() in found["bytecode"]
        assert (found["reference_string"] == UNSAFE) is (point == UNSAFE_POINT)


def archive(top: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        member = tarfile.TarInfo(f"{top}/bin/tool")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"tool"))
    return out.getvalue()


def package(tmp_path: Path, data: bytes, digest: str | None = None) -> archives.Package:
    path = tmp_path / "a.tgz"
    path.write_bytes(data)
    found = digest or hashlib.sha256(data).hexdigest()
    return archives.Package("@scope/tool", "1", path.as_uri(), "sha256", found, "package")


def test_an_archive_is_unpacked_once(tmp_path: Path) -> None:
    wanted = package(tmp_path, archive("package"))
    folder = archives.obtain(wanted, tmp_path / "tools", "a test")
    assert (folder / "bin" / "tool").read_bytes() == b"tool"
    (tmp_path / "a.tgz").unlink()
    assert archives.obtain(wanted, tmp_path / "tools", "a test") == folder


@pytest.mark.parametrize("wrong", ["digest", "content", "missing"])
def test_what_is_not_the_pinned_archive_leaves_nothing(tmp_path: Path, wrong: str) -> None:
    data = b"no archive" if wrong == "content" else archive("package")
    wanted = package(tmp_path, data, "00" * 32 if wrong == "digest" else None)
    if wrong == "missing":
        (tmp_path / "a.tgz").unlink()
    with pytest.raises(SetupError):
        archives.obtain(wanted, tmp_path / "tools", "a test")
    assert not list((tmp_path / "tools").rglob("tool"))


def test_the_digests_of_registries_are_read_as_they_write_them() -> None:
    solc = ethereum_tools.SOLC["0.8.37"]
    assert solc.url == "https://registry.npmjs.org/solc/-/solc-0.8.37.tgz"
    assert len(solc.digest) == 128
    anvil = ethereum_tools.anvil_package("linux", "x86_64")
    assert anvil is not None
    assert anvil.url.endswith("/@foundry-rs/anvil-linux-amd64/-/anvil-linux-amd64-1.7.1.tgz")
    assert ethereum_tools.anvil_package("plan9", "x86_64") is None
    assert ethereum_tools.RISC0_CONTRACTS.top == "risc0-ethereum-contracts-3.0.1"


def test_a_program_that_is_there_is_not_downloaded(tmp_path: Path) -> None:
    there = tmp_path / "anvil"
    there.write_text("#!/bin/sh\n")
    there.chmod(0o755)
    tools = tmp_path / "tools"
    assert ethereum_tools.install_anvil({"PATH": str(tmp_path)}, tools) == there
    assert not tools.exists()
