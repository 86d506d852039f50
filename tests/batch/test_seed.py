"""The secret from which the random numbers of long runs come."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from runner.batch.seed import seed_for, user_secret

if TYPE_CHECKING:
    from pathlib import Path


def test_only_the_user_can_read_the_secret_and_it_stays(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secret"
    env = {"RUNNER_SECRET": str(path)}
    mask = os.umask(0)
    try:
        first = user_secret(env)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first) == 32
    assert user_secret(env) == first
    assert user_secret({"RUNNER_SECRET": str(tmp_path / "other")}) != first


def test_every_run_has_a_seed_of_its_own() -> None:
    seeds = {seed_for(secret, key) for secret in (b"a" * 32, b"b" * 32) for key in ("1", "2")}
    assert len(seeds) == 4
    assert b"a" * 32 not in seeds
