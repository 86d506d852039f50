"""A proof of OpenVM as a contract takes it, from the JSON in which OpenVM's SDK writes it.

The JSON is that of ``EvmProof`` in openvm-sdk 2.0 (``src/types.rs``). Such a file may be anybody's.
What it says of itself is compared with the batch here, and its proof is checked by the contract.

A commitment has two encodings. OpenVM's contract takes one number, whose digits to the base of
BabyBear's order are the eight elements of a digest, the lowest first (``CommitBytes`` in
openvm-continuations 2.0). Image ids are made of the elements as four little-endian bytes each.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from runner.errors import InputError
from runner.untrusted import parse_json, read_regular

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "UNSAFE",
    "EvmProof",
    "commitment_of",
    "digest_of",
    "relies_on_unsafe_reference",
]

UNSAFE = "unsafe test reference string: its secret is public, so that anybody can forge proofs"
"""What is said of a contract that relies on the reference string for tests."""

_UNSAFE_POINT = bytes.fromhex("12ff4792b44bf4a1795c3aded21a0e490c8dd1a1730eebbf5bf5b2c9b4cbcc46")
"""A coordinate of the secret times the generator of BN254's second group.

The reference string for tests is made from a seed (native/openvm-snark/src/srs.rs), so that every
contract which relies on it has these bytes in its code.
"""

ORDER = 0x78000001
"""The order of BabyBear, the field of the digests' elements."""

_MOST_BYTES = 64 << 10
_VERSION = "v2.0"
_HEX = re.compile(r"0x((?:[0-9a-f]{2})*)")
_SIZES = {"accumulator": 12 * 32, "proof": 43 * 32}
"""The bytes of the proof's two parts: the words that OpenVM's contract of version 2.0 takes."""


@dataclass(frozen=True, slots=True)
class EvmProof:
    """A proof as it is submitted. Nothing of it is verified.

    Attributes:
        program: the commitment to the program, 32 bytes, as the contract takes it.
        vm: the commitment to the VM, likewise.
        public_values: what the program revealed, 32 bytes.
        data: the accumulator and the proof.
    """

    program: bytes
    vm: bytes
    public_values: bytes
    data: bytes

    @classmethod
    def read(cls, field: str, path: Path) -> EvmProof:
        """Read a file of OpenVM's SDK.

        Args:
            field: the argument that named the file, for the error.
            path: the file.

        Raises:
            InputError: it cannot be read, or is no such proof.
        """
        try:
            return cls._of(parse_json(read_regular(path, _MOST_BYTES, follow=True)))
        except (OSError, ValueError) as error:
            reason = (error.strerror or "unreadable") if isinstance(error, OSError) else str(error)
            remedy = f"give the JSON of an EvmProof of OpenVM {_VERSION}"
            raise InputError(field, str(path), reason, remedy) from None

    @classmethod
    def _of(cls, value: Any) -> EvmProof:  # noqa: ANN401  # any JSON value
        names = {"version", "app_exe_commit", "app_vm_commit", "user_public_values", "proof_data"}
        if not isinstance(value, dict) or value.keys() != names:
            raise ValueError(f"not an object with {', '.join(sorted(names))}")
        if value["version"] != _VERSION:
            raise ValueError(f"not of OpenVM's version {_VERSION}")
        parts = value["proof_data"]
        if not isinstance(parts, dict) or parts.keys() != _SIZES.keys():
            raise ValueError("proof_data has not an accumulator and a proof")
        found = cls(
            program=_bytes(value, "app_exe_commit", 32),
            vm=_bytes(value, "app_vm_commit", 32),
            public_values=_bytes(value, "user_public_values", 32),
            data=b"".join(_bytes(parts, name, size) for name, size in _SIZES.items()),
        )
        found.image_id()
        return found

    def image_id(self) -> bytes:
        """The image id of the program that the proof says to be of.

        Raises:
            ValueError: a commitment is none.
        """
        return sha256(digest_of(self.program) + digest_of(self.vm)).digest()

    def seal(self) -> bytes:
        """The proof as ``contracts/OpenVmVerifier.sol`` takes it."""
        return self.program + self.vm + self.data


def digest_of(commitment: bytes) -> bytes:
    """A digest as image ids take it, from a commitment as the contract takes it.

    Raises:
        ValueError: the number is larger than eight digits can be.
    """
    rest, digits = int.from_bytes(commitment), []
    for _ in range(8):
        rest, digit = divmod(rest, ORDER)
        digits.append(digit.to_bytes(4, "little"))
    if rest:
        raise ValueError("a commitment is larger than one can be")
    return b"".join(digits)


def commitment_of(digest: bytes) -> bytes:
    """A commitment as the contract takes it, from a digest as image ids take it.

    Args:
        digest: 32 bytes, whose elements are below :data:`ORDER`.
    """
    number = 0
    for place in range(28, -1, -4):
        number = number * ORDER + int.from_bytes(digest[place : place + 4], "little")
    return number.to_bytes(32)


def relies_on_unsafe_reference(code: bytes) -> bool:
    """Whether a contract believes proofs that anybody can forge, by its code."""
    return _UNSAFE_POINT in code


def _bytes(value: dict[str, Any], name: str, size: int) -> bytes:
    found = value[name]
    matched = _HEX.fullmatch(found) if isinstance(found, str) else None
    if matched is None or len(matched[1]) != 2 * size:
        raise ValueError(f"{name} is not 0x and the hex digits of {size} bytes")
    return bytes.fromhex(matched[1])
