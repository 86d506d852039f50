"""The command line, which is all of the runner that knows Hydra.

May import: batch, cache, codec, engines, errors, executor, files, folder, l1, lifeline, locks,
metrics, model, monitoring, plan, provers, report, stopping, store, streams, text, untrusted.

Other rooms use:

- `command.py`: the command ``python -m runner``.
- `sweepers.py`: the sweepers ``grid`` and ``optuna``, which Hydra loads.

Only this room uses:

- `flags.py`: the flags that Hydra does not have: `--quiet`, `-q`, and `--version` for our own.
- `config.py`: turns Hydra's config into plain, checked settings.
- `metrics_config.py`: the part of that which is about metrics.
- `targets.py`: makes the engine and the cache that the config names by ``_target_``.
- `piped.py`: inputs from a pipe, which are copied into a file first.
- `paths.py`: the settings that are paths, and what `~` stands for in them.
- `project.py`: the user's own ``conf/``, whose files are found beside the shipped ones.
- `schema.py`: the schema of ``conf/``: names, types, defaults.
- `unknown.py`: refuses settings that the schema does not know, and finds the nearest known name.
- `session.py`: what callbacks, sweepers and the job leave for the command, in one object.
- `errors.py`: turns Hydra's errors into one line with the field, the value and the remedy.
- `sweep.py`: a sweep as plain values: which jobs are done, their folders, how each ended.
- `sweep_jobs.py`: launches the missing jobs of a sweep and keeps its record.
- `sweep_report.py`: the Hydra callback that leaves a report beside a sweep's runs.
- `search.py`: a search for the settings with the least wall time, by Optuna.
"""
