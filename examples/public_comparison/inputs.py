"""Writes the inputs of the comparison, which are always the same: python inputs.py."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

ACCOUNTS, TRANSFERS = 128, 100
"""How many accounts the state has, and how many transfers a batch makes."""

FOLDER = Path(__file__).resolve().parent / "inputs"

KEY = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
"""The public key of the secret 1, which is the base point of the curve (SEC 2, secp256k1)."""

SIGNATURE = (
    "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
    "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
)
"""That key's signature of the message by RFC 6979, r and s. Many libraries' tests have it."""

MESSAGE = "Satoshi Nakamoto"


def number(name: str, index: int, below: int) -> int:
    """A number that looks random and is always the same."""
    digest = hashlib.sha256(f"{name} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % below


def data() -> bytes:
    """The 2048 bytes that are hashed."""
    return b"".join(hashlib.sha256(f"block {i}".encode()).digest() for i in range(64))


def balances() -> list[int]:
    """The balances before the transfers. Nobody runs out of tokens."""
    return [1_000_000 + number("balance", i, 1_000_000) for i in range(ACCOUNTS)]


def transfers() -> list[tuple[int, int, int]]:
    """The transfers, as (from, to, amount)."""
    return [
        (number("from", i, ACCOUNTS), number("to", i, ACCOUNTS), 1 + number("amount", i, 10_000))
        for i in range(TRANSFERS)
    ]


def encoded_transfers() -> bytes:
    """The transfers as the guest reads them."""
    return b"".join(
        source.to_bytes(4, "little") + target.to_bytes(4, "little") + amount.to_bytes(8, "little")
        for source, target, amount in transfers()
    )


def inputs() -> dict[str, dict[str, str]]:
    """The input of each program that has no series of its own, by the program's name."""
    return {
        "sha256_bytes": {"data": f"hex:{data().hex()}"},
        "ecdsa_secp256k1": {
            "key": f"hex:{KEY}",
            "message": MESSAGE,
            "signature": f"hex:{SIGNATURE}",
        },
        "transfers": {
            "balances": f"hex:{b''.join(one.to_bytes(8, 'little') for one in balances()).hex()}",
            "transfers": f"hex:{encoded_transfers().hex()}",
        },
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, value in inputs().items():
        (FOLDER / f"{name}.jsonl").write_text(json.dumps(value) + "\n", encoding="utf-8")
