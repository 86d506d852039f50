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
    from collections.abc import Iterable, Sequence

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
    programs = {
        "guests": [(guest.image_id.hex(), guest.elf_sha256) for guest in guests],
        "inputs": [hashlib.sha256(leaf.stdin).hexdigest() + leaf.assumptions for leaf in leaves],
        "runner": runner.__version__,
        "zkvm": asdict(versions),
    }
    return MadeFrom(_sha256(decides), _sha256(programs))


def _sha256(value: Any) -> str:  # noqa: ANN401  # anything JSON can say
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
