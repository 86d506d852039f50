"""The process that is profiled: one run of the runner, with a sampler beside it.

    python -m profiling.target FOLDER HERTZ OVERRIDE...

It leaves ``python.json`` in the folder, with the Python stacks and their times. For each guest of
the batch it leaves ``guest-NAME.json`` and ``guest-NAME.folded``, which come from one more
execution of the guest's first job.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from profiling.sampler import Sampler

if TYPE_CHECKING:
    from runner.model import ProofJob
    from runner.provers.prover import ProverSpec


def main() -> int:
    """Run the batch, then profile its guests, and return the exit code of the run."""
    folder, hertz, overrides = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    if hasattr(os, "sched_setaffinity"):
        # On one core the zkVM's pool has one thread, as it has for a leaf in a batch with as many
        # workers as cores. No thread takes work from another, so each stack is whole.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sampler = Sampler(hertz)
    sampler.start()
    try:
        code = _run(overrides)
    finally:
        sampler.stop()
        content = {"main": os.getpid(), "threads": sampler.record()}
        (folder / "python.json").write_text(json.dumps(content), encoding="utf-8")
    if code == 0:
        from profiling.engine import first_jobs

        for spec, job in first_jobs.values():
            _profile_guest(folder, spec, job)
    return code


def _run(overrides: list[str]) -> int:
    from profiling.engine import TARGET

    own = [
        "executor=inline",
        f"executor.engine._target_={TARGET}",
        "cache=off",
        "metrics=off",
        "progress=lines",
    ]
    sys.argv = ["python -m runner", *own, *overrides]
    from runner.cli.command import main as run

    return run()


def _profile_guest(folder: Path, spec: ProverSpec, job: ProofJob) -> None:
    import runner_risc0

    from profiling.guest import fold_cycles, of_binary, rows
    from profiling.stacks import folded_text
    from runner.provers.guests import read_elf
    from runner.provers.prover import own_settings
    from runner.provers.risc0.cost import SEGMENT_PO2

    if spec.adapter != "risc0":
        return
    binary = read_elf(job.guest)
    claims = [(child.image_id, child.journal) for child in dict.fromkeys(job.children)]
    segment_po2 = own_settings(spec, {"segment_po2": (15, 22)})["segment_po2"] or SEGMENT_PO2
    profile = runner_risc0.profile(binary, job.stdin, claims, segment_po2=segment_po2)
    stacks = fold_cycles(profile, of_binary(binary))
    run = profile.execution
    content = {
        "guest": job.guest.name,
        "job": job.name,
        "user": run.user_cycles,
        "paging": run.paging_cycles,
        "total": run.total_cycles,
        "functions": rows(stacks),
    }
    name = f"guest-{job.guest.name}"
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.folded").write_text(folded_text(stacks), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
