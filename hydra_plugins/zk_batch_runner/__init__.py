"""The sweepers of :mod:`runner.cli.sweepers`, in the package where Hydra looks for plugins.

Hydra imports this module for every command, even for ``--help``. Therefore the modules that do the
work are imported only when a sweep is set up.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

__all__ = ["GridSweeper", "OptunaSweeper"]


class _LazySweeper(Sweeper):
    """A sweeper that makes the real one when a sweep is set up, and passes all calls on to it.

    Args:
        settings: The arguments of the real sweeper, from its YAML file.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401  # passed on as they are
        self._settings = settings
        self._sweeper: Sweeper | None = None

    @abstractmethod
    def _make(self) -> Sweeper: ...

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Make the real sweeper and set it up."""
        self._sweeper = self._make()
        self._sweeper.setup(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:  # noqa: ANN401  # Hydra's signature
        """Run the sweep."""
        assert self._sweeper is not None  # noqa: S101  # Hydra calls setup() first
        return self._sweeper.sweep(arguments)


class GridSweeper(_LazySweeper):
    """The sweeper ``hydra/sweeper=grid``, which is the default."""

    def _make(self) -> Sweeper:
        from runner.cli import sweepers

        return sweepers.GridSweeper(**self._settings)


class OptunaSweeper(_LazySweeper):
    """The sweeper ``hydra/sweeper=optuna``."""

    def _make(self) -> Sweeper:
        from runner.cli import sweepers

        return sweepers.OptunaSweeper(**self._settings)
