"""The local node ends with whoever started it, however that ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from runner.errors import InputError, L1Error
from runner.evm.chain import Chain
from runner.evm.node import CHAIN_ID, LocalNode, find_anvil
from runner.evm.rpc import Rpc
from tests.chains import TestChain

if TYPE_CHECKING:
    from pathlib import Path

CODE = """
import os, sys, time
from pathlib import Path
from runner.evm.node import LocalNode
with LocalNode(Path(sys.argv[1]), os.environ) as node:
    print(node.url, flush=True)
    time.sleep(600)
"""


def answers(url: str) -> bool:
    try:
        return Chain(Rpc(url, 5.0)).chain_id() == CHAIN_ID
    except L1Error:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.usefixtures("chain")  # skips where there is no node
def test_a_node_does_not_outlive_the_process_that_started_it(
    tmp_path: Path, how: signal.Signals
) -> None:
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert answers(url)
        process.send_signal(how)
    for _ in range(1000):
        if not answers(url):
            return
        time.sleep(0.01)
    pytest.fail("the node is still there")


def test_two_nodes_stand_side_by_side(chain: TestChain, tmp_path: Path) -> None:
    with TestChain(tmp_path) as other:
        assert other.url != chain.url
        other.mine(3)
        assert other.chain.head().number == 3
    assert not answers(other.url)
    assert answers(chain.url)


def test_without_a_node_one_line_says_where_it_comes_from(tmp_path: Path) -> None:
    env = {"RUNNER_CACHE": str(tmp_path), "PATH": str(tmp_path)}
    with pytest.raises(InputError, match="anvil is not installed"):
        find_anvil(env)


def test_a_program_that_is_no_node_is_told_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho no such option >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(LocalNode, "start_s", 0.5)
    env = {"RUNNER_CACHE": str(tmp_path / "none"), "PATH": str(tmp_path)}
    node = LocalNode(tmp_path, env)
    with pytest.raises(L1Error, match="no such option"):
        node.__enter__()
