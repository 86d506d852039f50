"""The runner as a wheel leaves it, used from folders that hold nothing else of the runner."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from runner.commands import COMMANDS
from runner.files import SHIPPED

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed wheel, which was built from what is in the repository."""
    source = tmp_path_factory.mktemp("source")
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=SHIPPED,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    wanted = {
        *(b"runner", b"hydra_plugins", b"conf", b"guests", b"contracts"),
        *(b"pyproject.toml", b"README.md"),
    }
    for name in filter(None, names):
        if name.split(b"/")[0] in wanted and os.path.lexists(SHIPPED / os.fsdecode(name)):
            copy = source / os.fsdecode(name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SHIPPED / os.fsdecode(name), copy, follow_symlinks=False)
    site = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", site, source], check=True)
    (wheel,) = site.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", site / "lib", wheel], check=True)
    return site / "lib"


@pytest.fixture
def env(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment in which Python finds the installed runner, from an empty folder."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    caches = {"RUNNER_PROOFS": str(tmp_path / "proofs"), "XDG_STATE_HOME": str(tmp_path / "state")}
    return {**os.environ, **caches, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}


def call(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_it_proves_and_verifies_the_default_batch(env: dict[str, str], site: Path) -> None:
    done = call(env, "runner", "output=out", "report=true", "metrics.textfile=runner.prom")
    assert done.returncode == 0, done.stderr
    assert "Batch verified" in done.stdout
    assert Path("out", "report.html").is_file()
    checked = call(env, "runner.verify", "out")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "VERIFIED: 6 leaves" in checked.stdout
    # The checkout has no part in it.
    where = call(env, "runner.doctor", "--json").stdout
    assert str(SHIPPED) not in where.replace(sys.executable, "")
    script = site / "bin" / "zk-batch-runner"
    again = subprocess.run(
        [script, "verify", "out"], env=env, capture_output=True, text=True, check=False
    )
    assert again.stdout == checked.stdout


def test_a_folder_of_the_users_own_adds_to_the_configuration(env: dict[str, str]) -> None:
    Path("conf", "guest").mkdir(parents=True)
    guest = (SHIPPED / "conf" / "guest" / "sha256.yaml").read_text()
    Path("conf", "guest", "digest.yaml").write_text(guest)
    done = call(env, "runner", "guest=digest", "prover=execute", "metrics=off", "output=out")
    assert done.returncode == 0, done.stderr
    assert "6 leaves of sha256" in done.stderr


def test_rules_and_pages_are_made_in_the_working_folder(env: dict[str, str]) -> None:
    for command, file in (
        ("alerts", "deploy/prometheus/rules/zk_batch_runner.yml"),
        ("dashboard", "deploy/grafana/zk_batch_runner.json"),
        ("reference", "docs/metrics.md"),
    ):
        done = call(env, f"runner.{command}")
        assert (done.returncode, done.stdout) == (0, f"wrote {file}\n"), done.stderr
        assert Path(file).read_bytes() == (SHIPPED / file).read_bytes()


def test_it_serves_metrics(env: dict[str, str]) -> None:
    done = call(env, "runner", "prover=execute", "metrics.textfile=runner.prom", "output=out")
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "runner.server", "--textfile", "runner.prom", "--port", "0"]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().split()[-1]
            with urllib.request.urlopen(f"{address}metrics", timeout=60) as answer:
                assert b"l2_build_info" in answer.read()
            with urllib.request.urlopen(address, timeout=60) as answer:
                assert b"<html" in answer.read()
        finally:
            server.terminate()


def test_a_project_for_openvm_has_its_runtime(env: dict[str, str]) -> None:
    done = call(env, "runner.init", "--zkvm", "openvm", "mine")
    assert done.returncode == 0, done.stderr
    made, shipped = Path("mine", "guests"), SHIPPED / "guests"
    for name in ("Cargo.toml", "src/lib.rs", "src/mem.s", "src/sha.rs", "src/zkvm.rs"):
        assert (made / "rt" / name).read_bytes() == (shipped / "openvm" / "rt" / name).read_bytes()
    names = sorted(path.name for path in (shipped / "core" / "src").iterdir())
    assert sorted(path.name for path in (made / "core" / "src").iterdir()) == names


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_there(env: dict[str, str], command: str) -> None:
    done = call(env, "runner", command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"runner.{command}" in done.stdout
