"""The rows for people."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from meshproof.bench.figures import interval, ms


def table(document: dict[str, Any]) -> Table:
    """The rows for people."""
    rows = document["rows"]
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for column in ("row", "runs/s", "of the floor", "what else"):
        grid.add_column(column)
    for name in ("floor", "floor_keyed"):
        grid.add_row(name, f"{rows[name]['runs_per_s']:,.0f}", "", interval(rows[name]["runs_per_s_interval"]))
    for name in ("pipeline", "pipeline_keyed"):
        row = rows[name]
        low, high = row["floor_ratio_interval"]
        grid.add_row(
            name,
            f"{row['runs_per_s']:,.0f}",
            f"{row['floor_ratio']:.3f} ({low:.3f} to {high:.3f})",
            f"accept {ms(row['accept_ms'])}; accepted to finished {ms(row['finish_ms'])}",
        )
        memory = sum(row["rss_bytes_max"].get(role, 0) for role in ("api", "worker")) / 1e6
        grid.add_row(
            "",
            "",
            "",
            f"{row['cpu_ms_per_run']:.3f} ms of processor, {row['wal_bytes_per_run']:,.0f} bytes of WAL,"
            f" {row['transactions_per_run']:.4f} transactions a run; API and worker {memory:,.0f} MB;"
            f" generator {row['generator_cpu_share']:.0%} of a core",
        )
    row = rows["open_1000"]
    grid.add_row("open_1000", f"{row['completed_per_s']:,.0f}", "", f"end to end {ms(row['end_to_end_ms'])}")
    row = rows["drain_200k"]
    answered = ms(row["door"]["accept_ms"]) if row["door"] else "unknown"
    grid.add_row(
        "drain_200k", f"{row['drained_per_s'] or 0:,.0f}", "", f"{row['backlog']:,} runs; the door: {answered}"
    )
    row = rows["signatures"]
    low, high = row["of_unchecked_interval"]
    kept = f"{row['of_unchecked']:.3f} ({low:.3f} to {high:.3f}) of the same deliveries unchecked"
    grid.add_row(
        "signatures", f"{row['accepted_per_s']:,.0f}", "", f"accepted a second, each signature checked; {kept}"
    )
    row = rows["http_call"]
    grid.add_row(
        "http_call",
        f"{row['steps_per_s']:,.0f}",
        "",
        f"steps a second, one a run; {row['in_a_row']['steps_per_s']:,.0f} with {row['in_a_row']['calls_per_run']} in a row",
    )
    row = rows["in_flight"]
    memory = f"worker {row['worker_rss_bytes_max'] / 1e6:,.0f} MB"
    grid.add_row(
        "in_flight", "", "", f"{row['in_flight_max']:,} at once, {row['done']:,} of {row['calls']:,} done; {memory}"
    )
    row = rows["timers"]
    grid.add_row(
        "timers",
        "",
        "",
        f"{row['timers']:,} of one moment: the last fired {row['last_fired_s']:.2f} s after it, {row['early']} early",
    )
    row = rows["bloat"]
    grid.add_row(
        "bloat",
        f"{row['held_end']['completed_per_s']:,.0f}",
        "",
        f"after {row['held_s']:,.0f} s with a transaction open, {row['before']['completed_per_s']:,.0f} before;"
        f" {row['dead_max']:,} dead rows; runs start after {ms(row['held_end']['start_ms'])}; a look from the front reads"
        f" {row['looks']['front']['pages']:,} pages, at all {row['looks']['all']['pages']:,}",
    )
    row = rows["overload"]
    grid.add_row(
        "overload",
        f"{row['completed_per_s']:,.0f}",
        "",
        f"{row['of_best']:.2f} of the best, {row['offered_per_s']:,.0f}/s offered, {row['refused_per_s']:,.0f}/s refused,"
        f" {row['transactions_per_run']:.4f} transactions a run",
    )
    return grid
