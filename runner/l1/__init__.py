"""Brings the root of a verified batch onto an L1, once, and says what has become of it.

May import: errors, evm, files, folder, model, plan, text, verify.

Only this room uses:

- `__main__.py`: the command ``python -m runner.l1``.
- `batch.py`: what a finished batch submits, once every check of it has passed.
- `engine.py`: the transaction engine, which loses no transaction and sends none twice.
- `fees.py`: what a transaction offers for a unit of gas.
- `gas.py`: what a batch costs on the chain, and what its leaves would have cost one by one.
- `observer.py`: looks at the chain for what has become of a submission.
- `record.py`: the record of a batch on an L1.
- `session.py`: wires a submission from its settings.
- `settings.py`: the settings, checked.
- `store.py`: submissions and their transactions on disk.
- `submission.py`: what is submitted and what has become of it, as plain values.
"""
