"""The status server: the figures of a textfile over HTTP, read only.

May import: errors, metric_table, monitoring, plan, streams, text, untrusted.

Only this room uses:

- `__main__.py`: the command ``python -m runner.server``.
- `http.py`: the HTTP server: sockets, limits on slow clients, and a thread per client.
- `site.py`: the response to each path, without sockets.
- `pages.py`: ``/``: the status page for people.
- `headline.py`: the first line of that page: what is running and how the last run ended.
- `exposition.py`: ``/metrics``: the textfile's text with live gauges.
- `health.py`: ``/health``: what the textfile and the live figures say about the last run.
"""
