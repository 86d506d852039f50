"""The programs that a crate has, its compiler, and the manifest that pins what was compiled."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from runner.compile import crates, pinned, toolchain
from runner.compile.__main__ import main
from runner.errors import InputError
from runner.provers.guests import Manifest

needs_cargo = pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not there")


def crate(folder: Path, *sources: str, extra: str = "", name: str = "mine") -> Path:
    """A crate with these source files, which are all the same program."""
    for source in sources:
        path = folder / source
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("fn main() {}\n")
    folder.mkdir(exist_ok=True)
    text = f'[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n{extra}'
    (folder / "Cargo.toml").write_text(text)
    return folder


@needs_cargo
def test_each_binary_of_a_crate_is_a_program(tmp_path: Path) -> None:
    folder = crate(tmp_path / "a", "src/main.rs", "src/bin/json.rs", "src/bin/deep/main.rs")
    found = crates.find(folder)
    assert sorted(program.name for program in found.programs) == ["deep", "json", "mine"]
    assert found.root == folder
    assert [program.name for program in crates.find(folder, ["json"]).programs] == ["json"]
    with pytest.raises(InputError, match="no such program"):
        crates.find(folder, ["jsno"])


@needs_cargo
def test_a_program_with_the_name_of_a_dependency_is_told_apart_from_it(tmp_path: Path) -> None:
    crate(tmp_path / "other", "src/lib.rs", name="json")
    other = '[dependencies]\nother = { path = "../other", package = "json" }\n'
    folder = crate(tmp_path / "mine", "src/main.rs", extra=other, name="json")
    (program,) = crates.find(folder).programs
    # Cargo takes this for one package, where the name alone would stand for two.
    assert str(folder) in program.package


@needs_cargo
def test_a_workspace_has_the_programs_of_all_its_crates(tmp_path: Path) -> None:
    crate(tmp_path / "a", "src/main.rs", name="a")
    crate(tmp_path / "b", "src/main.rs", name="b")
    crate(tmp_path / "c", "src/lib.rs", name="c")
    patches = '[patch.crates-io]\nc = { path = "c" }\n'
    members = '[workspace]\nmembers = ["a", "b", "c"]\nresolver = "2"\n'
    (tmp_path / "Cargo.toml").write_text(members + patches)
    assert [program.name for program in crates.find(tmp_path).programs] == ["a", "b"]
    one = crates.find(tmp_path / "b")
    assert [program.name for program in one.programs] == ["b"]
    # Its patches are in the workspace's file, where cargo looks for them.
    assert one.root == tmp_path
    with pytest.raises(InputError, match="has no program"):
        crates.find(tmp_path / "c")


@needs_cargo
def test_what_is_no_crate_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 2
    (tmp_path / "Cargo.toml").write_text("[package]\nname = 3\n")
    assert main([str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "has no Cargo.toml" in err
    assert err.count("\n") == 2


def test_without_cargo_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"cargo: No such file.*rustup"):
        crates.find(crate(tmp_path / "a", "src/main.rs"))


def fake_rustc(folder: Path, *tools: str, sources: bool = True) -> dict[str, str]:
    """A compiler that only says what it is, and tools that do nothing, as an environment."""
    root = folder / "root"
    library = root / "lib" / "rustlib" / "src" / "rust" / "library"
    library.mkdir(parents=True)
    if sources:
        (library / "Cargo.lock").touch()
    says = f'#!/bin/sh\n[ "$1" = --version ] && echo rustc 1.96.0 || echo {root}\n'
    for name in ("rustc", *tools):
        (folder / name).write_text(says)
        (folder / name).chmod(0o755)
    return {"GUEST_RUSTC": str(folder / "rustc")}


def test_the_stock_compiler_needs_its_sources_and_a_linker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    env = fake_rustc(tmp_path, sources=False)
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "ld.lld" else f"/{name}")
    with pytest.raises(InputError, match=r"needs ld.lld .* and the sources of rustc 1.96.0"):
        toolchain.find("stock", env)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="there is no RISC Zero toolchain"):
        toolchain.find("rzup", env)
    with pytest.raises(InputError, match="does not run"):
        toolchain.find("stock", {"GUEST_RUSTC": "/nowhere/rustc"})


def test_a_users_own_flags_do_not_change_an_image_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = toolchain.find("stock", fake_rustc(tmp_path, "ld.lld"))
    said = tmp_path / "said"
    cargo = tmp_path / "cargo"
    cargo.write_text(f'#!/bin/sh\nenv > {said}\nprintf "%s\\n" "$@" > {said}-arguments\n')
    cargo.chmod(0o755)
    for name in ("RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_PROFILE_RELEASE_LTO", "CARGO_TARGET_DIR"):
        monkeypatch.setenv(name, "mine")
    program = crates.Program("json", "path+file:///a#json@0.1.0")
    folder = crate(tmp_path / "a")
    made = crates.Crate(folder / "Cargo.toml", folder, folder / "target" / "guests", (program,))
    elf = found.build(made, program)
    assert elf == folder / "target" / "guests" / toolchain.TARGET / "release" / "json"
    env = dict(line.split("=", 1) for line in said.read_text().splitlines() if "=" in line)
    assert not {"RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_PROFILE_RELEASE_LTO"} & env.keys()
    assert env["CARGO_TARGET_DIR"] == str(made.target)
    assert f"--remap-path-prefix={folder}=/guests" in env["CARGO_ENCODED_RUSTFLAGS"].split("\x1f")
    arguments = Path(f"{said}-arguments").read_text().splitlines()
    assert arguments[arguments.index("--package") + 1] == program.package
    assert "--locked" not in arguments
    (folder / "Cargo.lock").touch()
    found.build(made, program)
    assert "--locked" in Path(f"{said}-arguments").read_text().splitlines()


@needs_cargo
def test_a_lock_file_that_does_not_fit_is_unusable_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARGO_NET_OFFLINE", "true")
    crate(tmp_path / "other", "src/lib.rs", name="other")
    folder = crate(tmp_path / "mine", "src/main.rs")
    subprocess.run(["cargo", "generate-lockfile"], cwd=folder, check=True)
    # The lock file is of a time before this dependency.
    crate(folder, "src/main.rs", extra='[dependencies]\nother = { path = "../other" }\n')
    found = crates.find(folder)
    compiler = toolchain.Toolchain("stock", Path("rustc"), "rustc", tmp_path)
    with pytest.raises(InputError, match=r"does not fit.*cargo update --workspace"):
        compiler.build(found, found.programs[0])


def test_a_manifest_keeps_its_other_guests(tmp_path: Path) -> None:
    made = {"method": "stock", "rustc": "rustc 1.96.0", "risc0_zkvm": "3.0.6"}
    one, two = (pinned.Pinned(name, name.encode(), bytes([9]) * 32) for name in ("one", "two"))
    pinned.write(tmp_path, [one], made, "risc0")
    pinned.write(tmp_path, [two], made, "risc0")
    found = Manifest.load(tmp_path)
    assert set(found.guests) == {"one", "two"}
    assert found.get("one").elf_path.read_bytes() == b"one"
    with pytest.raises(InputError, match="its guests are for risc0"):
        pinned.write(tmp_path, [two], made, "openvm")
    with pytest.raises(InputError, match="the name of the aggregating guest"):
        pinned.write(tmp_path, [pinned.Pinned("aggregator", b"", b"")], made, "risc0")
    (tmp_path / "manifest.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match="cannot be added to"):
        pinned.write(tmp_path, [two], made, "risc0")
