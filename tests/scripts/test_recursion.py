"""The recursion programs: their download, their check, and what happens without them."""

from __future__ import annotations

import hashlib
import os
import sys
import tomllib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from runner.files import SHIPPED
from tests.threads import serving

sys.path.insert(0, str(SHIPPED / "scripts"))

import recursion
import risc0_wheel
from steps import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class TestRecursionPrograms:
    CONTENT = b"programs"

    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[str]:
        (tmp_path / "www").mkdir()
        (tmp_path / "www/good.zip").write_bytes(self.CONTENT)
        (tmp_path / "www/bad.zip").write_bytes(b"half of it")

        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        handler = partial(Quiet, directory=str(tmp_path / "www"))
        with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as httpd:
            yield f"http://127.0.0.1:{httpd.server_port}"

    def programs(self, url: str) -> recursion.Programs:
        return recursion.Programs(url, hashlib.sha256(self.CONTENT).hexdigest())

    def test_downloaded_once_and_checked_on_every_use(self, server: str, tmp_path: Path) -> None:
        cache = tmp_path / "cache"
        path = recursion.obtain(self.programs(f"{server}/good.zip"), cache, None)
        assert path is not None
        assert path.read_bytes() == self.CONTENT
        gone = self.programs("http://127.0.0.1:1/good.zip")
        assert recursion.obtain(gone, cache, None) == path
        path.write_bytes(b"damaged")
        assert recursion.obtain(gone, cache, None) is None
        assert list((cache / "recursion").iterdir()) == []

    @pytest.mark.parametrize("name", ["bad.zip", "missing.zip"])
    def test_what_is_not_available_is_reported_in_two_lines(
        self, server: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert recursion.obtain(self.programs(f"{server}/{name}"), tmp_path / "c", None) is None
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 3  # one is about the attempt
        assert "no succinct or groth16" in lines[1]
        assert "RECURSION_SRC_PATH=FILE make setup" in lines[2]
        assert list((tmp_path / "c/recursion").iterdir()) == []

    def test_a_given_file_is_checked_and_kept(self, tmp_path: Path) -> None:
        given = tmp_path / "given.zip"
        given.write_bytes(self.CONTENT)
        programs = self.programs("http://127.0.0.1:1/")
        path = recursion.obtain(programs, tmp_path / "cache", str(given))
        given.unlink()
        assert path is not None
        assert path.read_bytes() == self.CONTENT

    @pytest.mark.parametrize(("content", "why"), [(b"other", "SHA-256"), (None, "No such file")])
    def test_a_wrong_file_is_refused(self, content: bytes | None, why: str, tmp_path: Path) -> None:
        given = tmp_path / "given.zip"
        if content is not None:
            given.write_bytes(content)
        with pytest.raises(SetupError, match=f"RECURSION_SRC_PATH=.*{why}"):
            recursion.obtain(self.programs("http://127.0.0.1:1/"), tmp_path / "c", str(given))

    def test_the_locked_crate_names_them(self, tmp_path: Path) -> None:
        lock = tmp_path / "Cargo.lock"
        lock.write_text(f'[[package]]\nname = "{recursion.CRATE}"\nversion = "4.1.0"\n')
        assert recursion.locked(lock, tmp_path) == recursion.KNOWN
        crate = tmp_path / "registry/src/index-1" / f"{recursion.CRATE}-4.1.0"
        crate.mkdir(parents=True)
        (crate / "build.rs").write_text(
            f'const SHA256_HASH: &str = "{"ab" * 32}";\n'
            'let url = format!("https://example.org/zkr/{SHA256_HASH}.zip");\n'
        )
        found = recursion.locked(lock, tmp_path)
        assert found == recursion.Programs(f"https://example.org/zkr/{'ab' * 32}.zip", "ab" * 32)

    def test_known_programs_are_those_of_the_locked_version(self) -> None:
        lock = tomllib.loads((SHIPPED / risc0_wheel.CRATE / "Cargo.lock").read_text())
        version = [p["version"] for p in lock["package"] if p["name"] == recursion.CRATE]
        assert version == ["4.0.5"], "update recursion.KNOWN from the crate's build.rs"

    def test_what_an_interrupted_build_left_is_removed(self, tmp_path: Path) -> None:
        folder = tmp_path / "release/build" / f"{recursion.CRATE}-0123"
        archive = folder / "out/recursion_zkr.zip"
        archive.parent.mkdir(parents=True)
        for name in ("out/recursion_zkr.zip", "invoked.timestamp", "output"):
            (folder / name).touch()
        os.utime(folder / "invoked.timestamp", (1000, 1000))
        os.utime(folder / "output", (1001, 1001))
        assert not risc0_wheel.forget_interrupted(tmp_path)
        assert archive.exists()
        os.utime(folder / "invoked.timestamp", (1002, 1002))
        assert risc0_wheel.forget_interrupted(tmp_path)
        assert not archive.exists()
        assert not risc0_wheel.forget_interrupted(tmp_path)
