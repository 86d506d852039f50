"""The objects that the config names by ``_target_``: the engine and the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from runner.engines.engine import Engine
from runner.errors import InputError, RunnerError

if TYPE_CHECKING:
    from runner.batch.settings import ExecutorSettings
    from runner.cache.cache import Cache

__all__ = ["make_cache", "make_engine"]


def make_engine(conf: dict[str, Any], executor: ExecutorSettings) -> Engine:
    """Make the engine that a config names. It starts no worker yet.

    Args:
        conf: The config ``executor.engine``.
        executor: The number of workers and the time limit, which the engine is given too.

    Raises:
        InputError: There is no such engine, it refuses its settings, or it has no time limit.
    """
    engine = _instantiated(
        "executor.engine",
        {**conf, "workers": executor.workers, "timeout_s": executor.timeout_s},
        "use executor=processes",
    )
    if not isinstance(engine, Engine):
        raise InputError(
            "executor.engine",
            conf["_target_"],
            "is no engine: it does not derive from runner.engines.engine.Engine",
            "use executor=processes",
        )
    if executor.timeout_s is not None and not engine.ends_jobs:
        raise InputError(
            "executor.timeout_s",
            executor.timeout_s,
            f"{type(engine).__name__} cannot end a job that runs",
            "set executor.timeout_s=null, or use executor=processes",
        )
    return engine


def make_cache(conf: dict[str, Any]) -> Cache:
    """Make the cache that a config names. It opens nothing yet.

    Args:
        conf: The config ``cache``.

    Raises:
        InputError: There is no such cache, or it refuses its settings.
    """
    if not isinstance(conf.get("_target_"), str):
        raise InputError("cache", conf, "names no _target_", "use cache=disk or cache=off")
    cache = _instantiated("cache", conf, "use cache=disk or cache=off")
    if not hasattr(cache, "view"):
        raise InputError(
            "cache",
            conf["_target_"],
            "is no cache: it does not follow runner.cache.cache.Cache",
            "use cache=disk or cache=off",
        )
    return cast("Cache", cache)


def _instantiated(field: str, conf: dict[str, Any], remedy: str) -> object:
    """The object that a ``_target_`` makes from the other settings beside it.

    Raises:
        InputError: It cannot be made. If the target itself raised an InputError, it is that one.
    """
    try:
        return instantiate(conf)
    except InstantiationException as error:
        if isinstance(error.__cause__, RunnerError):
            raise error.__cause__ from None
        problem = f"cannot be made: {error.__cause__ or error}"
        raise InputError(field, conf["_target_"], problem, remedy) from None
