"""The RISC Zero adapter (``adapter.py``) and its cost model of an aggregation (``cost.py``)."""
