"""Tests of `runner/l1`, most of them on a real node."""
