"""Finished proofs on disk, shared by runs and verified before each use.

May import: errors, files, model.

Other rooms use:

- `proof_cache.py`: the cache itself: look up, keep, evict, quarantine.
- `keys.py`: the content address of a proof.
- `origins.py`: what the entries were made from, so that a miss can be explained.
- `view.py`: the cache as a dry run sees it: it is read and nothing in it changes.

Only this room uses:

- `store.py`: index and blobs together: opened, kept in step, repaired.
- `index.py`: the SQLite index: entries, their order of use, what they cost to make.
- `blobs.py`: the blob files, half-written ones, and those in quarantine.
"""
