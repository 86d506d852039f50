"""Configs that are composed in the process of a test."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from runner.cli import config
from runner.cli.project import CONF

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from runner.batch.settings import Settings


def composed(*overrides: str) -> DictConfig:
    conf = compose("config", list(overrides), return_hydra_config=True)
    # compose() runs no job, so the folder that a job would have is given here.
    conf.hydra.runtime.output_dir = "unused"
    HydraConfig.instance().set_config(conf)
    # Hydra gives a job the same, without its own settings.
    own = copy.deepcopy(conf)
    with open_dict(own):
        del own["hydra"]
    return own


def settings(*overrides: str) -> Settings:
    return config.settings(composed(*overrides), Path("unused"))


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))
