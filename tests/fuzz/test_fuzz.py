"""The fuzzers for a few seconds each, and the inputs that once led to a fault."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS, Target

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 3
ROUNDS = 150

pytestmark = pytest.mark.fuzz

needs_atheris = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="no atheris, which has wheels for Linux on x86-64 only (pip install atheris)",
)


@pytest.fixture(params=sorted(TARGETS))
def name(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def target(name: str, tmp_path: Path) -> Target:
    return TARGETS[name](tmp_path)


def test_what_once_led_to_a_fault_is_read_or_refused(name: str, target: Target) -> None:
    for path in sorted((CORPUS / name).glob("*")):
        target.check(path.read_bytes())


def test_every_folder_of_the_corpus_has_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} <= set(TARGETS)


def test_seeds_and_changed_seeds_are_read_or_refused(target: Target) -> None:
    assert target.seeds
    for seed in target.seeds:
        target.check(seed)
    chance = random.Random(1)
    for _ in range(ROUNDS):
        changed = mutated(chance.choice(target.seeds), chance)
        try:
            target.check(changed)
        except Exception as error:
            error.add_note(f"the input: {changed[:3000]!r}")
            raise


@needs_atheris
def test_no_fault_is_found_by_coverage(tmp_path: Path) -> None:
    options = [f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/"]
    command = [sys.executable, "-m", "tests.fuzz", *TARGETS, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-6000:]}"
    assert done.stderr.count(" runs in ") == len(TARGETS)
