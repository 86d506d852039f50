"""Signatures on finished batches, which OpenSSH makes and checks.

A signature covers ``SHA256SUMS`` and stands beside it as ``SHA256SUMS.sig``. The sums name
``result.json``, and ``result.json`` names the last line of the run in the audit log, so one
signature covers them all.

May import: errors, files, folder, model, untrusted.

Other rooms use:

- `sign.py`: signs a batch, once its files hold.
- `check.py`: checks the signature of a batch against the signers that the user trusts.

Only this room uses:

- `ssh_keygen.py`: runs ``ssh-keygen``, which reads the keys and does the cryptography.
"""
