"""Tests of ``runner/cli``: the command line, its configuration, and sweeps."""
