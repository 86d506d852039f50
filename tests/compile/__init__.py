"""Tests of the room ``compile``."""
