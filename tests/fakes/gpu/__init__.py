"""Two modules that stand in for a GPU. A process that should see them puts this folder on its path.

``pynvml`` is a driver with one GPU, and ``runner_risc0_cuda`` proves with the CPU's extension.
"""
