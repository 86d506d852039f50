"""Tests of `runner/evm`."""
