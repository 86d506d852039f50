"""Program binaries of RISC Zero: a user's ELF, joined with the kernel that it runs on.

Cargo leaves the user's ELF, and ``risc0-build`` also the binary of both (``NAME.bin``), which is in
the form of ``ProgramBinary`` in the crate ``risc0-binfmt`` 3.0, with little-endian numbers::

    "R0BF"  version: u32  header: u32 length, bytes  user ELF: u32 length, bytes  kernel ELF: rest
"""

from __future__ import annotations

from functools import lru_cache

from runner.errors import ProverError
from runner.provers.guests import AGGREGATOR, DEFAULT_FOLDER, Manifest, read_elf

__all__ = ["whole"]

_ELF = b"\x7fELF"
_32_BITS, _RISC_V = 1, 243
_MACHINES = {3: "x86", 40: "ARM", 62: "x86-64", 183: "ARM64", _RISC_V: "64-bit RISC-V"}
"""What an ELF file says of the machine that it is for (``e_machine`` in the ELF specification)."""


@lru_cache(maxsize=4)
def whole(elf: bytes) -> bytes:
    """A program binary with a kernel in it, of a binary that has one or of the user's ELF alone.

    The kernel is that of the aggregator which comes with the runner, and so the one of the RISC
    Zero version that the runner's own guests were compiled for.

    Raises:
        ProverError: The bytes are an ELF file for another machine. Anything else is returned as it
            is, and the native module says what is wrong with it.
    """
    if not elf.startswith(_ELF) or len(elf) < 20:
        return elf
    machine = int.from_bytes(elf[18:20], "little")
    if (elf[4], machine) != (_32_BITS, _RISC_V):
        found = _MACHINES.get(machine, f"machine {machine}")
        raise ProverError("bad_elf", f"an ELF file for {found}, guests are for 32-bit RISC-V")
    head, kernel = _frame()
    return head + len(elf).to_bytes(4, "little") + elf + kernel


@lru_cache(maxsize=1)
def _frame() -> tuple[bytes, bytes]:
    """What comes before a user's ELF in a program binary, and the kernel that comes after it."""
    data = read_elf(Manifest.load(DEFAULT_FOLDER).guests[AGGREGATOR])
    at = 12 + int.from_bytes(data[8:12], "little")
    user = int.from_bytes(data[at : at + 4], "little")
    return data[:at], data[at + 4 + user :]
