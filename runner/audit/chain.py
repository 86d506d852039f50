"""The audit log as a chain of hashes: how a line is made, and how a log is checked.

A line is one JSON object in ASCII, ended by a newline:

.. code-block:: json

    {"seq":2,"prev":"<hash of line 1>","event":"run_started","time":"...","hash":"<its own>"}

``hash`` is the SHA-256, in hex, of the bytes of the line before ``,"hash":``. ``seq`` counts from
1. ``prev`` is the hash of the line before, and 64 zeros in the first line. The first line is a
``log_opened`` with a random id, so that no line can be taken over from another log. A change of any
byte shows in the line itself; a line that is missing, doubled or moved shows in the line after it.
Lines that are missing at the end show only if a hash of one of them is kept elsewhere.

A writer that is killed may leave a fragment of a line. The next writer keeps the fragment and puts
a ``torn`` line after it, which gives its size and digest in ``torn_bytes`` and ``torn_sha256``; if
there is no line yet, the ``log_opened`` line does that. A fragment without such a line is a fault,
and so is such a line without its fragment.

This module has no effects; :mod:`runner.audit.log` reads and writes the file.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runner.errors import AuditBrokenError
from runner.untrusted import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "FORMAT",
    "GENESIS",
    "MAX_FRAGMENT",
    "MAX_LINE",
    "VERSION",
    "Chain",
    "Line",
    "is_whole",
    "make_line",
    "read_line",
    "torn",
]

FORMAT = "zk-batch-runner audit log"
VERSION = 1
GENESIS = "0" * 64
"""What the first line has in place of the hash of a line before it."""

MAX_LINE = 1 << 20
"""The most bytes of a line; the longest that is written has a few kilobytes."""

MAX_FRAGMENT = 2 * MAX_LINE
"""The most bytes that killed writers may leave between two lines."""

_END = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_END_SIZE = 75
_TORN = ("torn_bytes", "torn_sha256")


@dataclass(frozen=True, slots=True)
class Line:
    """One line whose hash fits its content.

    Attributes:
        seq: the line's number, from 1.
        prev: the hash of the line before.
        hash: the line's own hash.
        fields: all fields of the line, including those three.
    """

    seq: int
    prev: str
    hash: str
    fields: dict[str, Any]

    @property
    def event(self) -> object:
        """The name of the event that the line records."""
        return self.fields.get("event")


def make_line(seq: int, prev: str, event: Mapping[str, Any]) -> tuple[bytes, str]:
    """Make a line.

    Args:
        seq: the line's number.
        prev: the hash of the line before.
        event: the fields of the event.

    Returns:
        The line with its newline, and its hash.

    Raises:
        ValueError: the event has a field that belongs to the chain, has a number that is NaN or
            infinite, or does not fit in a line.
    """
    if not event.keys().isdisjoint(("seq", "prev", "hash")):
        raise ValueError("seq, prev and hash are the chain's own fields")
    fields = {"seq": seq, "prev": prev, **event}
    body = json.dumps(fields, separators=(",", ":"), allow_nan=False)[:-1].encode("ascii")
    digest = hashlib.sha256(body).hexdigest()
    line = body + f',"hash":"{digest}"}}\n'.encode("ascii")
    if len(line) > MAX_LINE:
        raise ValueError(f"an event of {len(line)} bytes; a line has {MAX_LINE} at most")
    return line, digest


def is_whole(raw: bytes) -> bool:
    """Whether the bytes begin and end as a whole line does, even if the line is wrong."""
    return raw.startswith(b'{"seq":') and _END.fullmatch(raw[-_END_SIZE:]) is not None


def read_line(raw: bytes) -> Line:
    """Read one line.

    Args:
        raw: the line's bytes without the newline.

    Raises:
        ValueError: the line is wrong; the error says how.
    """
    if not is_whole(raw):
        raise ValueError("not a whole line of an audit log")
    digest = hashlib.sha256(raw[:-_END_SIZE]).hexdigest()
    said = raw[-_END_SIZE + 9 : -2].decode()
    if digest != said:
        raise ValueError(f"it was changed: its hash is {digest[:16]}..., it says {said[:16]}...")
    try:
        fields = parse_json(raw, names=True)
        seq, prev = fields["seq"], fields["prev"]
    except (ValueError, KeyError, TypeError):
        raise ValueError("not a line that a runner wrote") from None
    if type(seq) is not int or not isinstance(prev, str):
        raise ValueError("not a line that a runner wrote")
    return Line(seq, prev, said, fields)


def torn(fragment: bytes) -> dict[str, Any]:
    """The fields by which a line names the fragment before it.

    Args:
        fragment: all bytes since the last whole line, without the newline that ends them; if they
            are empty, there are no fields.
    """
    if not fragment:
        return {}
    return {"torn_bytes": len(fragment), "torn_sha256": hashlib.sha256(fragment).hexdigest()}


class Chain:
    """Checks a log, line by line from the first.

    Attributes:
        seq: the number of the last line that was found right; 0 before the first.
        hash: the hash of that line.
        number: how many lines of the file were taken, fragments included.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.hash = GENESIS
        self.number = 0
        self._fragment = b""
        self._fault: AuditBrokenError | None = None

    def take(self, raw: bytes) -> Line | None:
        """Check the next line of the file.

        Args:
            raw: the line's bytes with the newline.

        Returns:
            The line; None for a fragment, which the next line must name.

        Raises:
            AuditBrokenError: a line is bad; the error names the first one and the reason.
        """
        self.number += 1
        if not raw.endswith(b"\n"):
            raise self._fault or self._bad("it has no end: its writer was killed, or it was cut")
        try:
            line = read_line(raw[:-1])
        except ValueError as error:
            self._fault = self._fault or self._bad(str(error))
            self._fragment += raw
            if is_whole(raw[:-1]) or len(self._fragment) > MAX_FRAGMENT:
                raise self._fault from None
            return None
        said = {name: line.fields[name] for name in _TORN if name in line.fields}
        # The last byte is the newline that the next writer put before its own line.
        due = torn(self._fragment[:-1])
        if said != due or (self._fault and not due):
            raise self._fault or self._bad("the fragment of a line that it names is gone")
        self._fault, self._fragment = None, b""
        if line.seq != self.seq + 1:
            reason = f"it is line {line.seq} of the log, where {self.seq + 1} is due"
            raise self._bad(f"{reason}: lines are missing, doubled or out of order")
        if line.prev != self.hash:
            raise self._bad("it does not follow the line before: one of them is from elsewhere")
        if line.seq == 1:
            opened = [line.fields.get(name) for name in ("event", "format", "version")]
            if opened != ["log_opened", FORMAT, VERSION]:
                raise self._bad(f"not the first line of an audit log of version {VERSION}")
        self.seq, self.hash = line.seq, line.hash
        return line

    def end(self) -> None:
        """Check that the file may end here.

        Raises:
            AuditBrokenError: it may not.
        """
        if self._fault is not None:
            raise self._fault
        if self.seq == 0:
            self.number = 1
            raise self._bad("the log is empty")

    def _bad(self, why: str) -> AuditBrokenError:
        return AuditBrokenError(self.number, why)
