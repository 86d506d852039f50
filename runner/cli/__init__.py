"""The command line: all that knows Hydra.

May import: batch, cache, engines, errors, executor, files, folder, metrics, model, monitoring,
plan, provers, report, text.

Other rooms use:

- `command.py`: the command ``python -m runner``.
- `sweepers.py`: the sweepers ``grid`` and ``optuna``, which Hydra loads.

Only this room uses:

- `config.py`: from Hydra's config to plain, checked settings.
- `schema.py`: the schema of ``conf/``: names, types, defaults.
- `session.py`: what callbacks, sweepers and the job leave for the command, in one object.
- `errors.py`: Hydra's errors as one line with field, value and remedy.
- `sweep.py`: a sweep as plain values: what is done, what is left, what became of it.
- `sweep_jobs.py`: launches the missing jobs of a sweep and keeps its record.
- `sweep_report.py`: the Hydra callback that leaves a report beside a sweep's runs.
- `search.py`: a search for the settings with the least wall time, by Optuna.
"""
