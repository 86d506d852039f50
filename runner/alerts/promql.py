"""What a PromQL expression names, and whether that fits the metric table.

This is no full parser: Prometheus itself says whether an expression is valid
(``promtool check rules``). This module finds what Prometheus cannot know: a metric or a label that
does not exist, a label value that is never set, ``rate()`` of a gauge, or an average over time of a
counter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runner.metric_kinds import Metric

__all__ = ["Expression", "Matcher", "Reference", "problems", "read"]

_TOKEN = re.compile(
    r"""(?P<skip>\s+|\#[^\n]*)
    |(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<range>\[[^\]]*\])
    |(?P<number>\d[\w.]*(?:[eE][-+]\d+)?)
    |(?P<name>[a-zA-Z_:][\w:]*)
    |(?P<sign>==|!=|>=|<=|=~|!~|[-+*/%^<>=(){},@])
    """,
    re.VERBOSE,
)
_GROUPINGS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_KEYWORDS = {*_GROUPINGS, "and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"}

_OF_COUNTERS = {"rate", "irate", "increase", "resets"}
_OF_GAUGES = {
    *(f"{name}_over_time" for name in ("avg", "min", "max", "sum", "quantile", "stddev", "stdvar")),
    *("delta", "idelta", "deriv", "predict_linear", "holt_winters"),
}
_OF_BOTH = {
    *(f"{name}_over_time" for name in ("last", "count", "present", "absent")),
    "changes",
}
_OF_RANGES = _OF_COUNTERS | _OF_GAUGES | _OF_BOTH

_SIGNS = {"=", "!=", "=~", "!~"}

_TARGET_LABELS = {"job", "instance"}
"""The labels that Prometheus puts on every series, so that any expression may use them."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A label matcher: one condition in the braces after a metric.

    Attributes:
        label: the label that is compared.
        sign: the operator: ``=``, ``!=``, ``=~`` or ``!~``.
        value: the value on the right, without its quotes.
    """

    label: str
    sign: str
    value: str


@dataclass(frozen=True, slots=True)
class Reference:
    """One use of a metric in an expression.

    Attributes:
        name: the name of the time series.
        matchers: the label matchers in the braces after it.
        range: the range with its square brackets; empty if there is none.
        function: the innermost function that is called on it; empty if there is none.
    """

    name: str
    matchers: tuple[Matcher, ...]
    range: str
    function: str


@dataclass(frozen=True, slots=True)
class Expression:
    """The names that an expression uses.

    Attributes:
        references: the uses of metrics, in the order of the text.
        grouping: the labels of ``by``, ``without``, ``on`` and the like.
        functions: the names of all functions that are called.
    """

    references: tuple[Reference, ...]
    grouping: frozenset[str]
    functions: frozenset[str]


def read(text: str) -> Expression:
    """The names that an expression uses.

    Args:
        text: the expression in PromQL.

    Raises:
        ValueError: the expression is not PromQL, as far as this module can tell.
    """
    return _Reader(text).read()


def problems(text: str, metrics: Iterable[Metric]) -> list[str]:
    """What is wrong with an expression; the list is empty if it fits the table.

    Args:
        text: the expression in PromQL.
        metrics: the metrics that the expression may name.
    """
    table = {series: metric for metric in metrics for series in metric.series()}
    try:
        expression = read(text)
    except ValueError as error:
        return [str(error)]
    found = []
    known = set(_TARGET_LABELS)
    if not expression.references:
        found.append("names no metric")
    for reference in expression.references:
        metric = table.get(reference.name)
        if metric is None:
            found.append(f"no metric {reference.name} in the table")
            continue
        labels = {*metric.labels, *_TARGET_LABELS}
        if reference.name.endswith("_bucket") and metric.type == "histogram":
            labels.add("le")
        known |= labels
        found += _matcher_problems(reference, metric, labels)
        found += _function_problems(reference, metric)
    if unknown := sorted(expression.grouping - known):
        found.append(f"groups by {', '.join(unknown)}, which none of its metrics has")
    grouped = expression.grouping
    if "histogram_quantile" in expression.functions and grouped and "le" not in grouped:
        found.append("histogram_quantile needs the label le: add it to by (...)")
    return found


def _matcher_problems(reference: Reference, metric: Metric, labels: set[str]) -> Iterator[str]:
    for matcher in reference.matchers:
        if matcher.label not in labels:
            yield f"{reference.name} has no label {matcher.label}"
            continue
        values = metric.labels.get(matcher.label, ())
        if matcher.sign in {"=", "!="} and values and matcher.value not in values:
            yield f"{reference.name}: {matcher.label} is never {matcher.value!r}"


def _function_problems(reference: Reference, metric: Metric) -> Iterator[str]:
    function, name = reference.function, reference.name
    ranged = function in _OF_RANGES
    if ranged != bool(reference.range):
        yield f"{name}: {function or 'no function'} with{'' if reference.range else 'out'} a range"
    elif function in _OF_COUNTERS and metric.type == "gauge":
        yield f"{name} is a gauge: {function}() is for counters"
    elif function in _OF_GAUGES and metric.type != "gauge":
        yield f"{name} is a {metric.type}: {function}() is for gauges"


class _Reader:
    """One pass over the tokens of an expression."""

    def __init__(self, text: str) -> None:
        self._tokens = [*_tokens(text), ("end", "")]
        self._at = 0
        self._calls: list[str] = []
        """The function that each open bracket belongs to; empty for a bracket that only groups."""
        self._references: list[Reference] = []
        self._grouping: set[str] = set()
        self._functions: set[str] = set()

    def read(self) -> Expression:
        while self._kind != "end":
            if self._kind == "name":
                self._name()
            else:
                self._sign()
        if self._calls:
            raise ValueError("a bracket is not closed")
        return Expression(
            tuple(self._references), frozenset(self._grouping), frozenset(self._functions)
        )

    @property
    def _kind(self) -> str:
        return self._tokens[self._at][0]

    def _ahead(self, text: str) -> bool:
        return self._tokens[self._at][1] == text

    def _next(self) -> str:
        word = self._tokens[self._at][1]
        self._at += self._kind != "end"
        return word

    def _sign(self) -> None:
        sign = self._next()
        if sign == "(":
            self._calls.append("")
        elif sign == ")":
            if not self._calls:
                raise ValueError("a bracket is closed that was not opened")
            self._calls.pop()
        elif sign in ("{", "}"):
            raise ValueError("conditions in braces need a metric's name before them")

    def _name(self) -> None:
        name = self._next()
        if name.lower() in _GROUPINGS:
            self._labels()
        elif name.lower() in _KEYWORDS:
            return
        elif self._ahead("("):
            self._functions.add(name)
            self._calls.append(name)
            self._next()
        elif self._ahead("by") or self._ahead("without"):
            self._functions.add(name)
        else:
            matchers = self._matchers()
            window = self._next() if self._kind == "range" else ""
            function = self._calls[-1] if self._calls else ""
            self._references.append(Reference(name, matchers, window, function))

    def _labels(self) -> None:
        """Read the list of labels in brackets, which ``group_left`` may lack."""
        if not self._ahead("("):
            return
        self._next()
        while not self._ahead(")"):
            if self._kind == "name":
                self._grouping.add(self._next())
            elif self._next() != ",":
                raise ValueError("a list of labels is not closed")
        self._next()

    def _matchers(self) -> tuple[Matcher, ...]:
        """Read the label matchers in braces, if there are any."""
        found: list[Matcher] = []
        if not self._ahead("{"):
            return ()
        self._next()
        while not self._ahead("}"):
            label, sign = self._next(), self._next()
            if self._kind != "string" or sign not in _SIGNS or not label:
                raise ValueError("a condition in braces cannot be read")
            found.append(Matcher(label, sign, self._next()[1:-1]))
            if self._ahead(","):
                self._next()
        self._next()
        return tuple(found)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"cannot be read from {text[at : at + 20]!r} on")
        at = match.end()
        kind = match.lastgroup or ""
        if kind != "skip":
            yield kind, match.group()
