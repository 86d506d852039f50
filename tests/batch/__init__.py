"""Tests of ``runner/batch``: whole runs and dry runs with the fake prover."""
