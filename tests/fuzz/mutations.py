"""Changes to bytes that keep most of their form, so that they get past a parser.

A parser in C tells a fuzzer nothing about its branches, and almost every flipped bit makes JSON
that is none. So here a text is cut into words (of JSON, CSV, PromQL), and a word is replaced by one
that readers stumble over, by another word of the text, doubled or left out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["mutated"]

_WORD = re.compile(rb'"(?:[^"\\\n]|\\.)*"|[-+\w.]+|\s+|.', re.DOTALL)
_STUMBLING = (
    b"1e999",
    b"-1e999",
    b"NaN",
    b"-Infinity",
    b"-1",
    b"-0.0",
    b"0",
    b"1.5",
    b"1e300",
    b"9" * 400,
    b"9" * 5000,
    b"9223372036854775808",
    b"18446744073709551616",
    b"253402300800",
    b"true",
    b"null",
    b"[]",
    b"{}",
    b"[[1]]",
    b'{"a": 1, "a": 2}',
    b'""',
    b'"a\\nb\\u2028"',
    b'"\\ud800"',
    b'"\\u202e\\u0000"',
    b'"' + b"x" * 3000 + b'"',
    b"[" * 500 + b"]" * 500,
    b"[" * 960 + b"]" * 960,
    b'{"a":' * 490 + b"1" + b"}" * 490,
    b"[" * 100_000,
    b"\xff",
    b"\xef\xbb\xbf",
    b"\0",
    b"\r",
)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with one to three changes, which ``chance`` picks."""
    for _ in range(chance.randint(1, 3)):
        words = _WORD.findall(data)
        if not words:
            return chance.choice(_STUMBLING)
        at = chance.randrange(len(words))
        words[at : at + 1] = _changed(words, at, chance)
        data = b"".join(words)
    return data


def _changed(words: list[bytes], at: int, chance: random.Random) -> list[bytes]:
    match chance.randrange(6):
        case 0 | 1:
            return [chance.choice(_STUMBLING)]
        case 2:
            return [chance.choice(words)]
        case 3:
            return [words[at], *words[max(0, at - chance.randrange(8)) : at + 1]]
        case 4:
            return []
        case _:
            word = bytearray(words[at])
            word[chance.randrange(len(word))] ^= 1 << chance.randrange(8)
            return [bytes(word)]
