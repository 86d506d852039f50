"""Runs one batch in this process, from overrides as the command line takes them."""

from __future__ import annotations

import contextlib
import io
import time
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir

from runner.batch.run import run as run_batch
from runner.cli import config, schema
from runner.cli.project import CONF

if TYPE_CHECKING:
    from pathlib import Path

    from runner.batch.settings import Settings

Figures = dict[str, float]
"""What a study found: seconds and other figures, by what they say."""


def settings(output: Path, textfile: Path, overrides: list[str]) -> Settings:
    """Compose the settings of a batch that shows no progress.

    Args:
        output: the folder for what the batch leaves.
        textfile: the metrics textfile.
        overrides: overrides as on the command line.
    """
    schema.register()
    given = [*overrides, "progress=none", f"metrics.textfile={textfile}", f"output={output}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return config.settings(compose("config", given), output)


def run(composed: Settings) -> float:
    """Run a batch without its closing table, and return its wall seconds."""
    with contextlib.redirect_stdout(io.StringIO()):
        began = time.perf_counter()
        run_batch(composed)
        return time.perf_counter() - began
