"""What a batch keeps of each of its jobs in little memory: records on disk, columns of numbers.

A batch may have a million leaves. Objects of Python's for each would take kilobytes a leaf, nearly
all of which nobody looks at until the batch has ended.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from array import array
from collections.abc import Iterator, MutableMapping, Sequence
from typing import overload

__all__ = ["Numbers", "Records"]

_MOST_IN_MEMORY = 1 << 16
"""The bytes of the last records that are still in memory. A small batch writes nothing."""


class Records(Sequence[bytes]):
    """Records of bytes by their numbers, in a file without a name that goes with this object.

    The file is in the folder for temporary files (``TMPDIR``). In memory there are eight bytes for
    each record. Any thread may read, but none while another one appends.
    """

    def __init__(self) -> None:
        self._ends = array("Q", [0])
        self._tail = bytearray()
        self._written = 0
        self._file: int | None = None

    def __len__(self) -> int:
        """The number of records."""
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> bytes: ...

    @overload
    def __getitem__(self, at: slice) -> list[bytes]: ...

    def __getitem__(self, at: int | slice) -> bytes | list[bytes]:
        """A record, or a list of them. Raises OSError."""
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        number = range(len(self))[at]
        start, end = self._ends[number], self._ends[number + 1]
        if start >= self._written:
            return bytes(self._tail[start - self._written : end - self._written])
        assert self._file is not None  # noqa: S101  # something was written
        pieces = []
        while start < end:
            piece = os.pread(self._file, end - start, start)
            if not piece:
                raise OSError(f"record {number} is not in the temporary file any more")
            pieces.append(piece)
            start += len(piece)
        return b"".join(pieces)

    def append(self, record: bytes) -> int:
        """Add a record, and return its number.

        Raises:
            OSError: the disk takes no more.
        """
        self._tail += record
        self._ends.append(self._ends[-1] + len(record))
        if len(self._tail) >= _MOST_IN_MEMORY:
            self._write()
        return len(self) - 1

    def _write(self) -> None:
        if self._file is None:
            with tempfile.TemporaryFile() as file:
                self._file = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._file)
        at, tail = self._written, memoryview(bytes(self._tail))
        while tail:
            done = os.pwrite(self._file, tail, at)
            at, tail = at + done, tail[done:]
        self._written, self._tail = at, bytearray()


class Numbers(MutableMapping[int, int]):
    """Whole numbers from 0 on by small keys, with eight bytes for each key up to the largest."""

    def __init__(self) -> None:
        self._values = array("q")
        self._count = 0

    def __len__(self) -> int:
        """The number of keys."""
        return self._count

    def __iter__(self) -> Iterator[int]:
        """The keys, in ascending order."""
        return (key for key, value in enumerate(self._values) if value >= 0)

    def __contains__(self, key: object) -> bool:
        """Whether there is a number for a key."""
        return isinstance(key, int) and 0 <= key < len(self._values) and self._values[key] >= 0

    def __getitem__(self, key: int) -> int:
        """The number for a key. Raises KeyError."""
        if key not in self:
            raise KeyError(key)
        return self._values[key]

    def __setitem__(self, key: int, value: int) -> None:
        """Set the number for a key. Both must be 0 or more."""
        if key < 0 or value < 0:
            raise ValueError(f"{key}: {value} is negative")
        if key >= len(self._values):
            self._values.extend([-1] * (key + 1 - len(self._values)))
        self._count += self._values[key] < 0
        self._values[key] = value

    def __delitem__(self, key: int) -> None:
        """Forget the number for a key. Raises KeyError."""
        if key not in self:
            raise KeyError(key)
        self._values[key] = -1
        self._count -= 1
