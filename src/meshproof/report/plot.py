"""Curves that are no lines over time: drawn as SVG when the page is written, so that they need no script and print as they are.

Colours are those of the page's style sheet; lines differ by their dashes and points by their forms as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from meshproof.report.markup import Child, Markup, el

WIDTH: Final = 640
HEIGHT: Final = 330
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 14, 44
DASHES: Final = ("", "7 3", "2 3", "9 3 2 3")
TICKS: Final = 5
SPARK: Final = (150, 30)


@dataclass(frozen=True)
class Curve:
    """One row of points; `form` is that of its marks."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    form: Literal["dot", "square", "ring", "none"] = "dot"
    line: bool = True
    dash: int = 0


@dataclass(frozen=True)
class Ribbon:
    """An interval along the x axis: (x, low, high)."""

    label: str
    points: Sequence[tuple[float, float, float]]
    colour: int = 0


@dataclass(frozen=True)
class Plot:
    """Axes and what is drawn on them."""

    x: str
    y: str
    curves: Sequence[Curve]
    ribbons: Sequence[Ribbon] = ()
    marks: Sequence[tuple[float, str]] = ()
    """Where on the x axis something is, with its name."""
    log_x: bool = False


def draw(plot: Plot) -> Markup:
    """The plot with its key, as a figure's content."""
    xs = [x for curve in plot.curves for x, _ in curve.points] + [
        x for ribbon in plot.ribbons for x, *_ in ribbon.points
    ]
    ys = [y for curve in plot.curves for _, y in curve.points] + [
        high for ribbon in plot.ribbons for *_, high in ribbon.points
    ]
    if not xs:
        return el("p", "There is nothing to draw.", class_="note")
    across = _scale(min(xs) if plot.log_x else 0.0, max(xs), LEFT, WIDTH - RIGHT, log=plot.log_x)
    highest = max(ys) * 1.08 or 1.0
    lowest = min(0.0, *ys)
    upward = _scale(lowest, highest, HEIGHT - BOTTOM, TOP)
    inside = [
        *_grid(plot, across, upward, (min(xs), max(xs)), (lowest, highest)),
        *(_ribbon(ribbon, across, upward) for ribbon in plot.ribbons),
        *(_mark(at, label, across) for at, label in plot.marks),
        *(_curve(curve, across, upward) for curve in plot.curves),
    ]
    said = "; ".join(f"{curve.label}: {len(curve.points)} points" for curve in plot.curves)
    picture = el(
        "svg",
        inside,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{plot.y} over {plot.x}: {said}",
        class_="curves",
    )
    return el("div", picture, _key(plot))


def spark(points: Sequence[tuple[float, float]]) -> Markup:
    """A row of points as small as a word, from its least to its greatest."""
    if len(points) < 2:
        return el("span", "–")
    low, high = min(y for _, y in points), max(y for _, y in points)
    across = _scale(points[0][0], points[-1][0], 2, SPARK[0] - 2)
    upward = _scale(low, high, SPARK[1] - 3, 3)
    path = "M" + "L".join(f"{across(x):.1f} {upward(y):.1f}" for x, y in points)
    line = el("path", d=path, fill="none", stroke="var(--c0)", stroke_width=1.5)
    said = f"from {_short(points[0][1])} to {_short(points[-1][1])}, between {_short(low)} and {_short(high)}"
    return el("svg", el("title", said), line, width=SPARK[0], height=SPARK[1], role="img", aria_label=said)


def _scale(low: float, high: float, first: float, last: float, *, log: bool = False) -> Callable[[float], float]:
    if log:
        low, high = math.log(low), math.log(high)
    span = high - low or 1.0
    return lambda value: first + ((math.log(value) if log else value) - low) / span * (last - first)


