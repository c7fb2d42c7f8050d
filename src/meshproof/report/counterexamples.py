"""Counterexamples, readable: what every ledger says of one delivery, side by side on one axis of time."""

from __future__ import annotations

from meshproof.judge.story import Moment, Row, lanes, rows, stored, subject
from meshproof.judge.verdicts import Example, Result
from meshproof.report.gather import Gathered
from meshproof.report.markup import Child, Markup, el
from meshproof.report.verdict_sections import badge, capital


def counterexamples(gathered: Gathered) -> Markup | None:
    """Each thing that breaks an invariant, and the whole story of it."""
    results = [result for result in gathered.verdicts.results if result.examples] if gathered.verdicts else []
    if not results:
        return None
    return el("section", el("h2", "Counterexamples"), [_article(result) for result in results])


def _article(result: Result) -> Markup:
    shown, count = len(result.examples), result.count
    return el(
        "article",
        el("h3", badge(result.verdict, result.family), " ", el("code", result.name)),
        el("p", result.says, class_="proves"),
        el("p", f"{shown} of {count:,} shown.", class_="note") if count > shown else None,
        [_example(example, is_open=number == 0) for number, example in enumerate(result.examples)],
        id=result.name,
        class_="counterexample",
    )


def _example(example: Example, *, is_open: bool) -> Markup:
    story = rows(example)
    return el(
        "details",
        el("summary", capital(example.why), el("small", subject(example))),
        el("div", el("ul", [el("li", line) for line in stored(example)]), _table(story), class_="story")
        if story
        else None,
        open=is_open,
    )


def _table(story: list[Row]) -> Markup:
    saying = lanes(story)
    lines = [
        el(
            "tr",
            el("th", "?" if row.after_ms is None else f"{row.after_ms:,.3f}", scope="row", title=f"{row.at_us} µs"),
            [el("td", [_moment(m) for m in row.lanes.get(lane, ())], data_lane=lane) for lane in saying],
        )
        for row in story
    ]
    return el(
        "div",
        el(
            "table",
            el("thead", el("tr", el("th", "ms", scope="col"), [el("th", lane, scope="col") for lane in saying])),
            el("tbody", lines),
            class_="lanes",
        ),
        class_="scroll",
    )


def _moment(moment: Moment) -> Child:
    detail = el("code", moment.detail, title=moment.detail) if moment.detail else None
    return el("div", moment.what, detail, class_="moment")
