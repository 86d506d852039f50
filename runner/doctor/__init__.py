"""The doctor, which finds out what this machine can prove and what is missing.

May import: engines, errors, model, provers, streams.

Only this room uses:

- `__main__.py`: the command ``python -m runner.doctor``.
- `diagnosis.py`: everything that the doctor finds out, as values.
- `tools.py`: the versions of tools on the PATH, the processor's name, and the state of folders.
"""
