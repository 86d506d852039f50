"""A submitter that is killed at each point in turn leaves one event on the chain."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from runner.files import SHIPPED
from runner.l1.store import locked_store
from tests.l1.benches import commitment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.chains import TestChain

ROUNDS = 2


def submit(chain: TestChain, registry: str, store: Path, number: int, point: str) -> int:
    command = [sys.executable, "-m", "tests.l1.killed", chain.url, registry, str(store)]
    done = subprocess.run(
        [*command, str(number), point],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=SHIPPED,
    )
    if point == "none":
        assert done.stdout.strip() == "confirmed", done.stderr
    return done.returncode


def test_killed_at_each_point_in_rounds_it_leaves_one_event(
    chain: TestChain, tmp_path: Path
) -> None:
    registry, folder = chain.registry(), tmp_path / "store"
    for number in range(ROUNDS):
        for point in ("signed", "sent", "seen"):
            assert submit(chain, registry.address, folder, number, point) == -signal.SIGKILL
        assert submit(chain, registry.address, folder, number, "none") == 0
    head = chain.chain.head().number
    with locked_store(folder, 1.0) as store:
        for number in range(ROUNDS):
            said = commitment(registry.address, number)
            (attempt,) = store.attempts(said)
            key = bytes.fromhex(said.key)
            events = [registry.event(key, verified=False, block=block) for block in range(head + 1)]
            assert [found for found in events if found] == [[attempt.hash]]
    assert chain.chain.nonce(chain.key.address) == 1 + ROUNDS
