"""Declarative batch runner for zero-knowledge proofs."""

__version__ = "0.1.0"
