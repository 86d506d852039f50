"""The RISC Zero adapter.

``adapter.py`` is the adapter, ``cost.py`` its cost model of an aggregation, and ``gpu.py`` a
worker's place on a GPU.
"""
