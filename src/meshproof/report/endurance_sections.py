"""The sections about a stress run and a soak: where it broke and came back; what grew, and what did not."""

from __future__ import annotations

from typing import Any, Final

from meshproof.judge.verdicts import Verdict
from meshproof.report.gather import Gathered
from meshproof.report.markup import Child, Markup, el, table
from meshproof.report.plot import Curve, Plot, draw, spark
from meshproof.report.verdict_sections import SIGNS

UNKNOWN: Final = "–"
PARTS: Final = ("worker processes", "API processes", "processors of the machine", "write-ahead log", "generator")


def stress(gathered: Gathered) -> Markup | None:
    """Up and down again: the curve, what was full, and every step."""
    found = gathered.part("analysis")
    if not found.get("steps"):
        return None
    return el(
        "section",
        el("h2", "Where it broke, and the way back"),
        el("div", _tiles(found), class_="tiles"),
        el("p", _full(found)),
        el("div", el("figure", _up_and_down(found)), el("figure", _fullness(found)), class_="pair-of"),
        _steps(found["steps"]),
        el(
            "p",
            "Goodput is runs finished a second; it follows when it is 90 % of what was offered. On the way down it may be"
            " more than that: what had waited is done as well. The first quarter of each step is left out.",
            class_="note",
        ),
    )


def _tiles(found: dict[str, Any]) -> list[Markup]:
    recovered = {True: "yes", False: "no", None: UNKNOWN}[found["recovered"]]
    return [
        _tile("requests a second it followed", found["knee_per_s"], ",.0f"),
        _tile("requests a second broke it", found["broke_at_per_s"], ",.0f"),
        _tile("runs finished a second at most", found["goodput_max_per_s"], ",.0f"),
        _tile("runs waiting at most", found["backlog_max"], ",.0f"),
        _tile("s from relief to as before", found["relieved_s"], ",.1f"),
        _tile("s to drain at the end", found["drain_s"], ",.1f"),
        el("div", el("span", recovered, class_="number"), el("span", "came back by itself"), class_="tile"),
    ]


def _tile(label: str, value: Any, shape: str) -> Markup:
    shown = f"{value:{shape}}" if isinstance(value, int | float) else UNKNOWN
    return el("div", el("span", shown, class_="number"), el("span", label), class_="tile")


def _full(found: dict[str, Any]) -> str:
    if found["generator_broke_at_per_s"] is not None:
        return f"The generator broke first, at {found['generator_broke_at_per_s']:,.0f}/s: the engine's own limit is beyond that."
    if found["full_first"] is None:
        busiest = ", ".join(f"{name} {share:.0%}" for name, share in list(found["full_when_broke"].items())[:3])
        return f"Nothing that is measured was full when it broke: {busiest or 'nothing is known'}."
    what, at = found["full_first"]["what"], found["full_first"]["at_per_s"]
    return f"Full first, at {at:,.0f}/s: {', then '.join(what)}."


def _up_and_down(found: dict[str, Any]) -> list[Child]:
    steps = found["steps"]
    up = [(step["rate"], step["goodput_per_s"]) for step in steps if step["way"] == "up"]
    down = [(step["rate"], step["goodput_per_s"]) for step in steps if step["way"] == "down"]
    highest = max(step["goodput_per_s"] for step in steps)
    offered = [(step["rate"], step["offered_per_s"]) for step in steps if step["way"] == "up"]
    ideal = [(rate, runs) for rate, runs in offered if runs <= highest * 1.2]
    plot = Plot(
        "requests a second",
        "runs finished a second",
        [
            Curve("all that was offered", ideal, colour=6, form="none", dash=2),
            Curve("on the way up", up, colour=0),
            Curve("on the way down", down, colour=1, form="square", dash=1),
        ],
        marks=[(found["broke_at_per_s"], "broke")] if found["broke_at_per_s"] else [],
        log_x=True,
    )
    return [el("figcaption", el("h3", "Goodput")), draw(plot)]


def _fullness(found: dict[str, Any]) -> list[Child]:
    up = [step for step in found["steps"] if step["way"] == "up"]
    curves = [
        Curve(
            name,
            [(step["rate"], 100 * step["busy"].get(name, 0.0)) for step in up],
            colour=number,
            dash=number % 4,
        )
        for number, name in enumerate(PARTS)
    ]
    plot = Plot("requests a second, on the way up", "% of what there is", curves, log_x=True)
    return [el("figcaption", el("h3", "How full each part was")), draw(plot)]


def _steps(steps: list[dict[str, Any]]) -> Markup:
    return table(
        (
            "",
            "requests/s",
            "offered",
            "accepted",
            "finished",
            "done",
            "end to end p99",
            "fullest",
            "late p99",
            "unsent",
        ),
        (
            [
                step["way"],
                f"{step['rate']:,.0f}",
                f"{step['offered_per_s']:,.0f}",
                f"{step['accepted_per_s']:,.0f}",
                f"{step['goodput_per_s']:,.0f}",
                f"{step['share']:.0%}",
                _shown(step["end_to_end_p99_ms"], ",.0f", " ms"),
                next((f"{name} {share:.0%}" for name, share in step["busy"].items()), UNKNOWN),
                f"{step['lag_p99_ms']:.1f} ms",
                f"{step['unsent']:,}",
            ]
            for step in steps
        ),
    )


def soak(gathered: Gathered) -> Markup | None:
    """Every trend with its slope, its interval, its bound, and what it looked like."""
    trends = gathered.part("analysis").get("trends")
    if not trends:
        return None
    return el(
        "section",
        el("h2", "What grew, and what did not"),
        table(("", "what", "usually", "over time", "grew by", "95 % interval", "allowed"), map(_trend, trends)),
        el(
            "p",
            f"Growth over the {trends[0]['seconds'] / 60:.1f} minutes that are judged; the beginning is left out. The slope is that"
            " of Theil and Sen. All of the interval beyond what is allowed is a drift, all of it within is none;"
            " in between a longer run is needed.",
            class_="note",
        ),
    )


VERDICTS: Final = {"no drift": Verdict.PASS, "drift": Verdict.FAIL, "unknown": Verdict.UNKNOWN}


def _trend(trend: dict[str, Any]) -> tuple[Child, ...]:
    unit = f" {trend['unit']}"
    return (
        _badge(trend["verdict"]),
        trend["name"],
        _amount(trend["usual"]) + unit,
        spark([(at, value) for at, value in trend["points"]]),
        _amount(trend["grown"]) + unit,
        f"{_amount(trend['low'])} to {_amount(trend['high'])}",
        _amount(trend["allowed"]),
    )


def _badge(word: str) -> Markup:
    verdict = VERDICTS[word]
    return el("span", el("span", SIGNS[verdict], aria_hidden="true"), " ", word, class_=f"badge {verdict.value}")


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def _shown(value: Any, shape: str, unit: str = "") -> str:
    return f"{value:{shape}}{unit}" if isinstance(value, int | float) else UNKNOWN
