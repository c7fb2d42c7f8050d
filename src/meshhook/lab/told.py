"""What the events of a test add up to (docs/concurrency/events.md). Pure: lines go in, where it stands comes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

State = Literal["running", "ended", "cancelled", "interrupted", "refused"]
"""``ended`` has a verdict; ``cancelled`` was broken off because somebody said so, ``interrupted`` for any other reason; ``refused``
did not begin."""

Word = Literal["pass", "fail", "invalid", "unknown"]


class PerSecond(msgspec.Struct, frozen=True):
    """How many a second, since the last look."""

    sent: float | None
    acknowledged: float
    finished: float | None


class LiveFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the last look of a test saw; what it could not read is null."""

    at_us: int
    t_s: float
    phase: str
    sent: int | None
    acknowledged: int
    refused: int
    unknown: int
    in_flight: int
    accepted: int | None
    finished: int | None
    backlog: int | None
    missing: int | None
    per_s: PerSecond
    accept_ms: dict[str, float] | None
    accept_ms_so_far: dict[str, float] | None


class FamilyStanding(msgspec.Struct):
    """The invariants of one family that were judged so far. ``asked``: this test had something of the kind."""

    name: str
    verdict: Word
    judged: int = 0
    asked: bool = False
    checked: int = 0


class Standing(msgspec.Struct):
    """Where a test stands by what it told. ``part`` is what it does: planning, starting, load, drain, saving, judging."""

    part: str | None = None
    doing: str | None = None
    verdict: Word | None = None
    reason: str | None = None
    is_over: bool = False
    is_interrupted: bool = False
    figures: LiveFigures | None = None
    adapted: list[str] = msgspec.field(default_factory=list)
    command: str | None = None
    families: list[FamilyStanding] = msgspec.field(default_factory=list)
    last: int = 0


_ORDER: Final = ("fail", "invalid", "unknown", "pass")


def fold(lines: Iterable[bytes]) -> Standing:
    """Where a test stands. A last line that was cut off is left out: it will be whole soon, or never."""
    standing, families = Standing(), dict[str, FamilyStanding]()
    for line in lines:
        if line.endswith(b"\n"):
            _take(standing, families, msgspec.json.decode(line))
    standing.families = list(families.values())
    return standing


def _take(standing: Standing, families: dict[str, FamilyStanding], told: dict[str, Any]) -> None:
    standing.last = told["n"]
    match told["event"]:
        case "step":
            standing.part, standing.doing = told["part"], told["what"]
        case "started":
            standing.command, standing.adapted = told.get("command"), told.get("adapted") or []
        case "figures":
            standing.figures = msgspec.convert(told, LiveFigures)
        case "judged":
            family = families.setdefault(told["family"], FamilyStanding(told["family"], "pass"))
            family.judged += 1
            family.asked = family.asked or told["of_what"] != "plans"
            family.checked += told["checked"] if told["of_what"] != "plans" else 0
            family.verdict = min(family.verdict, told["verdict"], key=_ORDER.index)
        case "ended":
            standing.is_over, standing.is_interrupted = True, told["interrupted"]
            standing.verdict, standing.reason = told["verdict"], told["reason"]
