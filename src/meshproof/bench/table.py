"""The rows for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.table import Table

from meshproof.bench.figures import interval, ms

Line = tuple[str, str, str, str]
_MOMENTS = 10
"""So many of the moments of a long row are shown, or a few more."""


def table(document: dict[str, Any]) -> Table:
    """The rows for people: those that were measured."""
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("row", "runs/s", "of the floor", "what else"):
        grid.add_column(column)
    for name, row in document["rows"].items():
        for line in _LINES[name](name, row):
            grid.add_row(*line)
    return grid


def _floor(name: str, row: dict[str, Any]) -> Iterator[Line]:
    yield name, f"{row['runs_per_s']:,.0f}", "", interval(row["runs_per_s_interval"])


def _pipeline(name: str, row: dict[str, Any]) -> Iterator[Line]:
    low, high = row["floor_ratio_interval"]
    yield (
        name,
        f"{row['runs_per_s']:,.0f}",
        f"{row['floor_ratio']:.3f} ({low:.3f} to {high:.3f})",
        f"accept {ms(row['accept_ms'])}; accepted to finished {ms(row['finish_ms'])}",
    )
    memory = sum(row["rss_bytes_max"].get(role, 0) for role in ("api", "worker")) / 1e6
    yield (
        "",
        "",
        "",
        f"{row['cpu_ms_per_run']:.3f} ms of processor, {row['wal_bytes_per_run']:,.0f} bytes of WAL,"
        f" {row['transactions_per_run']:.4f} transactions a run; API and worker {memory:,.0f} MB;"
        f" generator {row['generator_cpu_share']:.0%} of a core",
    )


def _open(name: str, row: dict[str, Any]) -> Iterator[Line]:
    yield name, f"{row['completed_per_s']:,.0f}", "", f"end to end {ms(row['end_to_end_ms'])}"


def _drain(name: str, row: dict[str, Any]) -> Iterator[Line]:
    answered = ms(row["door"]["accept_ms"]) if row["door"] else "unknown"
    yield name, f"{row['drained_per_s'] or 0:,.0f}", "", f"{row['backlog']:,} runs; the door: {answered}"


def _signatures(name: str, row: dict[str, Any]) -> Iterator[Line]:
    low, high = row["of_unchecked_interval"]
    kept = f"{row['of_unchecked']:.3f} ({low:.3f} to {high:.3f}) of the same deliveries unchecked"
    yield name, f"{row['accepted_per_s']:,.0f}", "", f"accepted a second, each signature checked; {kept}"


def _http_call(name: str, row: dict[str, Any]) -> Iterator[Line]:
    several = row["in_a_row"]
    said = f"steps a second, one a run; {several['steps_per_s']:,.0f} with {several['calls_per_run']} in a row"
    yield name, f"{row['steps_per_s']:,.0f}", "", said


def _in_flight(name: str, row: dict[str, Any]) -> Iterator[Line]:
    done = f"{row['done']:,} of {row['calls']:,} done; worker {row['worker_rss_bytes_max'] / 1e6:,.0f} MB"
    pace = f"{row['begun_first_s']:,} begun in the first second; {row['worker_cpu_us_per_call']:,.0f} µs of it a call"
    most = f"{row['held_max']:,} held at once, {row['in_flight_max']:,} of them at the sink"
    yield name, "", "", f"{most}; {done}; {pace}"


def _timers(name: str, row: dict[str, Any]) -> Iterator[Line]:
    last = f"the last fired {row['last_fired_s']:.2f} s after it, {row['early']} early"
    yield name, "", "", f"{row['timers']:,} of one moment: {last}"


def _bloat(name: str, row: dict[str, Any]) -> Iterator[Line]:
    yield (
        name,
        f"{row['held_end']['completed_per_s']:,.0f}",
        "",
        f"after {row['held_s']:,.0f} s with a transaction open, {row['before']['completed_per_s']:,.0f} before;"
        f" {row['dead_max']:,} dead rows; runs start after {ms(row['held_end']['start_ms'])}; a look from the front reads"
        f" {row['looks']['front']['pages']:,} pages, at all {row['looks']['all']['pages']:,}",
    )
    if row["is_disk_short"]:
        yield "", "", "", "it ended early, for the disk ran short"
    for moment in row["over_time"][:: max(1, len(row["over_time"]) // _MOMENTS)]:
        taken = "" if moment["taken_per_s"] is None else f"{moment['taken_per_s']:,.0f} taken a second, "
        look = f"a look {moment['look_ms']:.1f} ms, {moment['look_pages']:,} pages"
        yield (
            "",
            "",
            "",
            f"{moment['at_s']:6,.0f} s: {moment['dead']:,} dead rows, {moment['bytes'] / 1e6:,.0f} MB, {taken}{look}",
        )


def _overload(name: str, row: dict[str, Any]) -> Iterator[Line]:
    yield (
        name,
        f"{row['completed_per_s']:,.0f}",
        "",
        f"{row['of_best']:.2f} of the best, {row['offered_per_s']:,.0f}/s offered, {row['refused_per_s']:,.0f}/s refused,"
        f" {row['transactions_per_run']:.4f} transactions a run",
    )


_LINES = {
    "floor": _floor,
    "floor_keyed": _floor,
    "pipeline": _pipeline,
    "pipeline_keyed": _pipeline,
    "open_1000": _open,
    "drain_200k": _drain,
    "signatures": _signatures,
    "http_call": _http_call,
    "in_flight": _in_flight,
    "timers": _timers,
    "bloat": _bloat,
    "overload": _overload,
}
