"""An inline engine that runs leaves and aggregations in two Python functions of its own.

The profile tells the two kinds of proof apart by these functions on the stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from runner.engines.inline import InlineEngine
from runner.model import ProofJob
from runner.provers.prover import ProverSpec

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

__all__ = ["TARGET", "MarkingEngine", "aggregation", "first_jobs", "leaf"]

TARGET = "profiling.engine.MarkingEngine"

P = ParamSpec("P")
T = TypeVar("T")

first_jobs: dict[str, tuple[ProverSpec, ProofJob]] = {}
"""The first job of every guest that this process ran, by the guest's name."""


def leaf(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the job of a leaf."""
    return fn(*args, **kwargs)


def aggregation(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the job of an aggregation."""
    return fn(*args, **kwargs)


class MarkingEngine(InlineEngine):
    """Runs each job at once, so that its Python stack says of which kind the job is."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function and return its finished future."""
        # The runner binds the prover spec to the function and passes the job as an argument.
        given: list[Any] = [*getattr(fn, "args", ()), *args]
        spec = next((value for value in given if isinstance(value, ProverSpec)), None)
        job = next((value for value in given if isinstance(value, ProofJob)), None)
        if spec is None or job is None:
            return super().submit(fn, *args, **kwargs)
        first_jobs.setdefault(job.guest.name, (spec, job))
        mark = aggregation if job.children else leaf
        return super().submit(mark, fn, *args, **kwargs)
