"""``make profile`` with its tools, without them, and on a real proof."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from profiling import flamegraph, host
from profiling.__main__ import host_tables
from profiling.tables import by_kind
from runner.files import SHIPPED

sys.path.insert(0, str(SHIPPED / "scripts"))

import profile_tools

from tests.profiling.stacks import TOOLS, proofs

if TYPE_CHECKING:
    from pathlib import Path


def test_missing_tools_are_one_line_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(host.Unavailable, match="apt-get install linux-perf"):
        host.require()
    with pytest.raises(flamegraph.Missing, match="cargo install inferno"):
        flamegraph.draw(tmp_path / "x.folded", tmp_path / "x.svg", "", "", "cycles")
    for name, text in (("perf", "No permission"), (flamegraph.PROGRAM, "No stack counts found")):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {text} >&2\nexit 1\n")
        program.chmod(0o755)
    with pytest.raises(host.Unavailable, match=r"No permission.*perf_event_paranoid"):
        host.require()
    with pytest.raises(RuntimeError, match="No stack counts found"):
        flamegraph.draw(tmp_path / "x.folded", tmp_path / "x.svg", "", "", "cycles")


def test_inferno_is_built_once_a_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profile_tools, "apt_install", lambda *_: False)
    env = {"PATH": "", "CARGO_HOME": str(tmp_path)}
    profile_tools.install(env, tmp_path)
    assert "no Rust toolchain" in capsys.readouterr().err
    installed = f'"inferno {profile_tools.INFERNO} (registry+https://x)" = ["inferno-flamegraph"]'
    (tmp_path / ".crates.toml").write_text(f"[v1]\n{installed}\n")
    profile_tools.install(env, tmp_path)
    assert capsys.readouterr().err == ""


def profile(folder: Path, path: str, *overrides: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "profiling", "--out", str(folder), *overrides],
        cwd=SHIPPED,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_tools_there_are_still_the_guests_tables(tmp_path: Path) -> None:
    done = profile(tmp_path / "out", str(tmp_path), "prover=execute", "guest.count=6")
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("[profile]")]
    assert [line.split(":")[0] for line in said] == [
        "[profile] without the host's profile",
        "[profile] guest-aggregator.folded is not drawn",
        "[profile] guest-fibonacci.folded is not drawn",
    ]
    table = (tmp_path / "out" / "guest-aggregator.md").read_text()
    assert "| function | user | page in | page out | share |" in table
    assert table in done.stdout


def test_a_run_that_cannot_start_keeps_its_exit_code(tmp_path: Path) -> None:
    done = profile(tmp_path / "out", str(tmp_path), "guest=nonesuch")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.real
def test_a_real_proof_is_seen_from_python_down_to_the_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In vectors one proof takes so short that the start of the worker is the larger part.
    monkeypatch.setenv("RUNNER_SIMD", "off")
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    if shutil.which(flamegraph.PROGRAM, path=path) is None:
        pytest.skip("inferno is not installed")
    try:
        host.require()
    except host.Unavailable as reason:
        pytest.skip(str(reason))
    done = profile(tmp_path / "out", path, "strategy=none", "guest.count=3", "executor.workers=1")
    assert done.returncode == 0, done.stderr
    total: Counter[str] = Counter()
    for line in (tmp_path / "out" / "host.folded").read_text().splitlines():
        frames, _, weight = line.rpartition(" ")
        total["all"] += int(weight)
        python = frames.find("runner.provers.risc0.parts.PartsOfRuns.run_")
        rust = frames.find("prove_segment")
        hashing = frames.find("poseidon2")
        total["proving"] += int(weight) * (0 <= python < rust)
        total["hashing"] += int(weight) * (0 <= python < rust < hashing)
        total["constraints"] += int(weight) * ("rv32im_v2_" in frames)
    assert total["proving"] > 0.5 * total["all"]
    assert total["hashing"] > 0.2 * total["all"]
    # The share is that small with vector instructions; without them it is most of the time.
    assert total["constraints"] > 0.02 * total["all"]
    svg = (tmp_path / "out" / "host.svg").read_text()
    assert "runner.provers.worker.perform" in svg


def test_where_no_proof_took_long_the_table_is_of_the_run() -> None:
    quick = by_kind(proofs())
    assert "| function | library | the run |" in host_tables(quick)
    long = {
        name: Counter({s: w * 10**9 for s, w in found.items()}) for name, found in quick.items()
    }
    assert "| function | library | leaf | aggregation |" in host_tables(long)
