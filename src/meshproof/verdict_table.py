"""The verdict on a terminal: one line a family, every violation with an example, the figures, and where to read on."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from meshproof.counterexample_table import tell
from meshproof.judge.invariant import VALIDITY
from meshproof.judge.verdicts import Result, Verdict, Verdicts, worst
from meshproof.profiles.session import Result as RunResult

STORIES_MAX = 2
"""Of how many violated invariants a counterexample is told here; the report has all of them."""

STYLES = {
    Verdict.PASS: ("pass", "bold green"),
    Verdict.FAIL: ("FAIL", "bold red"),
    Verdict.UNKNOWN: ("unknown", "bold yellow"),
    Verdict.INVALID: ("INVALID", "bold yellow"),
}


def show(console: Console, result: RunResult) -> None:
    """Print everything there is to say about a run."""
    console.print()
    console.print(_families(result.verdicts))
    for shortcoming in _shortcomings(result.verdicts.results):
        console.print(shortcoming)
    for violated in _violated(result.verdicts.results)[:STORIES_MAX]:
        console.print()
        for part in tell(violated):
            console.print(part)
    console.print()
    console.print(_figures(result.summary))
    console.print()
    label, style = STYLES[result.verdicts.verdict]
    console.print(Text(f" {label} ", f"{style} reverse") + Text(f" {result.verdicts.reason}"))
    console.print(f"{result.report}", highlight=False, soft_wrap=True)


def _families(verdicts: Verdicts) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("family", "verdict", "invariants", "held against"):
        table.add_column(column)
    for family, members in groupby(verdicts.results, key=lambda result: result.family):
        results = list(members)
        label, style = STYLES[worst(result.verdict for result in results)]
        checked = sum(result.checked for result in results)
        table.add_row(family, Text(label, style), str(len(results)), f"{checked:,} facts")
    return table


def _shortcomings(results: list[Result]) -> Iterable[Text]:
    for result in results:
        if result.verdict is not Verdict.PASS:
            label, style = STYLES[result.verdict]
            yield Text(f"{label:8}", style) + Text(f"{result.name}: {result.sentence}")
            for example in result.examples[:1]:
                yield Text(f"        for example: {example.why}", "dim")


def _violated(results: list[Result]) -> list[Result]:
    return [result for result in results if result.verdict is Verdict.FAIL and result.family != VALIDITY]


def _figures(summary: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim")
    table.add_column()
    sent = f"{_count(summary['attempted'])} sent, {_count(summary['acknowledged'])} acknowledged"
    table.add_row("requests", f"{sent}, {_count(summary['refused'])} refused, {_count(summary['unknown'])} unknown")
    runs = (
        f"{_count(summary['runs'])} stored: {_count(summary['lost'])} lost, {_count(summary['duplicated'])} duplicated"
    )
    table.add_row("runs", f"{runs}, {_count(summary['wrong'])} wrong, {_count(summary['stuck'])} stuck")
    table.add_row(
        "throughput", f"{_rate(summary['accepted_per_s'])} accepted, {_rate(summary['completed_per_s'])} finished"
    )
    for name, key in (("accept", "accept_ms"), ("queue", "queue_ms"), ("end to end", "end_to_end_ms")):
        table.add_row(name, _latency(summary[key]))
    table.add_row("cost of a run", _cost(summary))
    if summary["rss_bytes_max"]:
        memory = [f"{role} {most / 1e6:,.0f} MB" for role, most in summary["rss_bytes_max"].items()]
        table.add_row("memory", ", ".join(memory))
    return table


def _cost(summary: dict[str, Any]) -> str:
    parts = []
    if summary["cpu_ms_per_run"] is not None:
        parts.append(f"{summary['cpu_ms_per_run']:.2f} ms of processor")
    if summary["wal_bytes_per_run"] is not None:
        parts.append(f"{summary['wal_bytes_per_run']:,.0f} bytes of WAL")
    if summary["transactions_per_run"] is not None:
        parts.append(f"{summary['transactions_per_run']:.3f} transactions")
    return ", ".join(parts) or "not known"


def _latency(figures: dict[str, float] | None) -> str:
    if figures is None:
        return "not known"
    return (
        f"p50 {figures['p50']:.1f} ms, p90 {figures['p90']:.1f}, p99 {figures['p99']:.1f},"
        f" p99.9 {figures['p99_9']:.1f}, max {figures['max']:.1f}"
    )


def _rate(per_s: float | None) -> str:
    return "not known" if per_s is None else f"{per_s:,.0f}/s"


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
