"""The tamper-evident log of what runs did, and its check.

May import: errors, events, files, folder, model.

Other rooms use:

- `events.py`: what the log says of each event.
- `trail.py`: the events of one run on their way into the log.
- `log.py`: the log on disk: appended to by runs side by side, and read back.

Only this room uses:

- `__main__.py`: the command ``python -m runner.audit``.
- `check.py`: checks a log, and a batch's folder against it.
- `chain.py`: the chain of hashes: how a line is made and checked.
"""
