"""The arithmetic of the savings model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.plan.savings_model import estimate, savings_percent


def test_hundred_proofs_in_one() -> None:
    model = estimate(100, 100)
    assert model.proofs_after == 1
    assert model.tps == pytest.approx(100_000 / 24.5)
    assert (model.size_before, model.size_after) == (21_500_000, 215_000)
    assert (model.gas_before, model.gas_after) == (30_000_000, 300_000)
    assert model.gas_savings_percent == model.size_savings_percent == pytest.approx(99)
    assert (model.verification_ms_before, model.verification_ms_after) == (2450, 24.5)


def test_without_aggregation_nothing_is_saved() -> None:
    model = estimate(5, 1)
    assert model.proofs_after == 5
    assert model.tps == pytest.approx(1000 / 24.5)
    assert model.gas_savings_percent == 0


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_the_formula(n: int, factor: int) -> None:
    model = estimate(n, factor)
    assert (model.proofs_after - 1) * factor < n <= model.proofs_after * factor
    assert model.tps == n * 1000 / (model.proofs_after * 24.5)
    assert 0 <= model.gas_savings_percent < 100


@pytest.mark.parametrize(("n", "factor"), [(0, 1), (1, 0), (-1, 1)])
def test_no_batch_no_figures(n: int, factor: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        estimate(n, factor)


def test_measured_savings() -> None:
    assert savings_percent(200, 50) == 75
    assert savings_percent(100, 100) == 0
    # A composite receipt grows, because it carries its children's receipts.
    assert savings_percent(629, 850) == pytest.approx(-35.135, abs=0.001)
    assert savings_percent(0, 0) == 0
    for before, after in ((0, 1), (-1, 0), (1, -1)):
        with pytest.raises(ValueError, match="no savings"):
            savings_percent(before, after)
