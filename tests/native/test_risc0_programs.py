"""Files that are not program binaries, or are hostile ones, given to the RISC Zero extension."""

from __future__ import annotations

import struct

import pytest
import runner_risc0 as native

from tests.native.risc0 import GUESTS, elf, failure, python, word

BROKEN_ELVES = """
import random, struct, sys
from pathlib import Path
import runner_risc0 as native

good = Path(sys.argv[1]).read_bytes()
identity = native.image_id(good)
chance = random.Random(1)

def outcome(elf, run=False):
    try:
        found = native.execute(elf, bytes(4)) if run else native.image_id(elf)
    except native.NativeError as error:
        return error.args[0]
    return "same" if found == identity else "other"

kernel = good.index(b"\\x7fELF", 64)
lengths = [*range(0, 300, 11), *range(kernel - 8, kernel + 120, 9)]
lengths += [chance.randrange(len(good)) for _ in range(30)]
for length in lengths:
    print("cut", outcome(good[:length]), outcome(good[:length], run=True))
places = [*range(0, 240, 2), *range(kernel - 4, kernel + 260, 2)]
places += [chance.randrange(len(good)) for _ in range(60)]
# The upper half of a segment's size: some sizes are large enough to take seconds.
slow = set()
for start in (32, kernel):
    (table,) = struct.unpack_from("<I", good, start + 28)
    (count,) = struct.unpack_from("<H", good, start + 44)
    for index in range(count):
        slow.update((start + table + 32 * index + 22, start + table + 32 * index + 23))
for place in places:
    if place in slow:
        continue
    flipped = bytearray(good)
    flipped[place] ^= 1 << chance.randrange(8)
    print("flip", outcome(bytes(flipped)))
for _ in range(20):
    print("junk", outcome(chance.randbytes(chance.randrange(2000)), run=True))
    print("junk", outcome(good[:64] + chance.randbytes(2000)))
"""


def test_broken_binaries_never_end_the_process() -> None:
    path = GUESTS["fibonacci"].elf_path
    lines = python(BROKEN_ELVES, str(path)).splitlines()
    seen: dict[str, set[str]] = {}
    for line in lines:
        kind, *outcomes = line.split()
        seen.setdefault(kind, set()).update(outcomes)
    assert len(lines) > 380
    assert seen["junk"] == {"bad_elf"}
    # The end of a file is the table of sections, which is not loaded.
    assert {"bad_elf"} <= seen["cut"] <= {"bad_elf", "same", "guest_failed", "other"}
    assert {"bad_elf", "other"} <= seen["flip"] <= {"bad_elf", "other", "same"}


def test_a_binary_that_asks_for_all_memory_is_refused() -> None:
    binary = bytearray(elf("fibonacci"))
    for start in (binary.index(b"\x7fELF"), binary.index(b"\x7fELF", 64)):
        (table,) = struct.unpack_from("<I", binary, start + 28)
        (count,) = struct.unpack_from("<H", binary, start + 44)
        headers = [start + table + 32 * index for index in range(count)]
        load = next(at for at in headers if binary[at : at + 4] == word(1))
        greedy = bytearray(binary)
        greedy[load + 20 : load + 24] = word(0xB000_0000)
        for call in (native.image_id, lambda data: native.execute(data, word(1))):
            code, message = failure(call, bytes(greedy))
            assert code == "bad_elf"
            assert "134217728" in message


def with_code(code: bytes) -> bytes:
    """The guest fibonacci with other machine code where its program begins."""
    binary = bytearray(elf("fibonacci"))
    (entry,) = struct.unpack_from("<I", binary, 32 + 24)
    user_end = binary.index(b"\x7fELF", 64)
    (table,) = struct.unpack_from("<I", binary, 32 + 28)
    at = 32 + table
    while True:
        _, offset, address, _, size = struct.unpack_from("<5I", binary, at)
        if binary[at : at + 4] == word(1) and address <= entry < address + size:
            break
        at += 32
        assert at < user_end
    start = 32 + offset + entry - address
    binary[start : start + len(code)] = code
    return bytes(binary)


def test_an_invalid_instruction_fails_the_guest() -> None:
    assert failure(native.execute, with_code(bytes(8)), word(1))[0] == "guest_failed"


def add(to: int, register: int, value: int) -> int:
    """The instruction ``addi``."""
    return value << 20 | register << 15 | to << 7 | 0x13


PRINT_FOR_EVER = [
    0x17 | 9 << 7,  # auipc s1, 0: its own address
    add(5, 0, 2),  # t0: a system call
    add(31, 0, 16),  # t6: the number of the one that writes
    add(10, 0, 0),  # a0 and a1: no answer
    add(11, 0, 0),
    add(12, 9, 44),  # a2: its name, which follows the code
    add(13, 0, 1),  # a3: standard output
    add(14, 9, 0),  # a4: the text, which is this code and what follows
    0x10 << 12 | 15 << 7 | 0x37,  # lui a5, 0x10: its length of 64 KiB
    0x73,  # ecall
    0xFDDFF06F,  # jal x0, -36
]
"""A program that prints 64 KiB with every tenth instruction."""


def test_a_guest_that_prints_for_ever_leaves_a_bounded_text() -> None:
    name = b"risc0_zkvm_platform::syscall::nr::SYS_WRITE\0"
    program = with_code(struct.pack("<11I", *PRINT_FOR_EVER) + name)
    with pytest.raises(native.NativeError) as caught:
        native.execute(program, word(1), max_cycles=20_000)
    code, message, printed = caught.value.args
    assert code == "guest_failed"
    assert "has not ended after 20000 cycles" in message
    # What was cut in the middle of a character is one character more.
    assert 60_000 < len(printed) <= 64 << 10
