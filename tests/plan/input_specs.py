"""Descriptions of inputs, and the leaves made from them."""

from __future__ import annotations

from runner.plan.fields import FieldSpec
from runner.plan.inputs import InputSpec, RangeSeries, TemplateSeries

REASON = "fibonacci(94) does not fit in 64 bits"
FIBONACCI = InputSpec((FieldSpec("n", "u32", max=93, reason=REASON),), (RangeSeries(modulo=94),))
SHA256 = InputSpec((FieldSpec("message", "bytes"),), (TemplateSeries("leaf-{i}"),))
PAIR = InputSpec((FieldSpec("n", "u64"), FieldSpec("flag", "bool"), FieldSpec("name", "string")))


def one(kind: str, low: int | None = None, high: int | None = None) -> InputSpec:
    return InputSpec((FieldSpec("x", kind, min=low, max=high),))
