"""A real remote signer: clef, with rules that approve calls of one contract and nothing else.

It is no part of the set-up, because building it takes minutes. ``RUNNER_TEST_CLEF`` names its
program, or it is on PATH. The newest versions of go-ethereum are without it:

    go install github.com/ethereum/go-ethereum/cmd/clef@v1.16.9

Tests of it are skipped where it is not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Self

from runner.evm.contracts import selector
from runner.evm.libraries import Account

if TYPE_CHECKING:
    from pathlib import Path

_CALLS = ("commitRoot(bytes32,uint32,bytes32)", "verifyRoot(bytes,bytes32,uint32,bytes32)")
"""What a registry takes. clef refuses data of which it does not know the function."""

_MASTER, _PASSWORD = "a master password", "open sesame, clef"
_LISTENING = re.compile(r"HTTP endpoint opened\s+url=(\S+)/")
_RULES = """
function OnSignerStartup(info) {}
function OnApprovedTx(response) {}
function ApproveListing(request) { return "Reject"; }
function ApproveSignData(request) { return "Reject"; }
function ApproveTx(request) {
  var to = request.transaction.to;
  return to && to.toLowerCase() == "%s" ? "Approve" : "Reject";
}
"""


def program() -> str | None:
    """clef's program, or None where there is none."""
    return os.environ.get("RUNNER_TEST_CLEF") or shutil.which("clef")


class Clef:
    """clef with one key, which approves what goes to one contract. It must be entered.

    Args:
        folder: an empty folder of its own.
        key: the key's 32 bytes.
        chain_id: the chain that it signs for.
        contract: the address of the contract.
    """

    def __init__(self, folder: Path, key: bytes, chain_id: int, contract: str) -> None:
        self._program = program() or ""
        self._folder = folder
        self._options = [
            *("--suppress-bootwarn", "--lightkdf", "--configdir", str(folder / "config")),
            *("--keystore", str(folder / "keys"), "--chainid", str(chain_id)),
        ]
        (folder / "keys").mkdir(parents=True)
        keystore = Account.encrypt(key, _PASSWORD, kdf="scrypt", iterations=4096)
        (folder / "keys" / "key").write_text(json.dumps(keystore))
        known = {selector(call).hex(): call for call in _CALLS}
        (folder / "4byte.json").write_text(json.dumps(known))
        rules = _RULES % contract.lower()
        (folder / "rules.js").write_text(rules)
        self._do(["init"], _MASTER, _MASTER)
        address = Account.from_key(key).address
        self._do(["setpw", address], _PASSWORD, _PASSWORD, _MASTER)
        self._do(["attest", hashlib.sha256(rules.encode()).hexdigest()], _MASTER)
        self._clef: subprocess.Popen[str] | None = None
        self.url = ""

    def _do(self, command: list[str], *lines: str) -> None:
        done = subprocess.run(
            [self._program, *self._options, *command],
            input="".join(f"{line}\n" for line in lines),
            env=os.environ | {"TERM": "dumb"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def __enter__(self) -> Self:
        log = self._folder / "clef.log"
        http = ["--http", "--http.addr", "127.0.0.1", "--http.port", "0", "--ipcdisable"]
        more = ["--auditlog", "", "--rules", str(self._folder / "rules.js")]
        more += ["--4bytedb-custom", str(self._folder / "4byte.json")]
        with log.open("w") as out:
            self._clef = subprocess.Popen(
                [self._program, *self._options, *http, *more],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                env=os.environ | {"TERM": "dumb"},
                text=True,
            )
        assert self._clef.stdin is not None
        self._clef.stdin.write(f"{_MASTER}\n")
        self._clef.stdin.flush()
        while not (found := _LISTENING.search(log.read_text())):
            assert self._clef.poll() is None, log.read_text()
            time.sleep(0.05)
        self.url = found[1]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._clef is not None
        self._clef.terminate()
        self._clef.communicate()
