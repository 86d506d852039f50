"""Compares two versions of the runner: is the second one slower?

Files:

- `__main__.py`: the command ``python -m benchmarks.compare``.
- `command.py`: reads and checks the command line, and checks out the versions that it names.
- `turns.py`: runs the suite on both versions in turn, and says which benchmarks are slower.
- `sides.py`: one version: its commit, its checkout, its extension, and one run of the suite on it.
- `gate.py`: judges the times of two versions by a bound for each group of benchmarks.
- `history.py`: the command ``python -m benchmarks.compare.history``, which draws saved runs.
"""
