"""Fills the template: text and tables are made here and escaped, charts are drawn by the page from its own data."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from importlib.resources import files
from string import Template
from typing import Final

from meshproof.report import endurance_sections as endurance
from meshproof.report import figure_sections as about
from meshproof.report import verdict_sections as verdict
from meshproof.report.charts import Chart, Timeline
from meshproof.report.counterexamples import counterexamples
from meshproof.report.gather import Gathered
from meshproof.report.markup import Markup, el, script_data, text
from meshproof.report.own_section import own

_STATIC: Final = files("meshproof.report").joinpath("static")


def fill(gathered: Gathered, timeline: Timeline) -> str:
    """The whole page."""
    plot, draw = plot_script(), static("report.js")
    made = partial(_made, gathered)
    return Template(static("report.html")).substitute(
        title=text(_title(gathered)),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src {_hash(plot)} {_hash(draw)}; img-src data:",
        plot_css=static("uplot.css"),
        css=static("report.css"),
        top=text(
            map(
                made,
                (
                    about.heading,
                    verdict.banner,
                    verdict.tally,
                    about.missing,
                    own,
                    counterexamples,
                    endurance.stress,
                    endurance.soak,
                    about.figures,
                ),
            )
        ),
        charts=_charts(timeline),
        bottom=text(map(made, (about.faults, about.incidents, verdict.families, about.repeat, about.making))),
        data=script_data(timeline),
        plot=plot,
        draw=draw,
    )


def _made(gathered: Gathered, section: Callable[[Gathered], Markup | None]) -> Markup | None:
    """A section; where the evidence is so garbled that it cannot be made, the page says so and goes on."""
    try:
        return section(gathered)
    except (TypeError, ValueError, KeyError, AttributeError, LookupError) as error:
        why = f"The section {section.__name__!r} cannot be made of this evidence: {type(error).__name__}: {error}"
        return el("section", el("p", why), class_="missing")


def _title(gathered: Gathered) -> str:
    plan = gathered.part("plan")
    word = verdict.WORDS[gathered.verdicts.verdict] if gathered.verdicts else "not judged"
    return f"{word} · {plan.get('profile', 'run')} {plan.get('scenario', '')} · meshproof"


def _charts(timeline: Timeline) -> Markup:
    if not timeline.charts:
        return text(None)
    return el(
        "section",
        el("h2", "Over time"),
        el("div", el("p", "Seconds since the start on every axis.", class_="note"), _key(timeline), class_="key"),
        el("div", [_chart(number, chart) for number, chart in enumerate(timeline.charts)], class_="charts"),
        id="charts",
    )


def _key(timeline: Timeline) -> Markup:
    kinds = sorted({mark.kind for mark in timeline.marks})
    return el("p", [el("span", kind, class_=f"mark {kind}") for kind in kinds], class_="marks")


def _chart(number: int, chart: Chart) -> Markup:
    peaks = ", ".join(
        f"{line.label} at most {max(known):,.6g}"
        for line in chart.lines
        if (known := [v for v in line.values if v is not None])
    )
    return el(
        "figure",
        el("figcaption", el("h3", chart.title, " ", el("small", chart.unit)), el("p", chart.says)),
        el("div", class_="legend"),
        el("div", class_="plot", role="img", aria_label=f"{chart.title}, {chart.unit}: {peaks}"),
        data_chart=number,
    )


def plot_script() -> str:
    """uPlot with its licence, without the line that names where it comes from."""
    code = static("uplot.js")
    licence = static("uplot.LICENSE").strip().replace("*/", "")
    return f"/* uPlot 1.6.32\n{licence}\n*/\n{code.partition(chr(10))[2] if code.startswith('/*!') else code}"


def _hash(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def static(name: str) -> str:
    """A file that pages are made of."""
    return _STATIC.joinpath(name).read_text(encoding="utf-8")
