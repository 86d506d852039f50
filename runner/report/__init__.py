"""Pages, tables and files for people and other tools, from what runs have left.

May import: errors, files, folder, plan.

Other rooms use:

- `write.py`: writes the pages of runs and sweeps, and prints their table.

Only this room uses:

- `__main__.py`: the command ``python -m runner.report``.
- `find.py`: finds runs below folders, also those that left no result.
- `read.py`: reads a run back from its ``result.json``.
- `untrusted.py`: JSON from anybody: every value is checked when it is taken.
- `figures.py`: the figures of runs side by side, and the settings in which they differ.
- `table.py`: runs side by side on a terminal.
- `export.py`: runs as CSV or Parquet, one row a run.
- `page.py`: one HTML file that loads nothing from anywhere.
- `charts.py`: charts over many runs.
- `run_charts.py`: charts of one run: its plan, its jobs over time.
- `svg.py`: matplotlib figures as SVG inside a page.
"""
