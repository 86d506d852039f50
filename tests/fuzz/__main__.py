"""Fuzz targets, guided by the coverage of the runner's own code.

``python -m tests.fuzz TARGET... [LIBFUZZER OPTIONS]`` goes on until a fault is found or an option
ends it, as ``-max_total_time=60`` does for each target. Bytes that lead to a fault are left as
``crash-...`` in the working folder; as a file in ``tests/fuzz/corpus/TARGET`` they become part of
the tests.
"""

from __future__ import annotations

import itertools
import os
import random
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from tests.fuzz.mutations import mutated

CORPUS = Path(__file__).parent / "corpus"


def main(*arguments: str) -> int:
    """Fuzz the targets that the first arguments name, one after the other.

    Returns:
        The exit code, which is not 0 if a fault was found in any of them.
    """
    import atheris

    with atheris.instrument_imports(include=["runner"]):
        from tests.fuzz.targets import TARGETS
    names = list(itertools.takewhile(TARGETS.__contains__, arguments))
    code = 0
    for name in names:
        # libFuzzer ends its process. To instrument the imports for each anew would take as long as
        # the fuzzing of a test run.
        if (child := os.fork()) == 0:
            _fuzz(name, *arguments[len(names) :])
        code = max(code, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0)
    return code if names else 2


def _fuzz(name: str, *options: str) -> NoReturn:
    import atheris

    from tests.fuzz.targets import TARGETS

    with tempfile.TemporaryDirectory() as place:
        seeds = Path(place) / "seeds"
        seeds.mkdir()
        work = Path(place) / "work"
        work.mkdir()
        target = TARGETS[name](work)
        for number, seed in enumerate(target.seeds):
            (seeds / f"seed-{number}").write_bytes(seed)
        known = [str(folder) for folder in (CORPUS / name,) if folder.is_dir()]

        def changed(data: bytes, most: int, seed: int) -> bytes:
            chance = random.Random(seed)
            other = atheris.Mutate(data, most) if chance.random() < 0.5 else mutated(data, chance)
            return bytes(other[:most])

        # New inputs go into the first folder that is named, which may be one of the options.
        arguments = [sys.argv[0], "-max_len=300000", *options, str(seeds), *known]
        atheris.Setup(arguments, target.check, custom_mutator=changed)
        atheris.Fuzz()
    raise SystemExit


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
