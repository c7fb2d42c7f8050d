"""The section about scaling: the curve of the law with its interval, the size that was held out, and a table of sizes."""

from __future__ import annotations

from typing import Any

from meshproof.report.markup import Markup, el, table
from meshproof.report.plot import Curve, Plot, Ribbon, draw


def scaling(document: dict[str, Any]) -> Markup | None:
    """What the sizes of a series say together; nothing when it was about something else."""
    found = document if document["kind"] == "scale" else document.get("scale")
    if not found:
        return None
    document = found
    return el(
        "section",
        el("h2", f"More and more {document['of']}"),
        el("p", document["caution"], class_="missing") if document["caution"] else None,
        el("figure", draw(_plot(document)), class_="wide"),
        _law(document) if document["law"] else None,
        _sizes(document),
    )


def _plot(document: dict[str, Any]) -> Plot:
    law, sizes = document["law"], document["sizes"]
    held_out = law["held_out"] if law else None
    points = [(row["size"], each) for row in sizes if row["size"] != held_out for each in row["rounds"]]
    curves = [Curve("measured", points, colour=0, line=False)]
    ribbons = []
    if law:
        left_out = [(row["size"], each) for row in sizes if row["size"] == held_out for each in row["rounds"]]
        curves.append(
            Curve("Universal Scalability Law", [(x, y) for x, _, y, _ in law["curve"]], colour=1, form="none")
        )
        curves.append(Curve(f"held out: {held_out}", left_out, colour=2, form="ring", line=False))
        ribbons.append(
            Ribbon("95 % of bootstrapped fits", [(x, low, high) for x, low, _, high in law["curve"]], colour=1)
        )
    if sizes:
        first = sizes[0]["per_s"] / sizes[0]["size"]
        most = max(max(row["rounds"]) for row in sizes) * 1.15
        ideal = [(size, first * size) for size in (0, min(sizes[-1]["size"], most / first if first else 0))]
        curves.append(Curve("if each did as much as the first", ideal, colour=6, form="none", dash=2))
    return Plot(document["of"], "runs finished a second", curves, ribbons)


def _law(document: dict[str, Any]) -> Markup:
    law = document["law"]
    low, high = law["predicted_interval"]
    best = law["best_size"]
    held = "is within" if law["holds"] else "is not within"
    return el(
        "div",
        table(
            ("", "fitted", "95 % interval", "what it is"),
            [
                ["λ", f"{law['one']:,.0f}", _interval(law["intervals"]["one"], ",.0f"), "runs a second of one alone"],
                [
                    "σ contention",
                    f"{law['contention']:.3f}",
                    _interval(law["intervals"]["contention"], ".3f"),
                    "the part that has to be done one after the other",
                ],
                [
                    "κ coherency",
                    f"{law['coherency']:.4f}",
                    _interval(law["intervals"]["coherency"], ".4f"),
                    "what each has to hear of every other",
                ],
            ],
        ),
        el(
            "p",
            f"Of {law['held_out']} {document['of']}, which the fit has not seen, it predicts {law['predicted']:,.0f} runs a second"
            f" ({low:,.0f} to {high:,.0f}). Measured were {law['measured']:,.0f}, which {held} that. ",
            "Beyond " + f"{best:,.1f} more is less." if best else "There is no size beyond which more is less.",
        ),
    )


def _interval(values: list[float], shape: str) -> str:
    return f"{values[0]:{shape}} to {values[1]:{shape}}"


def _sizes(document: dict[str, Any]) -> Markup:
    return table(
        (document["of"], "runs/s", "rounds", "speed-up", "efficiency"),
        (
            [
                row["size"],
                f"{row['per_s']:,.0f}",
                ", ".join(f"{each:,.0f}" for each in row["rounds"]),
                f"{row['speed_up']:.2f}" if row["speed_up"] is not None else "–",
                f"{row['efficiency']:.0%}" if row["efficiency"] is not None else "–",
            ]
            for row in document["sizes"]
        ),
    )
