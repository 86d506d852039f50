"""Wrong uses of metrics that a type checker refuses.

Each ``type: ignore`` below names the error that mypy gives there, and mypy also reports an ignore
that is not needed. A wrong use that mypy no longer refuses is therefore an error of ``make lint``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runner.metric_table import (
    CACHE_HITS,
    GUEST_CYCLES,
    PROOF_GENERATION_DURATION_SECONDS,
    RECEIPT_BYTES,
    TPS_AVERAGE,
    TPS_CURRENT,
)
from runner.metrics import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.monitoring.ledger import Ledger

REFUSED: dict[str, Callable[[Recorder], object]] = {
    "a name": lambda r: r.inc("l2_cache_hits_total"),  # type: ignore[arg-type]
    "inc of a gauge": lambda r: r.inc(TPS_CURRENT),  # type: ignore[arg-type]
    "set of a counter": lambda r: r.set(CACHE_HITS, 1),  # type: ignore[arg-type]
    "set of a quotient": lambda r: r.set(TPS_AVERAGE, 1),  # type: ignore[arg-type]
    "observe of a counter": lambda r: r.observe(CACHE_HITS, 1),  # type: ignore[arg-type]
    "no value": lambda r: r.set(TPS_CURRENT),  # type: ignore[call-arg]
    "a label too many": lambda r: r.inc(CACHE_HITS, kind="x"),  # type: ignore[call-arg]
    "a missing label": lambda r: r.inc(GUEST_CYCLES, 1, guest="g"),  # type: ignore[call-arg]
    "all labels missing": lambda r: r.inc(GUEST_CYCLES),  # type: ignore[call-arg]
    "another label": lambda r: r.inc(GUEST_CYCLES, guest="g", kind="user"),  # type: ignore[call-arg]
    "a misspelt label": lambda r: r.value(RECEIPT_BYTES, stag="after"),  # type: ignore[call-arg]
    "labels by position": lambda r: r.inc(GUEST_CYCLES, 1, "g", "user"),  # type: ignore[call-arg]
    "expect without labels": lambda r: r.expect(PROOF_GENERATION_DURATION_SECONDS),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("use", REFUSED.values(), ids=REFUSED)
def test_a_wrong_use_is_also_refused_where_nothing_is_checked(
    use: Callable[[Recorder], object],
) -> None:
    recorder = Recorder()
    with pytest.raises((ValueError, TypeError, AttributeError)):
        use(recorder)
    assert recorder.render() == Recorder().render()


def never_called(recorder: Recorder, ledger: Ledger) -> None:
    """Uses that only a type checker refuses."""
    recorder.inc(GUEST_CYCLES, guest="g", type="idle")  # type: ignore[arg-type]
    recorder.set(RECEIPT_BYTES, 1, stage="during")  # type: ignore[arg-type]
    recorder.inc(GUEST_CYCLES, guest=1, type="user")  # type: ignore[arg-type]
    ledger.count(TPS_CURRENT)  # type: ignore[arg-type]
    ledger.count(CACHE_HITS, kind="x")  # type: ignore[call-arg]
