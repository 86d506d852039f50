"""Which settings make a run another run, and which say only where it happens."""

from __future__ import annotations

import pytest
from hydra import compose
from omegaconf import OmegaConf

from runner.batch.identity import MadeFrom, made_from
from runner.model import PLACEMENT, flat
from runner.provers.guests import AGGREGATOR, Manifest
from runner.provers.prover import load_prover
from tests.cli.configs import settings

pytestmark = pytest.mark.usefixtures("hydra")


def identity(*overrides: str) -> MadeFrom:
    """The identity of a run without inputs, with these overrides."""
    made = settings(*overrides)
    manifest = Manifest.load(made.guests)
    guests = [manifest.get(name) for name in (made.guest, AGGREGATOR)]
    return made_from(made.config, guests, [], load_prover(made.prover).versions)


@pytest.mark.parametrize(
    "override",
    [
        "executor.timeout_s=7200",  # as the timeout's own error advises
        "executor.on_failure=continue",
        "cache.folder=/elsewhere/proofs",
        "retry.attempts=9",
        "output=/elsewhere",
        "report=true",
        "metrics.textfile=/elsewhere/runner.prom",
        "quiet=true",
    ],
)
def test_where_a_run_happens_makes_it_no_other_run(override: str) -> None:
    assert identity(override) == identity()


@pytest.mark.parametrize(
    "override",
    ["executor.workers=2", "executor=inline", "cache=off", "strategy=single", "guest.count=7"],
)
def test_what_is_done_makes_it_another_run(override: str) -> None:
    assert identity(override) != identity()


def test_what_says_only_where_a_run_happens_is_in_the_schema() -> None:
    """The one list of such settings names nothing that does not exist."""
    own = [
        flat(OmegaConf.to_container(compose("config", [f"executor={one}"]), resolve=True))
        for one in ("processes", "dask")
    ]
    names = own[0] | own[1]
    for place in PLACEMENT:
        found = [name for name in names if name == place or name.startswith(f"{place}.")]
        assert found, place
