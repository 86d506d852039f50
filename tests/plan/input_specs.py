"""Descriptions of inputs, and the leaves made from them."""

from __future__ import annotations

from runner.codec.reads import word_field
from runner.plan.inputs import InputSpec, RangeSeries, TemplateSeries

REASON = "fibonacci(94) does not fit in 64 bits"
FIBONACCI = InputSpec((word_field("n", "u32", max=93, reason=REASON),), (RangeSeries(modulo=94),))
SHA256 = InputSpec((word_field("message", "bytes"),), (TemplateSeries("leaf-{i}"),))
PAIR = InputSpec((word_field("n", "u64"), word_field("flag", "bool"), word_field("name", "string")))


def one(kind: str, low: int | None = None, high: int | None = None) -> InputSpec:
    return InputSpec((word_field("x", kind, min=low, max=high),))
