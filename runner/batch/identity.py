"""What a batch's result was made from: tells whether a finished one answers the same question."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import runner
from runner.model import flat, is_placement
from runner.provers.guests import AGGREGATOR, Manifest
from runner.provers.prover import load_prover

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runner.batch.settings import Settings
    from runner.model import Leaf

__all__ = ["MadeFrom", "made_from"]


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """What decides a result, as two SHA-256 digests in hex.

    Attributes:
        config: The digest of the composed settings without those of :data:`PLACEMENT`.
        programs: The digest of all that the settings name and that may change under its name: image
            ids and ELF files, the versions of runner and zkVM, the inputs as the guest reads them.
    """

    config: str
    programs: str

    @classmethod
    def from_json(cls, data: object) -> Self | None:
        """As :meth:`to_json` gave it; None for anything else."""
        if not isinstance(data, dict) or set(data) != {"config", "programs"}:
            return None
        return cls(str(data["config"]), str(data["programs"]))

    def to_json(self) -> dict[str, str]:
        """JSON values, as ``result.json`` holds them."""
        return asdict(self)


def made_from(settings: Settings, leaves: Iterable[Leaf]) -> MadeFrom:
    """What a run with these settings and these inputs makes its result from.

    Raises:
        InputError: the guests or the prover cannot be had.
    """
    config = {
        name: value for name, value in flat(settings.config).items() if not is_placement(name)
    }
    manifest = Manifest.load(settings.guests)
    guests = [manifest.get(name) for name in (settings.guest, AGGREGATOR)]
    programs = {
        "guests": [(guest.image_id.hex(), guest.elf_sha256) for guest in guests],
        "inputs": [hashlib.sha256(leaf.stdin).hexdigest() for leaf in leaves],
        "runner": runner.__version__,
        "zkvm": asdict(load_prover(settings.prover).versions),
    }
    return MadeFrom(_sha256(config), _sha256(programs))


def _sha256(value: Any) -> str:  # noqa: ANN401  # anything JSON can say
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
