"""Tests of ``native/``: the compiled extensions, and batches with real proofs."""
