"""The doctor, which finds out what this machine can prove and what is missing.

May import: alerts, consoles, errors, files, gpus, limits, model, provers, streams, text.

Only this room uses:

- `__main__.py`: the command ``python -m runner.doctor``.
- `diagnosis.py`: everything that the doctor finds out, as values.
- `gpus.py`: the GPUs that the NVIDIA driver shows to this process.
- `tools.py`: the versions of tools on the PATH, the processor's name, and the state of folders.
"""
