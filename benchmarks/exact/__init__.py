"""Counts what can be counted exactly, so that a change in any figure is a decision.

Files:

- `__main__.py`: the command ``python -m benchmarks.exact``.
- `counts.py`: counts cycles, plan sizes, memory, synced files and receipt bytes.
- `record.py`: reads and writes ``exact.json``, and shows what differs from it.

``exact.json`` holds the figures that were accepted last. A test counts again and compares.
"""
