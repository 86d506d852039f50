"""Guests, tools and made-up stacks for the tests of profiles."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from profiling.samples import Frame, Sample
from runner.files import SHIPPED
from runner.provers.guests import DEFAULT_FOLDER, Manifest

sys.path.insert(0, str(SHIPPED / "scripts"))


if TYPE_CHECKING:
    from collections.abc import Mapping


GUESTS = Manifest.load(DEFAULT_FOLDER).guests
TOOLS = Path(os.environ.get("RUNNER_CACHE", Path.home() / ".cache/zk-batch-runner")) / "tools/bin"

MAIN, POOL = 7, 8

PERF = """\
python 7/8   100.250000:   10101010 \n\
\t         1ba9f10 risc0_zkp::core::hash::poseidon2::poseidon2_mix (/site/runner_risc0.abi3.so)
\t         1b16a51 <A as B>::f::{lambda(int)#1}::operator() (/site/runner_risc0.abi3.so)
\t           891f4 start_thread (/usr/lib/libc.so.6)

python 7/7   100.350000:   10101010 \n\
\tffffffff815ee47e do_fault ([kernel.kallsyms])
\tffffffff81000c82 asm_exc_page_fault ([kernel.kallsyms])
\t           10000 malloc (/usr/lib/libc.so.6)
\t          979825 runner_risc0::prove (/site/runner_risc0.abi3.so)
\t           fac1e _PyEval_EvalFrameDefault (/lib/libpython3.11.so.1.0)
\t            1080 _start (/usr/bin/python3.11)
"""


def stack(*symbols: str, library: str = "lib.so") -> tuple[Frame, ...]:
    return tuple(Frame(symbol, library) for symbol in symbols)


def sample(*symbols: str, tid: int = POOL, library: str = "lib.so") -> Sample:
    return Sample(tid, 1.0, 10, stack(*symbols, library=library))


def proofs() -> Mapping[tuple[Frame, ...], int]:
    leaf, aggregation = (
        Frame(f"profiling.engine.{name}", "python") for name in ("leaf", "aggregation")
    )
    return {
        (leaf, *stack("prove", "poly_1")): 30,
        (leaf, *stack("prove", "poly_2")): 20,
        (leaf, *stack("prove", "hash")): 50,
        (aggregation, *stack("prove", "hash")): 10,
        stack("import"): 5,
    }
