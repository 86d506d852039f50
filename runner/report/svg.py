"""matplotlib figures as SVG inside a page: text stays text, and the page chooses the colours.

matplotlib draws in the colours below. In the SVG each of them becomes a CSS variable, so the page
decides how it looks in the light theme, in the dark theme and on paper. ``templates/base.html``
sets the variables.
"""

from __future__ import annotations

import functools
import hashlib
import io
import re
import warnings
from html import escape
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

__all__ = [
    "BACK",
    "CACHED",
    "CACHED_NAME",
    "GRID",
    "INK",
    "LEVELS",
    "LEVEL_NAMES",
    "MUTED",
    "ON_LEAF",
    "ON_OTHER",
    "SERIES",
    "figure",
    "plain",
    "styled",
    "svg",
]

INK, MUTED, GRID, BACK = "#1b1f24", "#5b6470", "#dde1e6", "#fefefe"

SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, which people with any kind of colour vision can tell apart."""

_LEVELS = (0, 4, 1, 3)
LEVELS = tuple(SERIES[number] for number in _LEVELS)
"""The colours of jobs: leaves, then aggregations by level; the last is for all higher levels."""

CACHED = SERIES[2]
"""The colour of receipts from the cache."""

ON_LEAF, ON_OTHER = "#fdfdfd", "#111111"
"""The colours of text on a leaf, whose own colour is dark, and of text on all other boxes."""

_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", BACK: "back", ON_LEAF: "on-leaf"} | {
    colour: f"series-{number}" for number, colour in enumerate(SERIES)
}

LEVEL_NAMES = tuple(_VARIABLES[colour] for colour in LEVELS)
CACHED_NAME = _VARIABLES[CACHED]
"""The names of those colours as CSS variables, for legends."""

_P = ParamSpec("_P")

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # Text stays text instead of becoming paths.
    "svg.hashsalt": "runner",  # The same figure always gives the same bytes.
    "text.parse_math": False,  # A dollar sign in a name is only a dollar sign.
    "font.size": 12,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "hatch.linewidth": 1,
}


def styled(draw: Callable[_P, Markup]) -> Callable[_P, Markup]:
    """Decorate a function that draws: matplotlib's artists take their style when they are made."""

    @functools.wraps(draw)
    def drawn(*args: _P.args, **kwargs: _P.kwargs) -> Markup:
        with mpl.rc_context(_STYLE), warnings.catch_warnings():
            # The browser's fonts have the glyphs that matplotlib's own font lacks.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            return draw(*args, **kwargs)

    return drawn


def figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """An empty figure, and its axes side by side.

    Args:
        width: the width in CSS pixels.
        height: the height in CSS pixels.
        columns: how many axes there are.
    """
    layout = ConstrainedLayoutEngine(w_pad=8 / 72, h_pad=4 / 72)
    made = Figure(figsize=(width / 72, height / 72), dpi=72, layout=layout)
    axes = made.subplots(1, columns, squeeze=False)[0]
    return made, list(axes)


def plain(axes: Axes, *, x: bool = True) -> None:
    """Remove what a chart of rows does not need: the frame and the horizontal grid.

    Args:
        axes: the axes to change.
        x: whether the line along the x axis is removed too.
    """
    for side in ("left", "bottom") if x else ("left",):
        axes.spines[side].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.tick_params(length=0)


def svg(made: Figure, title: str) -> Markup:
    """A figure as an ``<svg>`` element for a page.

    Args:
        made: the figure, made by :func:`figure`.
        title: a sentence about what the figure shows, for people who cannot see it.
    """
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    made.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    width, height = made.get_size_inches() * 72
    start = (
        f'<svg viewBox="0 0 {width:g} {height:g}" style="max-width: {width:g}px" role="img"'
        f' aria-label="{escape(title)}">'
    )
    text = re.sub(r"<svg[^>]*>", lambda _: start, text, count=1)
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font: \1 system-ui, sans-serif", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: system-ui, sans-serif", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r'(?<= d=)"[^"]*"', _shorter, text)
    # A page has several figures and its ids must be unique, so ids get a prefix of the figure's
    # own, and ids that nothing refers to are removed.
    own = hashlib.sha256(text.encode()).hexdigest()[:8]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda m: f' id="{own}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{own}-", text)
    return Markup(_coloured(text))  # noqa: S704  # matplotlib escapes texts


def _shorter(path: re.Match[str]) -> str:
    """A path whose coordinates are cut to a hundredth of a pixel."""
    return re.sub(r"(\.\d\d)\d+", r"\1", path[0]).replace("\n", "")


def _coloured(text: str) -> str:
    for colour, name in _VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return text
