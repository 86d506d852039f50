"""Pages, tables and files for people and for other tools, made from what runs have left.

May import: consoles, destination, errors, files, folder, model, plan, streams, text, untrusted.

Other rooms use:

- `write.py`: writes the pages of runs and sweeps, and prints runs as a table.

Only this room uses:

- `__main__.py`: the command ``python -m runner.report``.
- `find.py`: finds the runs below folders, including those that left no result.
- `read.py`: reads a run back from its ``result.json``.
- `l1.py`: what became of a batch on an L1, read back from its ``l1.json``.
- `checked_json.py`: JSON from an untrusted source, checked on access.
- `figures.py`: the figures of runs side by side, and the settings in which they differ.
- `table.py`: runs side by side, as tables for a terminal.
- `export.py`: runs as CSV or Parquet, with one row per run.
- `leaves.py`: the leaves of a run, their inputs and journals, for the page and as CSV.
- `page.py`: the pages of runs and sweeps, each one HTML file.
- `charts.py`: charts of runs side by side.
- `run_charts.py`: charts of one run: its plan, and its jobs over time.
- `svg.py`: matplotlib figures as SVG inside a page.
"""
