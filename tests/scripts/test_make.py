"""The Makefile, in a folder and under a HOME whose names have spaces, with tools that only record.

No target is made for real: Python, cargo and the scripts say with which words they were started.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runner.files import SHIPPED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")

RECORDER = f"""#!{sys.executable}
import json, os, sys
with open({{calls!r}}, "a", encoding="utf-8") as file:
    names = ("CARGO_TARGET_DIR", "RUNNER_CACHE", "PATH")
    said = {{{{name: os.environ.get(name) for name in names}}}}
    file.write(json.dumps([[{{name!r}}, *sys.argv[1:]], said]) + "\\n")
"""
TARGETS = re.findall(r"^([a-z-]+):.*## ", (SHIPPED / "Makefile").read_text(), re.MULTILINE)
WITH_ARGS = (
    *("run", "verify", "report", "doctor", "test-fast", "fuzz", "bench", "bench-compare"),
    *("bench-exact", "bench-history", "bench-proof", "profile", "stack", "alerts", "dashboard"),
    *("docs", "guests", "guests-check"),
)


class Checkout:
    """A folder with a Makefile whose tools only record.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my checkout"
        self.home = folder / "my home"
        self._calls = folder / "calls"
        for name in ("scripts", ".venv/bin", "conf/prover", "bin"):
            (self.root / name).mkdir(parents=True)
        self.home.mkdir()
        shutil.copy(SHIPPED / "Makefile", self.root)
        for path in SHIPPED.glob("scripts/*_wheel.py"):
            (self.root / "scripts" / path.name).touch()
        for path in SHIPPED.glob("conf/prover/*.yaml"):
            shutil.copy(path, self.root / "conf/prover")
        scripts = ("scripts/fuzz.sh", "scripts/compile_guests.sh")
        for name in (".venv/bin/python", "bin/cargo", *scripts):
            path = self.root / name
            path.write_text(RECORDER.format(calls=str(self._calls), name=name))
            path.chmod(0o755)

    def make(self, *words: str) -> list[tuple[list[str], dict[str, str]]]:
        """Run make. Returns the words of each call of a tool, and its environment."""
        self._calls.write_text("")
        env = {
            "HOME": str(self.home),
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
            "SUM": "expanded",
        }
        command = ["make", "PYTHON=.venv/bin/python", *words]
        done = subprocess.run(
            command, cwd=self.root, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return [tuple(json.loads(line)) for line in self._calls.read_text().splitlines()]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.mark.parametrize("target", sorted({*TARGETS} - {"help", "clean"}))
def test_paths_with_spaces_stay_whole(target: str, checkout: Checkout) -> None:
    calls = checkout.make(target)
    assert calls
    cache = f"{checkout.home}/.cache/zk-batch-runner"
    for words, env in calls:
        assert env["RUNNER_CACHE"] == cache
        assert env["CARGO_TARGET_DIR"] in (None, f"{cache}/guests-test")
        for word in words:  # a part of a path that fell apart
            assert "home" not in word or f"{cache}/benchmarks" in word, words
            assert "checkout" not in word, words
    if target == "profile":
        assert calls[-1][1]["PATH"].startswith(f"{cache}/tools/bin:")


@pytest.mark.parametrize("target", WITH_ARGS)
def test_args_reach_the_command_as_a_shell_reads_them(target: str, checkout: Checkout) -> None:
    args = "output='my $out' 'audit.file=${hydra:x}/$(a),b#c' a=\\$b \"say=it's\""
    given = ["output=my $out", "audit.file=${hydra:x}/$(a),b#c", "a=$b", "say=it's"]
    assert shlex.split(args) == given
    assert checkout.make(target, f"ARGS={args}")[-1][0][-4:] == given
    # What the shell expands on a command line, it expands here too.
    assert checkout.make(target, 'ARGS="$SUM" $$SUM')[-1][0][-2] == "expanded"


@pytest.mark.parametrize(
    ("args", "built"),
    [
        ("", "run"),
        ("prover=openvm output='a b'", "run-openvm"),
        ("prover=openvm,composite", "run-all"),
        ("guest.count=2 prover=composite", "run-risc0"),
    ],
)
def test_what_args_ask_for_is_built(args: str, built: str, checkout: Checkout) -> None:
    assert checkout.make("run", f"ARGS={args}")[0][0][1:] == ["scripts/setup.py", built]


def test_verify_builds_the_zkvm_of_a_folder_with_a_space(checkout: Checkout) -> None:
    folder = checkout.root / "my batch"
    folder.mkdir()
    (folder / "result.json").write_text('{\n "versions": {"zkvm": "openvm", "x": 1}\n}\n')
    for args in ("'my batch'", "--quiet my\\ batch --leaf 3"):
        calls = checkout.make("verify", f"ARGS={args}")
        assert calls[0][0][1:] == ["scripts/setup.py", "run-openvm"]
        assert "my batch" in calls[1][0]
