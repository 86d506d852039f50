"""The label of a blob: the lines before a proof that say what the proof was made from.

::

    zk-batch-runner/proof 1 <SHA-256 of all that follows, in hex>
    {"children": 0, "cycles": [...], "guest": "fibonacci", ..., "key": "ab12...", ...}
    <the proof>

A proof need not say what it was made from: a leaf proves its journal and not its input. So a blob
says it itself, and one that is moved under another key, or whose label is edited, is found out
without the index. Versions before the first label left bare proofs. Only the row that such a
version has written into the index ties a bare proof to its key.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys

from runner.cache.origins import MadeFrom, Origin
from runner.model import Cycles, ReceiptKind
from runner.untrusted import parse_json, unhex

__all__ = ["MOST_BYTES", "Label", "Labelled", "split"]

_MAGIC = b"zk-batch-runner/proof 1 "

MOST_BYTES = 8192
"""The largest label. One takes about half a kilobyte."""


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """What a blob says about its proof.

    Attributes:
        key: The key of the proof, 64 hexadecimal characters.
        made_from: What the proof was made from.
        cycles: The cycles of the run.
        prove_s: The wall seconds that the proof took.
    """

    key: str
    made_from: MadeFrom
    cycles: Cycles
    prove_s: float

    def before(self, data: bytes) -> tuple[bytes, str]:
        """The content of a blob, which is this label and ``data`` after it, and its SHA-256."""
        said = dataclasses.asdict(self.made_from)
        fields = said | (said.pop("origin") or {}) | {"key": self.key, "prove_s": self.prove_s}
        fields["cycles"] = list(dataclasses.astuple(self.cycles))
        rest = json.dumps(fields, sort_keys=True, allow_nan=False).encode() + b"\n" + data
        digest = hashlib.sha256(rest).hexdigest()
        return _MAGIC + digest.encode() + b"\n" + rest, digest


@dataclasses.dataclass(frozen=True, slots=True)
class Labelled:
    """The beginning of a blob that has a label.

    Attributes:
        sha256: The SHA-256, in hex, that the blob says all has that follows its first line.
        label: The label.
        first_line: The number of bytes before those that ``sha256`` covers.
        start: The number of bytes before the proof.
    """

    sha256: str
    label: Label
    first_line: int
    start: int


def split(content: bytes) -> Labelled | None:
    """Read the label at the beginning of a blob.

    Args:
        content: The content of the blob, or its first :data:`MOST_BYTES` bytes.

    Returns:
        The label, not yet compared with the digest, or None if this is a bare proof.

    Raises:
        ValueError: There is a label, and it is none that this version writes.
    """
    if not content.startswith(_MAGIC):
        return None
    try:
        return _split(content)
    except ValueError as error:
        raise ValueError(f"its label cannot be used: {error}") from None


def _split(content: bytes) -> Labelled:
    first_line = len(_MAGIC) + 65
    start = content.find(b"\n", first_line, MOST_BYTES) + 1
    if content[first_line - 1 : first_line] != b"\n" or not start:
        raise ValueError("it has no end")
    sha256 = content[len(_MAGIC) : first_line - 1].decode("ascii", "replace")
    unhex(sha256, 32)
    return Labelled(sha256, _parse(content[first_line:start]), first_line, start)


def _parse(line: bytes) -> Label:
    fields = parse_json(line)
    names = {"key", "image_id", "kind", "cycles", "prove_s"}
    origin = {field.name for field in dataclasses.fields(Origin)}
    if not isinstance(fields, dict) or fields.keys() not in (names, names | origin):
        raise ValueError("it has other fields than this version writes")
    for name in ("key", "image_id", "stdin"):
        if name in fields:
            unhex(fields[name], 32)
    if not all(isinstance(fields.get(name, ""), str) for name in ("guest", "zkvm", "zkvm_version")):
        raise ValueError("a name is no text")
    counts = fields["cycles"]
    if not isinstance(counts, list) or len(counts) != len(dataclasses.fields(Cycles)):
        raise ValueError("cycles are no list of four")
    if not all(_is_count(count) for count in (*counts, fields.get("children", 0))):
        raise ValueError("a count is no whole number")
    seconds = fields["prove_s"]
    if type(seconds) not in {int, float} or not 0 <= seconds <= sys.float_info.max:
        raise ValueError("prove_s is no number of seconds")
    return Label(
        key=fields["key"],
        made_from=MadeFrom(
            image_id=fields["image_id"],
            kind=ReceiptKind(fields["kind"]).value,
            origin=Origin(**{name: fields[name] for name in origin}) if "guest" in fields else None,
        ),
        cycles=Cycles(*counts),
        prove_s=float(seconds),
    )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 63  # what the index can hold
