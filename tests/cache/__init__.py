"""Tests of ``runner/cache``: the proof cache, its keys, and the view of a dry run."""
