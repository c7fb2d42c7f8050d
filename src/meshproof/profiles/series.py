"""Several runs one after the other, each in a folder of its own with its own evidence and report, and what they say together."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.text import Text

from meshproof.display import Display
from meshproof.evidence import prepare
from meshproof.judge import FAMILIES
from meshproof.judge.verdicts import Result, Verdict, read, worst
from meshproof.ledger import write_document
from meshproof.load.backlog import BacklogError
from meshproof.load.generator import GeneratorError
from meshproof.profiles import session
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper
from meshproof.report import series_page
from meshproof.rest import ApiError
from meshproof.supervise import ProcessError
from meshproof.target import TargetError

ERRORS = (ApiError, BacklogError, GeneratorError, ProcessError, TargetError, OSError, TimeoutError)
"""What one run may end in without taking the others with it."""

NOTHING_ASKED: Final = "plans"
"""What an invariant was held against that had nothing to say of a run: its plan, which did not ask for it."""


@dataclass(frozen=True)
class Part:
    """One of the runs."""

    name: str
    """Of its folder."""
    title: str
    settings: RunSettings
    run: Callable[[RunSettings, Display, Reaper], Awaitable[session.Result]]


async def play(parts: Sequence[Part], out: Path, display: Display, reaper: Reaper) -> list[dict[str, Any]]:
    """Run each in its turn; returns what came of each, as it stands in series.json."""
    played = []
    began = time.monotonic()
    for number, part in enumerate(parts, start=1):
        display.finish()
        passed = f"{(time.monotonic() - began) / 60:.1f} min so far"
        display.say(Text(f"\n{number} of {len(parts)}  {part.title}", "bold") + Text(f"  {passed}", "dim"))
        played.append(await _play(part, display, reaper))
        display.finish()
        display.say(_line(played[-1]))
        # What is there by now can be looked at by now.
        write_document(out / "series.json", {"parts": played})
    return played


async def _play(part: Part, display: Display, reaper: Reaper) -> dict[str, Any]:
    began = time.monotonic()
    said: dict[str, Any] = {"name": part.name, "title": part.title, "profile": part.settings.profile}
    try:
        prepare(part.settings.out)
        result = await part.run(part.settings, display, reaper)
    except ERRORS as error:
        why = f"The run did not come to its end: {error}"
        return {
            **said,
            "verdict": str(Verdict.UNKNOWN),
            "reason": why,
            "seconds": time.monotonic() - began,
            "summary": None,
        }
    return {
        **said,
        "verdict": str(result.verdicts.verdict),
        "reason": result.verdicts.reason,
        "seconds": time.monotonic() - began,
        "summary": result.summary,
    }


def _line(played: dict[str, Any]) -> Text:
    style = {"pass": "bold green", "fail": "bold red"}.get(played["verdict"], "bold yellow")
    return (
        Text(f"{played['verdict']:8}", style)
        + Text(f"{played['reason']}  ")
        + Text(f"{played['seconds']:.0f} s", "dim")
    )


def coverage(folder: Path, played: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By family: what its invariants were held against in all runs together, and those that were never asked anything."""
    results: dict[str, list[Result]] = {family: [] for family in FAMILIES}
    for part in played:
        try:
            verdicts = read((folder / part["name"] / "verdicts.json").read_bytes())
        except (OSError, msgspec.MsgspecError):
            continue
        for result in verdicts.results:
            results.setdefault(result.family, []).append(result)
    return {family: _covered(found) for family, found in results.items()}


def _covered(results: Sequence[Result]) -> dict[str, Any]:
    asked = [result for result in results if result.of_what != NOTHING_ASKED and result.checked]
    return {
        "verdict": str(worst([result.verdict for result in results]) if results else Verdict.UNKNOWN),
        "facts": sum(result.checked for result in asked),
        "not_asked": sorted({result.name for result in results} - {result.name for result in asked}),
    }


def conclude(folder: Path, kind: str, played: Sequence[dict[str, Any]], more: dict[str, Any]) -> dict[str, Any]:
    """Write `series.json` and the page of the series; the whole is as good as its worst run. `more` may name `shortcomings`."""
    short = more.get("shortcomings", [])
    verdict = worst([*(Verdict(part["verdict"]) for part in played), *(Verdict.UNKNOWN for _ in short)])
    bad = [f"{part['title']}: {part['verdict']}" for part in played if part["verdict"] != Verdict.PASS]
    reason = f"All {len(played)} runs pass." if not bad and not short else "; ".join([*bad, *short]) + "."
    document = {
        "kind": kind,
        "verdict": str(verdict),
        "reason": reason,
        "seconds": sum(part["seconds"] for part in played),
        "parts": list(played),
        **more,
    }
    write_document(folder / "series.json", document)
    series_page.write(folder)
    return document
