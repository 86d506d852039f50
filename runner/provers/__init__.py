"""Guest programs, the zkVM adapters, and how one job is proved.

May import: errors, files, model.

Other rooms use:

- `prover.py`: the protocol of a zkVM adapter, and how an adapter is loaded by its name.
- `guests.py`: compiled guests on disk and the manifest that pins them.
- `worker.py`: what a worker does with one job: verify its children, prove, verify the proof.

Only this room uses:

- `risc0/`: the RISC Zero adapter, the only importer of ``runner_risc0``.
- `openvm/`: the OpenVM adapter, the only importer of ``runner_openvm``.
"""
