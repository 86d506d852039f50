"""Limits of control groups, in trees as Linux, containers and systemd show them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from runner.limits import cores, memory_bytes, oom_kills, peak_memory_mib

if TYPE_CHECKING:
    from pathlib import Path

GIB = 2**30
V2 = "0::/system.slice/batch.service\n"
V1 = "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(16)))
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 64 * GIB // 4096}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__)


def tree(root: Path, groups: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


@pytest.mark.parametrize(
    ("groups", "files", "found"),
    [
        ("", {}, 16),
        (V2, {"system.slice/batch.service/cpu.max": "200000 100000\n"}, 2),
        (V2, {"system.slice/batch.service/cpu.max": "150000 100000\n"}, 2),
        (V2, {"system.slice/batch.service/cpu.max": "5000 100000\n"}, 1),
        (V2, {"system.slice/batch.service/cpu.max": "max 100000\n"}, 16),
        (V2, {"system.slice/batch.service/cpu.max": "6400000 100000\n"}, 16),
        # CPUQuota of the slice around the service
        (
            V2,
            {
                "system.slice/batch.service/cpu.max": "800000 100000\n",
                "system.slice/cpu.max": "300000 100000\n",
            },
            3,
        ),
        ("0::/\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/../../x\n", {"cpu.max": "400000 100000\n"}, 4),
        (V2, {"unified/system.slice/cpu.max": "400000 100000\n"}, 4),
        (
            V1,
            {
                "cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/docker/abc/cpu.cfs_period_us": "50000\n",
            },
            5,
        ),
        # a container that sees its own group as the root
        (V1, {"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        (V1, {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
        (V2, {"system.slice/batch.service/cpu.max": "nonsense\n"}, 16),
    ],
)
def test_the_smallest_quota_of_all_groups_counts(
    groups: str, files: dict[str, str], found: int, tmp_path: Path
) -> None:
    below = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    assert cores(tree(tmp_path, groups, below)) == found


@pytest.mark.parametrize(
    ("groups", "files", "found"),
    [
        ("", {}, 64 * GIB),
        (V2, {"system.slice/batch.service/memory.max": f"{4 * GIB}\n"}, 4 * GIB),
        (V2, {"system.slice/batch.service/memory.max": "max\n"}, 64 * GIB),
        (V2, {"system.slice/memory.max": f"{3 * GIB}\n"}, 3 * GIB),
        (V1, {"memory/docker/abc/memory.limit_in_bytes": f"{2 * GIB}\n"}, 2 * GIB),
        (V1, {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 64 * GIB),
    ],
)
def test_the_smallest_memory_limit_of_all_groups_counts(
    groups: str, files: dict[str, str], found: int, tmp_path: Path
) -> None:
    below = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    assert memory_bytes(tree(tmp_path, groups, below)) == found


def test_affinity_counts_where_it_is_less_than_the_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3})
    root = tree(tmp_path, "0::/\n", {"sys/fs/cgroup/cpu.max": "400000 100000\n"})
    assert cores(root) == 1


@pytest.mark.parametrize(
    ("groups", "files", "found"),
    [
        ("", {}, 0),
        ("", {"proc/vmstat": "pgfault 9\noom_kill 4\n"}, 4),
        (
            V2,
            {
                "sys/fs/cgroup/system.slice/batch.service/memory.events": "oom 3\noom_kill 2\n",
                "proc/vmstat": "oom_kill 4\n",
            },
            2,  # those of others do not count
        ),
        (V1, {"sys/fs/cgroup/memory/memory.oom_control": "under_oom 0\noom_kill 1\n"}, 1),
        (V1, {"sys/fs/cgroup/memory/memory.oom_control": "oom_kill many\n"}, 0),
    ],
)
def test_the_processes_that_were_killed_for_memory_are_counted(
    tmp_path: Path, groups: str, files: dict[str, str], found: int
) -> None:
    assert oom_kills(tree(tmp_path, groups, files)) == found


def test_the_peak_memory_is_what_the_system_has_seen(tmp_path: Path) -> None:
    files = {"proc/self/status": "Name:\tpython\nVmHWM:\t  524288 kB\nVmRSS:\t 1024 kB\n"}
    assert peak_memory_mib(tree(tmp_path, "", files)) == 512
    # Where there is no such file, it is the figure of getrusage(2).
    assert peak_memory_mib(tmp_path / "nothing") >= 5
