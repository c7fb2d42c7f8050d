"""What a figure is: its name, its unit, and which way is better.

A name is the way through `summary.json`, or through a row of `bench.json`: `end_to_end_ms.p99`, `pipeline.runs_per_s`. The same
names are used in thresholds, comparisons, the history and the figures of the documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final

from meshproof.stats import PERCENTILES
from meshproof.summary import COUNTS, KEYS

CLOSE: Final = 3
"""How many names are offered in place of one that is unknown."""


class Better(StrEnum):
    """Which way a figure gets better; `NEITHER` for what follows from the plan or the machine, not from the engine."""

    MORE = "more"
    LESS = "less"
    NEITHER = "neither"


# The first pattern that fits a name says which way is better. What fits none is told, and never judged.
DIRECTIONS: Final[tuple[tuple[str, Better], ...]] = (
    # The floor is the machine's, and what the suite itself takes is not the engine's.
    ("floor.*", Better.NEITHER),
    ("floor_keyed.*", Better.NEITHER),
    ("*floor_runs_per_s", Better.NEITHER),
    ("*generator_*", Better.NEITHER),
    ("*rss_bytes_max.generator", Better.NEITHER),
    ("*rss_bytes_max.suite", Better.NEITHER),
    ("*rss_bytes_max.sink", Better.NEITHER),
    # What is offered and what is refused is the plan's doing as much as the engine's.
    ("*offered_per_s", Better.NEITHER),
    ("*refused_per_s", Better.NEITHER),
    # The slowest of all is one value, and no distribution.
    ("*_ms.max", Better.NEITHER),
    ("*floor_ratio", Better.MORE),
    ("*_per_s", Better.MORE),
    ("*.of_best", Better.MORE),
    ("*.of_unchecked", Better.MORE),
    ("*_ms.p*", Better.LESS),
    ("*_ms_per_run", Better.LESS),
    ("*_bytes_per_run", Better.LESS),
    ("*transactions_per_run", Better.LESS),
    ("*rss_bytes_max*", Better.LESS),
    ("*last_fired_s", Better.LESS),
    ("lost", Better.LESS),
    ("*.lost", Better.LESS),
    ("duplicated", Better.LESS),
    ("wrong", Better.LESS),
    ("stuck", Better.LESS),
)

# Documents inside a summary that say how it was made.
MAKING: Final = frozenset(
    ("machine", "histograms", "settings", "versions", "seed", "commit", "profile", "scenario", "started_us", "digest")
)
ANALYSIS: Final = "analysis"
"""Under this name stands what `analysis.json` says, where the profile has one."""
LATENCIES: Final = tuple(key for key in KEYS if key.endswith("_ms"))


def better(name: str) -> Better:
    """Which way this figure gets better."""
    return next((way for pattern, way in DIRECTIONS if fnmatchcase(name, pattern)), Better.NEITHER)


def figures(document: dict[str, Any]) -> dict[str, float]:
    """Every figure of a `summary.json` or a `bench.json` by its name; what is null is left out."""
    rows = document.get("rows")
    if isinstance(rows, dict):
        return {**_leaves(rows), "lost": float(document.get("lost") or 0)}
    return _leaves(document)


def expected() -> list[str]:
    """The names every run has, as far as they are known before it."""
    names = []
    for key in KEYS:
        if key in LATENCIES:
            names += [f"{key}.{percentile}" for percentile in (*PERCENTILES, "max")]
        elif key == "rss_bytes_max":
            names += [f"{key}.{role}" for role in ("api", "worker", "postgres", "generator", "suite", "sink")]
        elif key not in MAKING | {"valid", "verdict"}:
            names.append(key)
    return names


def may_be(name: str) -> bool:
    """Whether some run may tell a figure of this name: one of those every run has, or a part of what only some profiles tell."""
    first, _, rest = name.partition(".")
    parts = {ANALYSIS, *KEYS} - {*LATENCIES, *MAKING, *COUNTS}
    return name in expected() or (bool(rest) and first in parts)


def close_to(name: str, names: Iterable[str]) -> list[str]:
    """The names that somebody who wrote this one may have meant, likeliest first."""
    words = _words(name)

    def likeness(other: str) -> tuple[float, float]:
        theirs = _words(other)
        return len(words & theirs) / len(words | theirs), SequenceMatcher(None, name, other).ratio()

    likely = sorted(set(names), key=lambda other: (likeness(other), other), reverse=True)[:CLOSE]
    return [other for other in likely if likeness(other)[0] > 0 or likeness(other)[1] > 0.6]


def shown(name: str, value: float) -> str:
    """A figure as people read it, with its unit."""
    if "bytes" in name and "per_run" not in name:
        return f"{value / 1e6:,.1f} MB"
    if name.endswith("_per_s"):
        return f"{value:,.0f}/s"
    if "_ms.p" in name or name.endswith((".max", "_ms")):
        return f"{value:,.1f} ms"
    if "ms_per_run" in name:
        return f"{value:,.3f} ms"
    if "bytes_per_run" in name:
        return f"{value:,.0f} bytes"
    if name.endswith("_s"):
        return f"{value:,.2f} s"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"


def _leaves(document: dict[str, Any], before: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for key, value in document.items():
        if key in MAKING:
            continue
        if isinstance(value, dict):
            found |= _leaves(value, f"{before}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[f"{before}{key}"] = float(value)
    return found


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[._/ -]+", name.lower()))
