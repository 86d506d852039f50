"""Tests of ``runner/verify``: honest folders and folders that were tampered with."""
