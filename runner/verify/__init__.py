"""Checks a finished batch with no trust in the run that made it.

May import: codec, destination, errors, folder, model, plan, provers, signature, streams, untrusted.

Other rooms use:

- `checks.py`: every check of a batch's folder, in order.
- `verified.py`: the image ids that are trusted, and a batch that has passed every check.

Only this room uses:

- `__main__.py`: the command ``python -m runner.verify``.
- `record.py`: what of a batch's record follows from what is proved, compared with it.
- `claims.py`: what a batch's folder claims, read and well-formed but not yet verified.
"""
