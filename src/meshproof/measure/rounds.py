"""Rounds: the measurements a comparison is made of, read from wherever they were left.

A place is a folder of one run (`summary.json`, or `bench.json`), a folder of such folders, one of those files itself, or a
baseline. A `summary.json` is a round; a `bench.json` is as many as it has interleaved rounds for the rows that keep them, and
one for the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from meshproof.measure import metrics

SUMMARY, BENCH, HISTOGRAMS, BASELINE = "summary.json", "bench.json", "histograms.json", "rounds"
ROUNDS: Final = "_rounds"
NOT_OF_THE_MACHINE: Final = frozenset({"load_before"})
GIB: Final = 1 << 30


class RoundsError(ValueError):
    """There is nothing to compare in that place; the message says what was looked for."""


@dataclass(frozen=True)
class About:
    """What has to be the same for two rounds to be compared, and when it was."""

    profile: str
    scenario: str
    machine: str
    plan: str
    started_us: int


@dataclass(frozen=True)
class Round:
    """One measurement."""

    about: About
    figures: dict[str, float]
    histograms: dict[str, Any]
    """Encoded histograms of the latencies, by the name of the figure: `accept_ms`."""
    verdict: str | None
    valid: bool | None
    commit: str | None
    document: dict[str, Any]


def read(place: Path) -> list[Round]:
    """The rounds of a place, oldest first; raises RoundsError."""
    found = [one for path in _files(place) for one in _rounds(path)]
    if not found:
        raise RoundsError(
            f"{place} holds no {SUMMARY}, no {BENCH} and no baseline, nor does a folder in it. "
            "Give the folder of a run, or the folder of several."
        )
    return sorted(found, key=lambda one: one.about.started_us)


def of(document: dict[str, Any], histograms: dict[str, Any] | None = None) -> list[Round]:
    """The rounds of one `summary.json` or `bench.json`."""
    made = about(document)
    histograms = histograms or _of_rows(document)
    figures = metrics.figures(document)
    kept = _kept_rounds(document)
    first = Round(
        made,
        figures,
        histograms,
        document.get("verdict"),
        document.get("valid"),
        document.get("commit"),
        document,
    )
    if not kept:
        return [first]
    several = [dict(zip(kept, values, strict=True)) for values in zip(*kept.values(), strict=True)]
    # What the rows keep of each round takes the place of what they say of all; the rest is of the whole, and told once.
    others = {name: value for name, value in figures.items() if name not in kept}
    first_of_all = replace(first, figures={**others, **several[0]})
    return [first_of_all, *(replace(first, figures=each, histograms={}) for each in several[1:])]


def whole(summary: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A summary together with what the analysis of its run says, where the profile has one."""
    analysis = _beside(folder / "analysis.json")
    return {**summary, metrics.ANALYSIS: analysis} if analysis else summary


def about(document: dict[str, Any]) -> About:
    """What a `summary.json` or `bench.json` says of its making."""
    rows = document.get("rows")
    if isinstance(rows, dict):
        settings = {name: _without_rounds(row.get("settings")) for name, row in rows.items()}
        profile, scenario, plan, machine = "bench", "bench", _digest(settings), document.get("machine")
    else:
        profile, scenario = document["profile"], document["scenario"]
        # Older summaries have no digest of their plan: what it was made of stands for it.
        plan = document.get("digest") or _digest([profile, scenario, document.get("seed"), document.get("settings")])
        machine = (document.get("versions") or {}).get("machine")
    return About(profile, scenario, machine_name(machine or {}), plan[:12], document.get("started_us") or 0)


def machine_name(machine: dict[str, Any]) -> str:
    """A machine in words; two with the same ones are taken for the same."""
    memory = machine.get("memory_bytes")
    parts = (
        f"{machine.get('cores')} × {machine.get('processor')}",
        f"{round(memory / GIB)} GiB" if isinstance(memory, int) else "? GiB",
        str(machine.get("system")),
    )
    return ", ".join(parts)


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    for name in (SUMMARY, BENCH):
        if (place / name).exists():
            return [place / name]
    below = sorted(path for path in place.glob("*") if path.is_dir()) if place.is_dir() else []
    return [folder / name for folder in below for name in (SUMMARY, BENCH) if (folder / name).exists()]


def _rounds(path: Path) -> list[Round]:
    try:
        document = msgspec.json.decode(path.read_bytes())
        if not isinstance(document, dict):
            raise RoundsError(f"{path} is no {SUMMARY}, no {BENCH} and no baseline.")
        if BASELINE in document:
            return [one for each in document[BASELINE] for one in of(each["document"], each.get("histograms"))]
        if path.name != SUMMARY:
            return of(document)
        return of(whole(document, path.parent), _beside(path.parent / HISTOGRAMS))
    except (msgspec.MsgspecError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise RoundsError(f"{path} can't be read as a {SUMMARY}, a {BENCH} or a baseline: {error}") from None


def _beside(path: Path) -> dict[str, Any]:
    found = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
    return found if isinstance(found, dict) else {}


def _of_rows(document: dict[str, Any]) -> dict[str, Any]:
    """The histograms in the rows of a benchmark, by row and stage."""
    rows = document.get("rows")
    if not isinstance(rows, dict):
        return {}
    return {
        f"{row}.{stage}": histogram
        for row, told in rows.items()
        for stage, histogram in (told.get("histograms") or {}).items()
    }


def _kept_rounds(document: dict[str, Any]) -> dict[str, list[float]]:
    """What the rows of a benchmark keep of each of their rounds, as long as they have the same number of them."""
    rows = document.get("rows")
    if not isinstance(rows, dict):
        return {}
    kept = {
        f"{row}.{key.removesuffix(ROUNDS)}": values
        for row, told in rows.items()
        for key, values in told.items()
        if key.endswith(ROUNDS) and isinstance(values, list)
    }
    longest = max(map(len, kept.values()), default=0)
    return {name: values for name, values in kept.items() if len(values) == longest > 1}


def _without_rounds(settings: Any) -> Any:
    return (
        {key: value for key, value in settings.items() if key != "rounds"} if isinstance(settings, dict) else settings
    )


def _digest(value: Any) -> str:
    return sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
