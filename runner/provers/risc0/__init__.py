"""The RISC Zero adapter (``adapter.py``) and what an aggregation costs it (``cost.py``)."""
