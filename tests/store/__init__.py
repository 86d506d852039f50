"""Tests of ``runner/store``: places of several kinds, a real S3 server, and its failures."""
