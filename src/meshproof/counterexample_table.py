"""A counterexample on a terminal: a column a ledger, a row a moment."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from meshproof.judge.story import Moment, Row, lanes, rows, stored, subject
from meshproof.judge.verdicts import Example, Result

ROWS_MAX = 24
"""How much of a story is told here; the report tells all of it."""
DETAIL_MAX = 60


def tell(result: Result) -> Iterator[RenderableType]:
    """The first counterexample of an invariant, side by side; nothing when none has a time."""
    example = next((one for one in result.examples if rows(one)), None)
    if example is None:
        return
    yield Text.assemble(("  ", ""), (result.name, "bold red"), (": ", ""), example.why)
    yield Text(f"  {subject(example)}", "dim")
    yield from (Text(f"  {line}", "dim") for line in stored(example))
    yield _table(example)


def _table(example: Example) -> Table:
    story = rows(example)
    saying = lanes(story)
    grid = Table(box=SIMPLE_HEAD, padding=(0, 1), header_style="dim", pad_edge=True, show_edge=False)
    grid.add_column("ms", justify="right", no_wrap=True, style="dim")
    for lane in saying:
        grid.add_column(lane, overflow="fold", ratio=1)
    for row in story[:ROWS_MAX]:
        at = "?" if row.after_ms is None else f"{row.after_ms:,.3f}"
        grid.add_row(at, *(_cell(row, lane) for lane in saying))
    if len(story) > ROWS_MAX:
        grid.add_row("", f"… and {len(story) - ROWS_MAX} more moments, in the report")
    return grid


def _cell(row: Row, lane: str) -> Text:
    return Text("\n").join(_moment(moment) for moment in row.lanes.get(lane, ()))


def _moment(moment: Moment) -> Text:
    if not moment.detail:
        return Text(moment.what)
    detail = moment.detail if len(moment.detail) <= DETAIL_MAX else f"{moment.detail[:DETAIL_MAX]}…"
    return Text(moment.what) + Text(f" {detail}", "dim")
