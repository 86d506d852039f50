"""Splits the cycles of a guest by function, with names from the symbols of its ELF files."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from profiling.samples import Frame
from profiling.stacks import PAGING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runner_risc0 import GuestProfile

__all__ = ["Symbols", "demangled", "fold_cycles", "of_binary", "parts", "rows", "symbols"]

PAGE_IN, PAGE_OUT = "[page in]", "[page out]"
START = "[start and end of a segment]"

_HASHES = re.compile(r"\[[0-9a-f]{16}\]|::h[0-9a-f]{16}$")


@dataclass(frozen=True)
class Symbols:
    """The functions of a program by their addresses.

    Attributes:
        starts: the first address of each function, ascending.
        names: the name of each function, in the same order.
    """

    starts: Sequence[int]
    names: Sequence[str]

    def name(self, address: int) -> str:
        """Name the function that holds an instruction; the address itself where none is known."""
        position = bisect_right(self.starts, address) - 1
        return self.names[position] if position >= 0 else f"{address:#010x}"


def parts(binary: bytes) -> tuple[bytes, bytes]:
    """Split a program binary (``R0BF``) into the user's ELF file and the kernel's.

    Raises:
        ValueError: the bytes are no program binary.
    """
    if binary[:4] != b"R0BF":
        raise ValueError("not a program binary")
    try:
        (header,) = struct.unpack_from("<I", binary, 8)
        (length,) = struct.unpack_from("<I", binary, 12 + header)
    except struct.error:
        raise ValueError("not a program binary: cut short") from None
    user = binary[16 + header :]
    return user[:length], user[length:]


def of_binary(binary: bytes) -> Symbols:
    """Read the functions of a program binary; those of the zkVM's kernel are marked as such.

    Raises:
        ValueError: the bytes are no program binary.
    """
    user, kernel = (symbols(part) for part in parts(binary))
    both = {**user, **{start: f"kernel::{name}" for start, name in kernel.items()}}
    starts = sorted(both)
    return Symbols(starts, [both[start] for start in starts])


def symbols(data: bytes) -> dict[int, str]:
    """Read the functions of an ELF file by address; labels of assembly count as functions."""
    elf = ELFFile(io.BytesIO(data))
    table = elf.get_section_by_name(".symtab")
    code = {
        index
        for index, section in enumerate(elf.iter_sections())
        if section["sh_flags"] & SH_FLAGS.SHF_EXECINSTR
    }
    found: dict[int, str] = {}
    if not isinstance(table, SymbolTableSection):
        return found
    for symbol in table.iter_symbols():
        label = symbol.name.startswith(("$", ".L"))  # labels within functions
        if symbol.name and not label and symbol["st_shndx"] in code:
            found[symbol["st_value"]] = symbol.name
    return dict(zip(found, demangled([*found.values()]), strict=True))


def demangled(mangled: Sequence[str]) -> list[str]:
    """Turn mangled names into those of the source with binutils' ``c++filt``.

    Without it the names stay as they are.
    """
    program = shutil.which("c++filt")
    if program is None:
        return [*mangled]
    text = "".join(f"{name}\n" for name in mangled)
    done = subprocess.run([program], input=text, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) != len(mangled):
        return [*mangled]
    return [_HASHES.sub("", line) for line in lines]


def fold_cycles(profile: GuestProfile, functions: Symbols) -> Counter[tuple[Frame, ...]]:
    """Count cycles by call path.

    User cycles count for the function that spent them, paging cycles for the one that caused them.
    Their sum is that of the user and paging cycles of the execution.
    """
    paths: list[tuple[Frame, ...]] = []
    for parent, site in profile.calls:
        call = Frame(functions.name(site), "guest")
        paths.append((*paths[parent], call) if paths else ())
    total: Counter[tuple[Frame, ...]] = Counter()
    for path, address, user, page_in, page_out in profile.costs:
        stack = (*paths[path], Frame(functions.name(address), "guest"))
        total[stack] += user
        total[*stack, Frame(PAGE_IN, PAGING)] += page_in
        total[*stack, Frame(PAGE_OUT, PAGING)] += page_out
    run = profile.execution
    total[Frame(START, PAGING),] += run.user_cycles + run.paging_cycles - total.total()
    return +total


def rows(stacks: Mapping[tuple[Frame, ...], int]) -> list[tuple[str, int, int, int]]:
    """List ``(function, user cycles, page in, page out)``, the most expensive function first."""
    found: dict[str, dict[str, int]] = {}
    for stack, cycles in stacks.items():
        what = stack[-1].symbol
        if what in (PAGE_IN, PAGE_OUT):
            name = stack[-2].symbol
        else:
            name, what = what, PAGE_IN if what == START else "user"
        counts = found.setdefault(name, {"user": 0, PAGE_IN: 0, PAGE_OUT: 0})
        counts[what] += cycles
    ordered = sorted(found.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    return [(name, n["user"], n[PAGE_IN], n[PAGE_OUT]) for name, n in ordered]
