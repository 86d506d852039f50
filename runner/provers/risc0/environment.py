"""Variables of RISC Zero's own tools, which have no effect on what the runner proves.

The library reads them by itself, so that a proof would depend on who made it where. What it obeys
is therefore taken out of the process's environment before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

__all__ = ["ignored_variables"]

_OBEYED = ("RISC0_KECCAK_PO2", "RISC0_WITGEN_DEBUG", "RISC0_DUMP_PATH")
"""What the library's executor and prover obey (risc0-zkvm 3.0, risc0-circuit-rv32im 4.0): the size
of a batch of the keccak accelerator, a slow way to make the trace, and a file for the memory."""

_NOT_READ = (
    *("RISC0_DEV_MODE", "RISC0_PROVER", "RISC0_EXECUTOR", "RISC0_SERVER_PATH"),
    *("RISC0_DEFAULT_PROVER_NUM_GPUS", "BONSAI_API_URL"),
)
"""What chooses a prover in a host program by ``default_prover``, which the runner does not use."""


def ignored_variables(env: MutableMapping[str, str]) -> tuple[str, ...]:
    """Take out what the library would obey.

    Args:
        env: The environment of this process, from which worker processes inherit theirs.

    Returns:
        The variables that are set and have no effect, in the order of their names.
    """
    found = [name for name in (*_OBEYED, *_NOT_READ) if env.get(name)]
    for name in _OBEYED:
        env.pop(name, None)
    return tuple(sorted(found))
