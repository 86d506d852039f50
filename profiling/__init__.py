"""Shows where the time of a real batch goes, on the host and in the guests (``make profile``).

Files:

- `__main__.py`: the command ``python -m profiling``: profiles one run, writes graphs and tables.
- `target.py`: the process that is profiled: one run of the runner, with a sampler beside it.
- `engine.py`: the inline engine of that run, which shows on the stack what kind of proof runs.
- `sampler.py`: takes the Python stacks inside that process.
- `host.py`: runs ``perf`` around that process and reads what it recorded.
- `samples.py`: reads the text of ``perf`` and mends stacks that were cut short.
- `stacks.py`: joins native and Python stacks, and writes them as folded text.
- `guest.py`: cycles of a guest by function, with names from its ELF files.
- `tables.py`: the hot functions as Markdown tables.
- `flamegraph.py`: draws folded stacks with inferno.

It uses the runner. The runner does not know it, and it is not installed with the runner.
docs/profiling.md says how to read what it leaves.
"""
