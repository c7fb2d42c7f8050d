"""`summary.json`: one run in the keys that every run has. They are described in docs/concurrency/summary.md."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from meshproof import phases
from meshproof.figures import Figures, open_evidence
from meshproof.ledger import read_document, write_document

KEYS = (
    "profile",
    "scenario",
    "seed",
    "commit",
    "versions",
    "settings",
    "valid",
    "verdict",
    "attempted",
    "acknowledged",
    "refused",
    "unknown",
    "runs",
    "lost",
    "duplicated",
    "wrong",
    "stuck",
    "accepted_per_s",
    "completed_per_s",
    "accept_ms",
    "queue_ms",
    "end_to_end_ms",
    "cpu_ms_per_run",
    "wal_bytes_per_run",
    "transactions_per_run",
    "cost_per_run",
    "rss_bytes_max",
    "floor_runs_per_s",
    "floor_ratio",
    "started_us",
    "digest",
)
COUNTS = ("attempted", "acknowledged", "refused", "unknown", "runs", "lost", "duplicated", "wrong", "stuck")
NO_FIGURES = Figures(None, None, None, None, None, None, None, None)


class Judged(Protocol):
    """What the judge says of a run, as far as it goes into the summary."""

    @property
    def verdict(self) -> str: ...

    @property
    def valid(self) -> bool: ...

    @property
    def counts(self) -> Any: ...


def summarise(folder: Path, judged: Judged) -> dict[str, Any]:
    """Write `summary.json`, and `levels.json` for a closed model; returns the summary."""
    plan, versions = read_document(folder / "plan.json"), _optional(folder / "versions.json") or {}
    floor = _optional(folder / "floor.json")
    told = phases.read(folder)
    steady = phases.steady(told)
    with open_evidence(folder) as evidence:
        figures = evidence.figures(steady) if evidence else NO_FIGURES
        rss_bytes_max = evidence.rss_bytes_max() if evidence else {}
        if evidence:
            # Percentiles of several runs come from their histograms, added, and never from their percentiles.
            write_document(folder / "histograms.json", evidence.histograms(steady))
        if evidence and any(phase.level for phase in steady):
            write_document(
                folder / "levels.json",
                [{"in_flight": phase.level, **asdict(evidence.figures([phase]))} for phase in steady],
            )
    floor_runs_per_s = floor["runs_per_s"] if floor else None
    summary = {
        "profile": plan["profile"],
        "scenario": plan["scenario"],
        "seed": plan["seed"],
        "commit": versions.get("commit"),
        "versions": {name: versions.get(name) for name in ("engine", "python", "packages", "postgres", "machine")},
        "settings": plan["settings"],
        "valid": judged.valid,
        "verdict": str(judged.verdict),
        **{name: getattr(judged.counts, name) for name in COUNTS},
        **asdict(figures),
        "rss_bytes_max": rss_bytes_max,
        "floor_runs_per_s": floor_runs_per_s,
        "floor_ratio": ratio(figures.completed_per_s, floor_runs_per_s),
        "started_us": min((phase.from_us for phase in told), default=None),
        "digest": plan.get("digest"),
    }
    write_document(folder / "summary.json", {key: summary[key] for key in KEYS})
    return summary


def ratio(rate: float | None, floor: float | None) -> float | None:
    """A rate as a part of the floor."""
    return rate / floor if rate is not None and floor else None


def _optional(path: Path) -> Any:
    return read_document(path) if path.exists() else None
