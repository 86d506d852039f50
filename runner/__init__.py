"""Declarative batch runner for zero-knowledge proofs."""

import os as _os
import sys as _sys

__version__ = "0.1.0"

# `python -m` looks for every module in the working directory first, unless it is given -P. A file
# there that happens to be called `yaml.py` must not stand in for the library. The directory is
# looked at last instead of not at all, because adapters of the user's own may lie there.
if _sys.argv[0] == "-m" and not _sys.flags.safe_path:
    _parent = _os.path.dirname(_os.path.realpath(__path__[0]))  # noqa: PTH120  # pathlib loads late
    if _os.path.realpath(_sys.path[0]) != _parent:
        _sys.path.append(_sys.path.pop(0))
