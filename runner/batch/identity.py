"""What the result of a batch was made from.

A sweep compares this to tell whether a finished run may stand for a new one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import runner
from runner.model import flat, is_placement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from runner.model import Guest, Leaf, Versions

__all__ = ["MadeFrom", "made_from"]


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """What a result was made from, as two SHA-256 digests in hex.

    Attributes:
        config: the digest of the composed config without the settings that only say where a run
            happens (:data:`runner.model.PLACEMENT`).
        programs: the digest of what the config names and what may change under its name: the image
            ids and ELF files of the guests, the versions of the runner and the zkVM, and the inputs
            as the guest reads them.
    """

    config: str
    programs: str

    @classmethod
    def from_json(cls, data: object) -> Self | None:
        """Read what :meth:`to_json` returned. The result is None for anything else."""
        if not isinstance(data, dict) or set(data) != {"config", "programs"}:
            return None
        return cls(str(data["config"]), str(data["programs"]))

    def to_json(self) -> dict[str, str]:
        """Return the digests as JSON values, as ``result.json`` holds them."""
        return asdict(self)


def made_from(
    config: dict[str, Any], guests: Sequence[Guest], leaves: Iterable[Leaf], versions: Versions
) -> MadeFrom:
    """Digest all that decides the result of a run.

    Args:
        config: the config as the user composed it.
        guests: the leaves' guest and the aggregator.
        leaves: the leaves of the batch.
        versions: the versions of the zkVM that proves.
    """
    decides = {name: value for name, value in flat(config).items() if not is_placement(name)}
    inputs = (hashlib.sha256(leaf.stdin).hexdigest() + leaf.assumptions for leaf in leaves)
    programs = {
        "guests": _json([(guest.image_id.hex(), guest.elf_sha256) for guest in guests]),
        "inputs": _list(inputs),
        "runner": _json(runner.__version__),
        "zkvm": _json(asdict(versions)),
    }
    return MadeFrom(_sha256(_json(decides)), _sha256(_object(programs)))


def _sha256(pieces: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece.encode())
    return digest.hexdigest()


# With a million leaves the text takes gigabytes, so that it is never there as a whole.


def _json(value: object) -> Iterator[str]:
    yield json.dumps(value, sort_keys=True, default=str)


def _list(values: Iterable[object]) -> Iterator[str]:
    """The text of a JSON list, as ``json.dumps`` would write it."""
    before = "["
    for value in values:
        yield before
        yield from _json(value)
        before = ", "
    yield "[]" if before == "[" else "]"


def _object(fields: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """The text of a JSON object from the texts of its fields, which are sorted by name."""
    before = "{"
    for name, pieces in fields.items():
        yield f"{before}{json.dumps(name)}: "
        yield from pieces
        before = ", "
    yield "}"
