"""What a worker elsewhere must have in common with the runner, and what it says of its machine.

The image ids are computed by the worker's own extension from the programs that it was given. So a
build that its CPU cannot run, or another zkVM, is found before the first job.
"""

from __future__ import annotations

import platform
from functools import lru_cache
from typing import TYPE_CHECKING

import runner
from runner.jobs.elsewhere import arrived
from runner.limits import cores
from runner.provers.guests import read_elf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.jobs.site import Site
    from runner.model import Guest
    from runner.provers.prover import Prover

__all__ = ["common_facts", "worker_facts"]

_OWN = frozenset({"simd", "vectors"})
"""The versions that two machines of one batch may differ in: which of the CPU's vectors a build has
picked there. Receipts are the same with any of them."""


def common_facts(prover: Prover, programs: Sequence[Guest]) -> dict[str, str]:
    """The facts that a worker must have in common with the runner, by name."""
    versions = prover.versions
    python = platform.python_version_tuple()
    facts = {
        "runner": runner.__version__,
        "Python": f"{python[0]}.{python[1]}",
        "architecture": platform.machine(),
        "zkVM": f"{versions.zkvm} {versions.zkvm_version}",
    }
    facts |= {name: value for name, value in versions.extra.items() if name not in _OWN}
    for guest in programs:
        facts[f"image id of {guest.name}"] = prover.image_id(read_elf(guest)).hex()
    return facts


def worker_facts(site: Site) -> dict[str, str]:
    """All facts about the machine that this is called on.

    Raises:
        InputError: The zkVM's extension is not installed, or a program is another one.
        StoreError: The store cannot be reached from here.
    """
    there = arrived(site)
    programs = [site.here(guest, there.folder) for guest in site.programs]
    there.prover.require(site.prover.kind)
    own = {"host": platform.node(), "cores": str(cores()), **_cpu()}
    return common_facts(there.prover, programs) | own


@lru_cache(maxsize=1)
def _cpu() -> dict[str, str]:
    from runner.engines.machine import machine

    found = machine()
    return {name: str(found[name]) for name in ("cpu", "memory_mib") if name in found}
