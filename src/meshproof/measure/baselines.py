"""Baselines: rounds kept in the repository, with the machine they were made on, to compare others with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from meshproof.ledger import write_document
from meshproof.measure.rounds import BASELINE, Round

FORMAT: Final = 1


class BaselineError(ValueError):
    """These rounds make no baseline; the message says why."""


def save(path: Path, rounds: Sequence[Round]) -> None:
    """Keep rounds as a baseline; raises BaselineError when they were no fair test, or are not of one plan and machine."""
    made = {(one.about.profile, one.about.scenario, one.about.plan, one.about.machine) for one in rounds}
    if len(made) > 1:
        raise BaselineError(
            f"these {len(rounds)} rounds are of {len(made)} different plans or machines, which makes no baseline."
        )
    unfair = [one.verdict for one in rounds if one.valid is False or one.verdict not in (None, "pass")]
    if unfair:
        raise BaselineError(
            f"{len(unfair)} of {len(rounds)} rounds are no baseline: their verdict is {unfair[0]}, not pass."
        )
    about = rounds[0].about
    documents: dict[int, dict[str, Any]] = {}
    for one in rounds:
        # The rounds of one bench.json share their document.
        documents.setdefault(id(one.document), {"document": trimmed(one.document), "histograms": one.histograms})
    write_document(
        path,
        {
            "format": FORMAT,
            "profile": about.profile,
            "scenario": about.scenario,
            "machine": about.machine,
            BASELINE: list(documents.values()),
        },
    )


def trimmed(document: dict[str, Any]) -> dict[str, Any]:
    """A `summary.json` or `bench.json` without what only matters to its own run: packages, and settings of Postgres."""
    kept = {key: value for key, value in document.items() if key not in ("packages", "engine")}
    if isinstance(kept.get("postgres"), dict):
        kept["postgres"] = {"version": kept["postgres"].get("version")}
    if isinstance(kept.get("versions"), dict):
        kept["versions"] = trimmed(kept["versions"])
    return kept
