"""The history as one self-contained page: a chart a figure, with a line where it changed. It needs no network, like the report."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any

from meshproof.measure import metrics
from meshproof.measure.history import Series
from meshproof.measure.metrics import Better
from meshproof.measure.tables import day, marked
from meshproof.report.markup import Markup, el, script_data, table, text
from meshproof.report.page import plot_script, static


def write(path: Path, chosen: Sequence[tuple[Series, Sequence[str]]]) -> None:
    """Write the page of these figures of these series."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fill(chosen), encoding="utf-8")


def fill(chosen: Sequence[tuple[Series, Sequence[str]]]) -> str:
    """The whole page."""
    plot, draw = plot_script(), static("history.js")
    charts: list[dict[str, Any]] = []
    sections = [_section(series, names, charts) for series, names in chosen]
    return Template(static("history.html")).substitute(
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src {_hash(plot)} {_hash(draw)}; img-src data:",
        plot_css=static("uplot.css"),
        css=static("report.css"),
        sections=text(sections),
        data=script_data(charts),
        plot=plot,
        draw=draw,
    )


def _section(series: Series, names: Sequence[str], charts: list[dict[str, Any]]) -> Markup:
    told = [_chart(series, name, charts) for name in names if series.line(name)[1]]
    changed = [
        (
            el("code", name),
            str(marked(name, run, change)),
            metrics.shown(name, change.before),
            metrics.shown(name, change.after),
        )
        for name in names
        for run, change in series.changes(name)
    ]
    return el(
        "section",
        el("h2", series.name),
        el("p", f"Plan {series.plan}, {series.machine}; {len(series.runs)} runs.", class_="note"),
        table(("figure", "changed", "from", "to"), changed)
        if changed
        else el("p", "No figure changed.", class_="note"),
        el("div", told, class_="charts"),
    )


def _chart(series: Series, name: str, charts: list[dict[str, Any]]) -> Markup:
    telling, values = series.line(name)
    way = metrics.better(name)
    charts.append(
        {
            "name": name,
            "when": [day(run) for run in telling],
            "commits": [(run.commit or "")[:8] for run in telling],
            "values": values,
            "shown": [metrics.shown(name, value) for value in values],
            "marks": [
                {
                    "at": change.index,
                    "good": way is Better.NEITHER or (change.after > change.before) == (way is Better.MORE),
                }
                for _, change in series.changes(name)
            ],
        }
    )
    said = "" if way is Better.NEITHER else f"{way} is better"
    return el(
        "figure",
        el("figcaption", el("h3", name, " ", el("small", said)), el("p", class_="told")),
        el("div", class_="plot", role="img", aria_label=f"{name} over {len(values)} runs"),
        data_chart=len(charts) - 1,
    )


def _hash(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
