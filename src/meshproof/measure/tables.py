"""A comparison and a history on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from meshproof.measure import metrics
from meshproof.measure.changes import Change
from meshproof.measure.compare import CONFIDENCE, ROUNDS_MIN, Compared, Comparison, Word
from meshproof.measure.history import Run, Series
from meshproof.measure.metrics import Better

STYLES: Final = {Word.BETTER: "bold green", Word.WORSE: "bold red", Word.SAME: "dim", Word.TOO_FEW: "yellow"}
ORDER: Final = (Word.WORSE, Word.BETTER, Word.SAME, Word.TOO_FEW)
BARS: Final = "▁▂▃▄▅▆▇█"
POINTS_MAX: Final = 60


def comparison(told: Comparison) -> RenderableType:
    """Every figure, and in one line what came of it."""
    grid = _grid("figure", "A", "B", "verdict", "B to A", f"{CONFIDENCE:.0%} interval", "rounds")
    for one in sorted(told.figures, key=lambda one: (ORDER.index(one.word), one.metric)):
        a, b = one.rounds
        grid.add_row(
            one.metric,
            metrics.shown(one.metric, one.a),
            metrics.shown(one.metric, one.b),
            Text(one.word, STYLES[one.word]),
            change(one),
            interval(one),
            f"{a}" if a == b else f"{a}, {b}",
        )
    notes = [Text(f"! {note}", "yellow") for note in told.notes]
    return Group(grid, Text(), *notes, conclusion(told))


def change(one: Compared) -> str:
    """By how much it differs, in per cent of A."""
    return "" if one.ratio is None else f"{one.ratio - 1:+.1%}"


def interval(one: Compared) -> str:
    """From where to where the difference may lie."""
    if one.low is None or one.high is None:
        return ""
    if one.ratio is None:
        return f"{one.low:+.4g} to {one.high:+.4g}"
    return f"{one.low - 1:+.1%} to {one.high - 1:+.1%}"


def conclusion(told: Comparison) -> Text:
    """The comparison in one line."""
    better, worse, few = told.of(Word.BETTER), told.of(Word.WORSE), told.of(Word.TOO_FEW)
    if worse:
        return Text(" worse ", "bold red reverse") + Text(f" B is worse in {_names(worse)}.{_also(better)}")
    if better:
        return Text(" better ", "bold green reverse") + Text(f" B is better in {_names(better)}, and worse in none.")
    if len(few) == len(told.figures):
        return Text(" too few rounds ", "bold yellow reverse") + Text(
            f" Nothing can be told: {ROUNDS_MIN} of each are needed."
        )
    return Text(" no difference ", "bold reverse") + Text(
        " None was seen; the intervals say how large one could still be."
    )


def _also(better: Sequence[Compared]) -> str:
    return f" It is better in {_names(better)}." if better else ""


def _names(figures: Sequence[Compared]) -> str:
    names = [f"{one.metric} ({change(one)})" if change(one) else one.metric for one in figures]
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def runs(series: Sequence[Series]) -> RenderableType:
    """What is in a history: a line a series."""
    grid = _grid("series", "plan", "machine", "runs", "first", "last", "last verdict")
    for one in series:
        first, last = one.runs[0], one.runs[-1]
        grid.add_row(one.name, one.plan, one.machine, str(len(one.runs)), day(first), day(last), last.verdict or "–")
    return grid


def lines(series: Series, names: Sequence[str]) -> RenderableType:
    """Some figures of a series: a line a figure, with where it changed."""
    grid = _grid("figure", "over the runs", "last", "changed")
    for name in names:
        values = series.line(name)[1]
        if not values:
            continue
        found = series.changes(name)
        grid.add_row(
            name,
            spark(values, {change.index for _, change in found}),
            metrics.shown(name, values[-1]),
            Text("\n").join(marked(name, run, change) for run, change in found) if found else Text("–", "dim"),
        )
    title = Text(series.name, "bold") + Text(f"  plan {series.plan}, {series.machine}, {len(series.runs)} runs", "dim")
    return Group(title, grid)


def marked(name: str, run: Run, change: Change) -> Text:
    """A change point in words."""
    way = metrics.better(name)
    word = (
        ""
        if way is Better.NEITHER
        else "better "
        if (change.after > change.before) == (way is Better.MORE)
        else "worse "
    )
    style = {"better ": "green", "worse ": "red"}.get(word, "")
    commit = f" ({run.commit[:8]})" if run.commit else ""
    return Text(f"{word}{change.relative:+.1%}", style) + Text(f" since {day(run)}{commit}")


def spark(values: Sequence[float], marks: set[int]) -> str:
    """A line of bars, the newest at the right; `│` stands where the figure changed."""
    shown = values[-POINTS_MAX:]
    first = len(values) - len(shown)
    low, high = min(shown), max(shown)
    span = (high - low) or 1.0
    drawn = []
    for index, value in enumerate(shown, first):
        drawn.append(("│" if index in marks else "") + BARS[round((value - low) / span * (len(BARS) - 1))])
    return "".join(drawn)


def day(run: Run) -> str:
    """When a run was, to the minute."""
    if not run.started_us:
        return "–"
    return datetime.fromtimestamp(run.started_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M")


def _grid(*columns: str) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in columns:
        grid.add_column(column)
    return grid
