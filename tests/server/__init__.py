"""Tests of ``runner/server``: the status server over HTTP and in a browser."""
