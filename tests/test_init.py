"""A new project, and that what it has works."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from runner.files import SHIPPED
from runner.init.__main__ import ZKVMS, main
from tests.new_project import compiled_before

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.mark.parametrize("zkvm", ZKVMS)
def test_a_new_project_fits_together(
    zkvm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["mine", "--zkvm", zkvm]) == 0
    project = Path("mine")
    assert (project / ".gitignore").is_file()
    assert (project / ".github" / "workflows" / "batch.yml").is_file()
    readme = (project / "README.md").read_text()
    # The commands that are printed are the README's, and CI calls them with other folders.
    for line in capsys.readouterr().out.splitlines()[2:]:
        assert line in readme.splitlines()
    made = {"guests/manifest.json", "guests/elfs"}  # by the first command that compiles
    for name in re.findall(r"`([a-z.]+/[a-z/._]+)`", readme):
        assert (project / name).exists() or name in made, name


def test_a_folder_with_something_in_it_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").touch()
    assert main([str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert main(["/proc/mine"]) == 2
    assert "cannot be written" in capsys.readouterr().err


@pytest.fixture
def compiled() -> Iterator[Path]:
    with compiled_before() as folder:
        yield folder


@pytest.mark.real
@pytest.mark.skipif(shutil.which("cargo") is None, reason="cargo is not there")
@pytest.mark.parametrize("zkvm", ZKVMS)
def test_the_commands_of_its_readme_work(zkvm: str, compiled: Path, tmp_path: Path) -> None:
    pytest.importorskip(f"runner_{zkvm}", reason=f"the extension for {zkvm} is not installed")
    project = compiled / "mine"
    assert main([str(project), "--zkvm", zkvm]) == 0
    readme = (project / "README.md").read_text()
    commands = [line.strip() for line in readme.splitlines() if line.startswith("    ")]
    if zkvm == "openvm":
        # Its proofs take a minute and a half, and are those of any other guest.
        commands = [command for command in commands if "outputs/first" not in command]
    env = {
        **os.environ,
        "PYTHONPATH": str(SHIPPED),
        "PYTHONSAFEPATH": "1",
        "CARGO_TARGET_DIR": str(compiled / "target"),
        "RUNNER_PROOFS": str(tmp_path / "proofs"),
    }
    said = ""
    for command in commands:
        words = command.replace("python ", f"{sys.executable} ", 1).split()
        done = subprocess.run(
            words, cwd=project, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
        said += done.stdout
    assert ("VERIFIED: 3 leaves" in said) == (zkvm == "risc0")
    for leaves in project.rglob("leaves.jsonl"):
        lines = [json.loads(line) for line in leaves.read_text().splitlines()]
        assert [line["shows"] for line in lines] == ["9", "1000000", "18446744065119617025"]
