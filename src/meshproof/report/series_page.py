"""The page of a series: its verdict, its runs with their reports, what all of them together were held against, and its curves."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Final

from meshproof.judge.verdicts import Verdict
from meshproof.ledger import read_document
from meshproof.report.markup import Child, Markup, el, table, text
from meshproof.report.scale_section import scaling
from meshproof.report.verdict_sections import SIGNS, WORDS, badge

UNKNOWN: Final = "–"
_STATIC: Final = files("meshproof.report").joinpath("static")


def write(folder: Path) -> Path:
    """Write `report.html` out of `series.json`, and return its path."""
    document = read_document(folder / "series.json")
    verdict = Verdict(document["verdict"])
    page = Template(_STATIC.joinpath("series.html").read_text(encoding="utf-8")).substitute(
        title=text(f"{WORDS[verdict]} · {document['kind']} · meshproof"),
        css=_STATIC.joinpath("report.css").read_text(encoding="utf-8"),
        body=text([_banner(document, verdict), scaling(document), _parts(document), _families(document)]),
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _banner(document: dict[str, Any], verdict: Verdict) -> list[Markup]:
    parts, minutes = len(document["parts"]), document["seconds"] / 60
    return [
        el(
            "header",
            el("h1", TITLES.get(document["kind"], document["kind"])),
            el("p", f"{parts} runs in {minutes:.1f} minutes", class_="about"),
        ),
        el(
            "section",
            el("p", el("span", SIGNS[verdict], class_="sign", aria_hidden="true"), WORDS[verdict], class_="verdict"),
            el("p", document["reason"], class_="reason"),
            class_=f"banner {verdict.value}",
        ),
    ]


TITLES: Final = {"all": "Everything", "scale": "Scaling"}


def _parts(document: dict[str, Any]) -> Markup:
    head = ("", "run", "acknowledged", "runs", "completed/s", "end to end p50", "p99", "CPU ms a run", "seconds")
    return el("section", el("h2", "The runs"), table(head, map(_part, document["parts"]), class_="parts"))


def _part(part: dict[str, Any]) -> tuple[Child, ...]:
    summary = part.get("summary") or {}
    link: Child = el("a", part["title"], href=f"{part['name']}/report.html") if part.get("summary") else part["title"]
    why = None if part["verdict"] == "pass" else el("div", part["reason"], class_="note")
    latency = summary.get("end_to_end_ms") or {}
    return (
        badge(Verdict(part["verdict"])),
        [link, why],
        _number(summary.get("acknowledged")),
        _number(summary.get("runs")),
        _number(summary.get("completed_per_s")),
        _number(latency.get("p50"), ",.1f", " ms"),
        _number(latency.get("p99"), ",.1f", " ms"),
        _number(summary.get("cpu_ms_per_run"), ".2f"),
        _number(part.get("seconds"), ".0f"),
    )


def _families(document: dict[str, Any]) -> Markup | None:
    families = document.get("families")
    if not families:
        return None
    return el(
        "section",
        el("h2", "What all of them together were held against"),
        table(
            ("", "family", "facts", "never asked"),
            (
                [
                    badge(Verdict(found["verdict"]), name),
                    name,
                    _number(found["facts"]),
                    [el("code", each, " ") for each in found["not_asked"]] or UNKNOWN,
                ]
                for name, found in families.items()
            ),
        ),
        el("p", "A family that was never asked anything proves nothing, and makes the whole unknown.", class_="note"),
    )


def _number(value: Any, shape: str = ",.0f", unit: str = "") -> str:
    return f"{value:{shape}}{unit}" if isinstance(value, int | float) else UNKNOWN
