"""The optional libraries of the L1, imported so that they leave the interpreter as it was.

One of them, py_ecc, raises Python's limit of recursion to 100 000 when it is imported. Then JSON
that is nested deeply enough ends the process, where it is refused otherwise
(:mod:`runner.untrusted`). So the limit is put back here, and whoever needs one of the libraries
takes it from here.
"""

from __future__ import annotations

import sys

_limit = sys.getrecursionlimit()
try:
    from eth_abi.abi import decode, encode
    from eth_account import Account
    from eth_account.typed_transactions.typed_transaction import TypedTransaction
    from eth_utils.address import is_address, to_checksum_address
    from eth_utils.crypto import keccak
    from hexbytes import HexBytes
finally:
    sys.setrecursionlimit(_limit)

__all__ = [
    "Account",
    "HexBytes",
    "TypedTransaction",
    "decode",
    "encode",
    "is_address",
    "keccak",
    "to_checksum_address",
]
