"""The user's own ``conf/`` in the working folder, whose files are found beside the shipped ones.

A file there adds a guest, a strategy, an experiment and so on. It does not replace a shipped one,
because a name would then mean something else in each folder, and a batch could not be repeated
from its command.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.plugins import Plugins
from hydra.plugins.search_path_plugin import SearchPathPlugin

from runner.errors import InputError
from runner.files import SHIPPED

if TYPE_CHECKING:
    from hydra.core.config_search_path import ConfigSearchPath

__all__ = ["CONF", "add_to_search_path"]

CONF = SHIPPED / "conf"
"""The configuration that comes with the runner."""

_FOLDER = "conf"


class _ProjectConf(SearchPathPlugin):
    """Adds the user's folder to where Hydra looks for files.

    It is registered by :func:`add_to_search_path` and does not stand in ``hydra_plugins``, so that
    other programs with Hydra in the same environment do not see the folder.
    """

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Append the folder, if there is one."""
        folder = _own()
        if folder is not None:
            search_path.append("project", f"file://{folder}")


def add_to_search_path() -> None:
    """Let Hydra find the files in ``conf/`` of the working folder, if it has such a folder.

    Raises:
        InputError: A file there has the name of a shipped one.
    """
    folder = _own()
    if folder is not None:
        _refuse_doubles(folder)
    Plugins.instance().register(_ProjectConf)


def _own() -> Path | None:
    try:
        folder = Path.cwd() / _FOLDER
        return folder if folder.is_dir() and not folder.samefile(CONF) else None
    except OSError:  # a working folder that was deleted, or that this user may not enter
        return None


def _refuse_doubles(folder: Path) -> None:
    for shipped in sorted(CONF.glob("*/**/*.yaml")):
        name = shipped.relative_to(CONF)
        # The alerts have a reader of their own, in which a project's file replaces the shipped one.
        if name.parts[0] != "alerts" and (folder / name).is_file():
            raise InputError(
                str(Path(_FOLDER, name)),
                name.stem,
                "the runner ships a file of this name",
                "give the file another name",
            )
