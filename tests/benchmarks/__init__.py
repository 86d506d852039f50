"""Tests of ``benchmarks/``: the suite, the comparison, the exact counts and the history."""
