"""The section about a workflow that was tested as it is: what was changed for it, and what the verdict says nothing about."""

from __future__ import annotations

from typing import Any

from meshproof.report.gather import Gathered
from meshproof.report.markup import Markup, el


def own(gathered: Gathered) -> Markup | None:
    """Nothing where every scenario has a reference model."""
    plan = gathered.part("plan")
    names = plan.get("without_model") or []
    if not names:
        return None
    changes = plan.get("adapted") or []
    return el(
        "section",
        el("h2", "A workflow as it is"),
        el("p", f"{', '.join(names)} has no reference model: nobody has said what must come of a body.", class_="note"),
        el("h3", "Changed for the test"),
        el("ul", [el("li", change) for change in changes]) if changes else el("p", "Nothing."),
        el("h3", "Not proved"),
        el("ul", [el("li", one) for one in not_proved(plan)]),
        id="own",
    )


def not_proved(plan: dict[str, Any]) -> list[str]:
    """What the verdict on a run of such a plan says nothing about."""
    told = [
        "That the outputs are the right ones. They follow from the steps before them as the journal has them, no more.",
        "Which runs have to complete, and which to fail.",
    ]
    if varies := plan.get("varies"):
        told.append(f"That runs of one body end alike: {varies[0]}.")
    if any("concurrency" in place["definition"].get("settings", {}) for place in plan["scenarios"].values()):
        told.append("That its limit of runs at once is kept.")
    return told
