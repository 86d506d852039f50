"""Panels about what aggregation saves, and what the L1 takes for it."""

from __future__ import annotations

from runner.alerts.panels import TARGET, Panel, Query, gained, quantile
from runner.alerts.styles import BARS, PLAIN, STEPS, totals

__all__ = ["L1", "SAVINGS"]

SAVINGS = (
    Panel("Gas savings (model, not measured)", (Query("l2_gas_savings_percent@"),), style=STEPS),
    Panel(
        "Proof size savings (measured)",
        (Query("l2_proof_size_savings_percent@"),),
        style=STEPS,
    ),
    Panel("Receipt sizes", (Query("l2_receipt_bytes@", f"{{{{stage}}}} {TARGET}"),), style=STEPS),
)

L1 = (
    Panel(
        "L1 gas a submission",
        (
            Query(
                f"{gained('l2_l1_submission_gas_used')} / {gained('l2_l1_submissions_total')}",
                "gas a submission",
            ),
        ),
        width=8,
        unit="short",
        empty="nothing was submitted",
    ),
    totals(
        "L1 submissions",
        8,
        {
            "l2_l1_submissions_total": "submissions",
            "l2_l1_submission_gas_used": "gas",
            "l2_l1_fees_eth_total": "ETH paid",
        },
    ),
    Panel(
        "L1 gas savings (measured)",
        (Query("l2_l1_measured_gas_savings_ratio@"),),
        width=8,
        unit="percentunit",
        style=STEPS,
        note="The last batch's transaction against its leaves one by one, by the node's estimates.",
    ),
    Panel(
        "Batches by state",
        (Query("l2_l1_batches@", f"{{{{state}}}} {TARGET}"),),
        width=8,
        unit="short",
        style=STEPS,
    ),
    Panel(
        "95 of 100 are sooner in a block, or confirmed",
        (
            Query(quantile("l2_l1_inclusion_seconds"), "in a block"),
            Query(quantile("l2_l1_confirmation_seconds"), "confirmed"),
        ),
        "bargauge",
        8,
        unit="s",
        note="Over the time shown, within the histogram's buckets.",
    ),
    Panel(
        "Price of gas",
        (
            Query("l2_l1_base_fee_gwei@", f"base fee {TARGET}"),
            Query("l2_l1_effective_gas_price_gwei@", f"paid {TARGET}"),
        ),
        width=8,
        unit="short",
        style=STEPS,
        note="In gwei, at the last look.",
    ),
    Panel(
        "What went wrong per interval",
        (
            Query(gained("l2_l1_failures_total", "reason"), "{{reason}}"),
            Query(gained("l2_l1_reverts_total"), "reverted in a block"),
            Query(gained("l2_l1_reorgs_total"), "reorganised"),
            Query(gained("l2_l1_fee_bumps_total"), "fees raised"),
            Query(gained("l2_l1_rpc_errors_total", "reason"), "node: {{reason}}"),
        ),
        width=8,
        style=BARS,
    ),
    Panel(
        "Balance, ETH",
        (Query("l2_l1_balance_eth@"),),
        "stat",
        4,
        unit="short",
        options=PLAIN,
    ),
    Panel(
        "Since the last confirmation",
        (Query("time() - (l2_l1_last_confirmation_timestamp_seconds@ > 0)"),),
        "stat",
        4,
        unit="s",
        empty="none yet",
        options=PLAIN,
    ),
    Panel(
        "Oldest that waits",
        (Query("time() - (l2_l1_oldest_open_timestamp_seconds@ > 0)"),),
        "stat",
        4,
        unit="s",
        empty="none waits",
        options=PLAIN,
    ),
    Panel(
        "Since the last look",
        (Query("time() - (l2_l1_last_look_timestamp_seconds@ > 0)"),),
        "stat",
        4,
        unit="s",
        empty="never looked",
        options=PLAIN,
    ),
)
