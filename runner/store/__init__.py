"""A store of artifacts that machines share: guests, key files and receipts, by their digests.

May import: errors, files, text, threads, untrusted.

Other rooms use:

- `place.py`: the protocol of a place with named entries, and the one behind every URL of fsspec.
- `artifacts.py`: blobs by their digests in a place, compared with the digest at every read.
- `keep.py`: blobs on this machine's own disk, so that each is fetched once.
- `sweep.py`: keeps the bound of a place that many write to.
"""
