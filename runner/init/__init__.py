"""Makes a project of the user's own: a guest with a test, its configuration, inputs and a CI file.

May import: errors, files, streams.

Only this room uses:

- `__main__.py`: the command ``python -m runner.init``.
"""
