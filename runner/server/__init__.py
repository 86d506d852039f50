"""The status server: the figures of a textfile over HTTP, read only.

May import: errors, monitoring, plan, text.

Only this room uses:

- `__main__.py`: the command ``python -m runner.server``.
- `http.py`: sockets, limits on slow clients, and one thread a request.
- `site.py`: answers to paths, with no sockets.
- `pages.py`: ``/``: the status page for people.
- `headline.py`: the first line of that page: what is running, how the last run ended.
- `exposition.py`: ``/metrics``: the textfile's text with live gauges.
- `health.py`: ``/health``: the textfile and the live figures, judged.
"""
