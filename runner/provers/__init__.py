"""Guest programs, the zkVM adapters, and the proving of one job.

May import: errors, files, gpus, limits, model, text, untrusted.

Other rooms use:

- `prover.py`: the protocol of a zkVM adapter, and the loading of an adapter by its name.
- `guests.py`: compiled guests on disk and the manifest that pins them.
- `segments.py`: what a zkVM offers beyond it whose segments are proved one by one.
- `composing.py`: what a zkVM offers beyond it whose guests verify other programs' receipts.
- `committing.py`: what a zkVM offers beyond it whose image ids are made of commitments.
- `verifying.py`: the verification of one receipt, in whichever process.
- `worker.py`: what a worker does with one job: it verifies the children, proves, and verifies the
  proof.

Only this room uses:

- `part_worker.py`: the same for a part of a run of several segments.
- `native_module.py`: the errors of an adapter's native module, in the runner's terms.
- `gpu_extension.py`: whether an adapter's native module for GPUs works here, for the doctor.
- `risc0/`: the RISC Zero adapter, which alone imports ``runner_risc0``.
- `openvm/`: the OpenVM adapter, which alone imports ``runner_openvm``.
"""