def _grid(
    plot: Plot,
    across: Callable[[float], float],
    upward: Callable[[float], float],
    x: tuple[float, float],
    y: tuple[float, float],
) -> Iterable[Markup]:
    for value in ticks(*y):
        at = upward(value)
        yield el("line", x1=LEFT, x2=WIDTH - RIGHT, y1=round(at, 1), y2=round(at, 1), class_="grid")
        yield el("text", _short(value), x=LEFT - 8, y=round(at + 4, 1), text_anchor="end")
    places = _doublings(*x) if plot.log_x else [value for value in ticks(0.0, x[1]) if value <= x[1]]
    for value in places:
        at = across(value)
        yield el("line", x1=round(at, 1), x2=round(at, 1), y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM + 4, class_="grid")
        yield el("text", _short(value), x=round(at, 1), y=HEIGHT - BOTTOM + 17, text_anchor="middle")
    yield el("text", plot.x, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 8, text_anchor="middle", class_="axis")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    yield el("text", plot.y, x=14, y=middle, text_anchor="middle", class_="axis", transform=f"rotate(-90 14 {middle})")


def _curve(curve: Curve, across: Callable[[float], float], upward: Callable[[float], float]) -> list[Markup]:
    at = [(round(across(x), 1), round(upward(y), 1)) for x, y in curve.points]
    colour = f"var(--c{curve.colour})"
    drawn = []
    if curve.line and len(at) > 1:
        path = "M" + "L".join(f"{x} {y}" for x, y in at)
        drawn.append(
            el("path", d=path, fill="none", stroke=colour, stroke_width=2, stroke_dasharray=DASHES[curve.dash] or None)
        )
    return drawn + [_point(x, y, curve.form, colour) for x, y in at if curve.form != "none"]


def _point(x: float, y: float, form: str, colour: str) -> Markup:
    if form == "square":
        return el("rect", x=x - 4, y=y - 4, width=8, height=8, fill=colour)
    ring = form == "ring"
    fill = "var(--card)" if ring else colour
    return el("circle", cx=x, cy=y, r=5.5 if ring else 4, fill=fill, stroke=colour, stroke_width=2.5 if ring else 0)


def _ribbon(ribbon: Ribbon, across: Callable[[float], float], upward: Callable[[float], float]) -> Markup:
    there = [(round(across(x), 1), round(upward(high), 1)) for x, _, high in ribbon.points]
    back = [(round(across(x), 1), round(upward(low), 1)) for x, low, _ in reversed(ribbon.points)]
    path = "M" + "L".join(f"{x} {y}" for x, y in there + back) + "Z"
    return el("path", d=path, fill=f"var(--c{ribbon.colour})", fill_opacity=0.16)


def _mark(at: float, label: str, across: Callable[[float], float]) -> list[Markup]:
    x = round(across(at), 1)
    beyond = x > WIDTH * 0.72
    return [
        el("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="mark-line"),
        el("text", label, x=x - 5 if beyond else x + 5, y=TOP + 10, text_anchor="end" if beyond else "start"),
    ]


def _key(plot: Plot) -> Markup:
    parts: list[Child] = []
    for curve in plot.curves:
        colour = f"var(--c{curve.colour})"
        line = el(
            "line", x1=0, x2=26, y1=6, y2=6, stroke=colour, stroke_width=2, stroke_dasharray=DASHES[curve.dash] or None
        )
        shown = [line if curve.line else None, _point(13, 6, curve.form, colour) if curve.form != "none" else None]
        parts.append(el("span", el("svg", shown, width=26, height=12, aria_hidden="true"), " ", curve.label))
    for ribbon in plot.ribbons:
        patch = el("rect", x=0, y=1, width=26, height=10, fill=f"var(--c{ribbon.colour})", fill_opacity=0.2)
        parts.append(el("span", el("svg", patch, width=26, height=12, aria_hidden="true"), " ", ribbon.label))
    return el("p", parts, class_="curve-key")


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high: about five of them."""
    if high <= low:
        return [low]
    raw = (high - low) / TICKS
    size = 10 ** math.floor(math.log10(raw))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= raw * 0.999)
    first = math.ceil(low / step)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _doublings(low: float, high: float) -> list[float]:
    places = [low]
    while places[-1] * 2 <= high * 1.01:
        places.append(places[-1] * 2)
    return places


def _short(value: float) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1_000:,.4g}k"
    return f"{value:,.4g}"
