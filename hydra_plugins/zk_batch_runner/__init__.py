"""Where Hydra looks for plugins: the sweepers of :mod:`runner.cli.sweepers`.

Hydra imports this for every command, ``--help`` too, so what does the work comes in when there is a
sweep to set up.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

__all__ = ["GridSweeper", "OptunaSweeper"]


class _Late(Sweeper):
    """Stands for a sweeper until it is needed."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  # that sweeper's
        self._settings = settings
        self._sweeper: Sweeper | None = None

    @abstractmethod
    def _make(self) -> Sweeper: ...

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """See Hydra."""
        self._sweeper = self._make()
        self._sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:  # noqa: ANN401  # Hydra's signature
        """See Hydra."""
        assert self._sweeper is not None  # noqa: S101  # Hydra sets up first
        return self._sweeper.sweep(arguments)


class GridSweeper(_Late):
    """``hydra/sweeper=grid``, the default."""

    def _make(self) -> Sweeper:
        from runner.cli import sweepers

        return sweepers.GridSweeper(**self._settings)


class OptunaSweeper(_Late):
    """``hydra/sweeper=optuna``."""

    def _make(self) -> Sweeper:
        from runner.cli import sweepers

        return sweepers.OptunaSweeper(**self._settings)
