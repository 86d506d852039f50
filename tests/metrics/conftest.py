"""A recorder in which something has happened."""

from __future__ import annotations

import pytest

from runner.metric_table import METRICS
from runner.metrics import Recorder
from tests.metrics.recorders import move


@pytest.fixture
def busy() -> Recorder:
    """A recorder in which every metric has moved."""
    recorder = Recorder()
    for number, metric in enumerate(METRICS, start=1):
        labels = {label: (initial or ("some",))[0] for label, initial in metric.labels.items()}
        move(recorder, metric, number, labels)
    return recorder
