"""The doctor: what this machine can prove, and what is missing.

May import: engines, errors, model, provers.

Only this room uses:

- `__main__.py`: the command ``python -m runner.doctor``.
- `diagnosis.py`: everything the doctor finds out, as values.
- `tools.py`: questions to the tools on the PATH, the processor, and the folders.
"""
