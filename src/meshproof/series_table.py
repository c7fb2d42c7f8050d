"""A series on a terminal: a line a run, a line a family, and the verdict on the whole."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from meshproof.judge.verdicts import Verdict
from meshproof.verdict_table import STYLES


def show_series(console: Console, document: dict[str, Any]) -> None:
    """Print everything there is to say about a series."""
    console.print()
    console.print(_parts(document))
    if document.get("families"):
        console.print()
        console.print(_families(document))
    for line in _scaling(document):
        console.print(line)
    label, style = STYLES[Verdict(document["verdict"])]
    console.print()
    console.print(Text(f" {label} ", f"{style} reverse") + Text(f" {document['reason']}"))


def _parts(document: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("run", "verdict", "runs", "finished/s", "end to end p99", "seconds"):
        table.add_column(column, justify="left" if column in ("run", "verdict") else "right")
    for part in document["parts"]:
        label, style = STYLES[Verdict(part["verdict"])]
        summary = part["summary"] or {}
        latency = summary.get("end_to_end_ms") or {}
        table.add_row(
            part["title"],
            Text(label, style),
            _number(summary.get("runs")),
            _number(summary.get("completed_per_s")),
            _number(latency.get("p99"), ",.1f", " ms"),
            _number(part["seconds"]),
        )
    return table


def _families(document: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("family", "verdict", "facts", "never asked"):
        table.add_column(column)
    for name, found in document["families"].items():
        label, style = STYLES[Verdict(found["verdict"])]
        table.add_row(name, Text(label, style), f"{found['facts']:,}", Text(", ".join(found["not_asked"]), "dim"))
    return table


def _scaling(document: dict[str, Any]) -> list[Text]:
    law = document.get("law")
    if not law:
        return []
    low, high = law["predicted_interval"]
    return [
        Text(
            f"\nσ {law['contention']:.3f}, κ {law['coherency']:.4f}; {law['held_out']} {document['of']}: {law['predicted']:,.0f}/s"
        )
        + Text(f" predicted ({low:,.0f} to {high:,.0f}), {law['measured']:,.0f}/s measured"),
        *([Text(document["caution"], "yellow")] if document["caution"] else []),
    ]


def _number(value: Any, shape: str = ",.0f", unit: str = "") -> str:
    return f"{value:{shape}}{unit}" if isinstance(value, int | float) else "–"
