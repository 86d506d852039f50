"""Where Hydra looks for plugins: the sweepers of :mod:`runner.sweepers`."""

from runner import sweepers

__all__ = ["GridSweeper", "OptunaSweeper"]


class GridSweeper(sweepers.GridSweeper):
    """``hydra/sweeper=grid``, the default."""


class OptunaSweeper(sweepers.OptunaSweeper):
    """``hydra/sweeper=optuna``."""
