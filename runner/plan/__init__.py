"""What is to be proved, as plain values.

Nothing here has effects, except that ``input_file.py`` reads the file it is given.

May import: codec, errors, model, text, untrusted.

Other rooms use:

- `needs.py`: what leaves need of each other, and the order that follows from it.
- `plan.py`: the plan of a batch, a DAG of proof jobs, with its checks and its JSON form.
- `strategy.py`: the strategies: functions from the leaves of a batch to its plan.
- `inputs.py`: the inputs of a batch, from the config, a file or the guest's own series.
- `journal.py`: the aggregator's wire formats.
- `merkle.py`: the tree hash that binds an aggregated receipt to its leaves; inclusion proofs.
- `cost.py`: what an aggregation costs, and the cheapest grouping of a batch.
- `job_queue.py`: the jobs of a plan that wait, in the order in which they start.
- `time_left.py`: a model of how long the rest of a batch takes, over measured times.
- `savings_model.py`: the model of what aggregation should save, shown beside measured figures.

Only this room uses:

- `leaf_groups.py`: which leaf a machine takes next, so that aggregations have their bytes near.
- `input_file.py`: inputs from JSON lines or CSV, read one line at a time.
- `parts_left.py`: the work that is left of runs of several segments, for `time_left.py`.
"""
