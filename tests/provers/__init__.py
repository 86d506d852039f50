"""Tests of ``runner/provers``: the worker, and the adapters without their extensions."""
