"""Tests of ``runner/signature`` and of the commands that use it, with keys made by ssh-keygen."""
