"""A stand-in for the OpenVM extension."""

from __future__ import annotations

import hashlib
import json
from types import ModuleType, SimpleNamespace
from typing import Any

from runner.model import ReceiptKind
from runner.provers.prover import ProverSpec

SPEC = ProverSpec("openvm", ReceiptKind.SUCCINCT)


class FakeNative(ModuleType):
    """A stand-in for ``runner_openvm`` that proves nothing and remembers what it was asked."""

    class NativeError(Exception):
        """An error with a code, like the extension's."""

    def __init__(self) -> None:
        super().__init__("runner_openvm")
        self.build: dict[str, Any] = {
            "module_version": "0.1.0",
            "openvm": "2.0.2",
            "vectors": "avx2",
            "envelope_version": 1,
        }
        self.made: list[str] = []
        self.claims: list[tuple[bytes, bytes, bytes]] = []
        self.receipts: list[bytes] = []
        self.segment_memory = 0
        self.fails: tuple[str, str] | None = None

    def _check(self) -> None:
        if self.fails:
            raise self.NativeError(*self.fails)

    def build_info(self) -> dict[str, Any]:
        return self.build

    def load_vm(self, definition: bytes) -> dict[str, Any]:
        self._check()
        system = {"log_blowup": 2, "l_skip": 4}
        parameters = {"security_bits": 90, "program": system, "recursion": system}
        return {
            "commitment": hashlib.sha256(b"vm").digest(),
            "parameters": json.dumps(parameters),
            "security_bits": 90.25,
        }

    def commitments(self, elf: bytes) -> tuple[bytes, bytes]:
        self._check()
        return hashlib.sha256(b"executable" + elf).digest(), hashlib.sha256(b"vm").digest()

    def image_id(self, executable: bytes, vm: bytes) -> bytes:
        return hashlib.sha256(executable + vm).digest()

    def make_keys(self, folder: str) -> bool:
        self._check()
        self.made.append(folder)
        return len(self.made) == 1

    def execute(
        self, elf: bytes, stdin: bytes, claims: list[tuple[bytes, bytes, bytes]], *, threads: int
    ) -> SimpleNamespace:
        self._check()
        self.claims = claims
        return SimpleNamespace(journal=stdin, instructions=1234, segments=1)

    def prove(
        self,
        elf: bytes,
        stdin: bytes,
        receipts: list[bytes],
        *,
        keys: str,
        segment_memory: int,
        threads: int,
    ) -> SimpleNamespace:
        self._check()
        self.receipts, self.segment_memory = receipts, segment_memory
        run = SimpleNamespace(journal=stdin, instructions=1234, segments=2)
        return SimpleNamespace(receipt=b"proof of " + stdin, execution=run)

    def verify(self, receipt: bytes, image_id: bytes) -> bytes:
        self._check()
        return receipt.removeprefix(b"proof of ")

    def describe(self, receipt: bytes) -> SimpleNamespace:
        self._check()
        return SimpleNamespace(seal_bytes=len(receipt), journal=b"")
