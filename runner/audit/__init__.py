"""The tamper-evident log of what runs did, and its check.

May import: errors, events, files, folder, locks, model, streams, text, threads, untrusted.

Other rooms use:

- `observer.py`: adds what happens to jobs and receipts to the trail of the run.
- `events.py`: what the log says about each event.
- `trail.py`: the events of one run on their way into the log.
- `check.py`: checks a log, and a batch's folder against its log.
- `log.py`: the log on disk, which runs side by side append to.

Only this room uses:

- `__main__.py`: the command ``python -m runner.audit``.
- `chain.py`: the chain of hashes: how a line is made, and how a log is checked.
"""
