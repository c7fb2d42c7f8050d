"""What a schedule is told, and what follows from it at a moment: which ticks start a run, which are left out, when to look again.

Pure: ``schedules`` reads and writes the database, here it is decided.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec

from meshhook.cron import BEGIN, END, Cron, Every, Rule, newest, zone_of
from meshhook.errors import CronError, ExpressionError, Fault
from meshhook.mapping import Render, compile_template

AT_ONCE_MAX: Final = 1_000
"""Ticks looked at in one go; of a longer absence, older ones are gone uncounted."""

HELD_LOOK: Final = timedelta(seconds=1)
"""How often it is looked whether the run before has ended, while a tick waits for that."""

_TICK: Final = timedelta(microseconds=1)
_YEAR_S: Final = 366 * 86_400
_EXAMPLE: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Timetable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """When a schedule starts runs, with what, and what happens to ticks that come late or too early.

    Exactly one of ``cron`` and ``every_s``. ``input`` is JSON whose strings may hold ``{{ }}`` over ``trigger``.
    """

    cron: str | None = None
    every_s: Annotated[int, msgspec.Meta(ge=1, le=_YEAR_S)] | None = None
    timezone: str = "UTC"
    input: Any = None
    overlap: Literal["allow", "skip", "queue"] = "allow"
    missed: Literal["skip", "once", "all"] = "once"
    missed_max: Annotated[int, msgspec.Meta(ge=1, le=AT_ONCE_MAX)] = 100
    grace_s: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 60
    jitter_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0
    starts_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    ends_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Tick(NamedTuple):
    """A tick that starts a run. ``missed`` tells that its time was over by more than the grace."""

    at: datetime
    missed: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a schedule now, and where it stands then.

    ``held_at`` is the tick that waits for the run before to end; ``tick_at`` the next one, and ``due_at`` when to look again.
    ``skipped`` ticks met a live run, ``missed`` ones were too late.
    """

    start: list[Tick]
    held_at: datetime | None
    tick_at: datetime | None
    due_at: datetime | None
    skipped: int
    missed: int


class Shown(msgspec.Struct, frozen=True):
    """A tick for people: on the clock of its zone and in UTC. ``note`` tells of summer time and of clocks that were changed."""

    at: datetime
    local: datetime
    note: str


def upcoming(timetable: Timetable, after: datetime, count: int) -> list[Shown]:
    """The next ticks after a moment."""
    rule, zone = rule_of(timetable), zone_of(timetable.timezone)
    found: list[Shown] = []
    after = min(max(after, BEGIN), END)
    before, tick = after.astimezone(zone), _next(timetable, rule, after)
    while tick is not None and len(found) < count:
        local = tick.astimezone(zone)
        found.append(Shown(tick, local, _note(local, before)))
        before, tick = local, _next(timetable, rule, tick)
    return found


def faults_of(timetable: Timetable) -> list[Fault]:
    """Everything that is wrong with a timetable, with its place."""
    faults: list[Fault] = []
    if (timetable.cron is None) == (timetable.every_s is None):
        faults.append(Fault("$", "missing", "exactly one of cron and every_s says when it ticks"))
    else:
        try:
            rule_of(timetable)
        except CronError as error:
            path = "$.timezone" if "time zone" in str(error) else "$.cron"
            faults.append(Fault(path, "wrong-value", str(error)))
    for name in ("starts_at", "ends_at"):
        moment = getattr(timetable, name)
        if moment is not None and not BEGIN <= moment <= END:
            faults.append(Fault(f"$.{name}", "wrong-value", f"it must lie between {BEGIN.year} and {END.year}"))
    if timetable.starts_at and timetable.ends_at and timetable.ends_at < timetable.starts_at:
        faults.append(Fault("$.ends_at", "wrong-value", "it ends before it starts"))
    if not faults:
        faults += _input_faults(timetable)
    return faults


def rule_of(timetable: Timetable) -> Rule:
    """When it ticks.

    Raises:
        CronError: the expression or the time zone is none.
    """
    if timetable.cron is not None:
        return Cron.parse(timetable.cron, timetable.timezone)
    zone_of(timetable.timezone)
    every = timetable.every_s or _YEAR_S
    return Every(every) if timetable.starts_at is None else Every(every, timetable.starts_at.astimezone(UTC))


def first_tick(timetable: Timetable, now: datetime) -> datetime | None:
    """The first tick of a schedule that begins, or goes on, now."""
    return _next(timetable, rule_of(timetable), now)


def due_at(timetable: Timetable, salt: str, tick: datetime) -> datetime:
    """When a tick starts its run: at its time, or later by a jitter that is always the same for the same tick."""
    if timetable.jitter_s == 0:
        return tick
    share = int.from_bytes(hashlib.sha256(f"{salt}/{tick.isoformat()}".encode()).digest()[:8]) / 2**64
    return tick + timedelta(seconds=timetable.jitter_s * share)


def plan(
    timetable: Timetable, salt: str, tick_at: datetime | None, held_at: datetime | None, is_live: bool, now: datetime
) -> Plan:
    """Decide about every tick that is due.

    Args:
        salt: what the jitter is drawn from. tick_at: the next tick. held_at: the one that waits. is_live: the run started last has
            not ended.
    """
    rule = rule_of(timetable)
    due, next_at = _due(timetable, rule, salt, tick_at, now)
    kept, missed = _not_missed(timetable, salt, due, now)
    waiting = [Tick(held_at, missed=False)] if held_at is not None else []
    start, held_at, skipped = _without_overlap(timetable, [*waiting, *kept], is_live)
    looks = [due_at(timetable, salt, next_at)] if next_at is not None else []
    looks += [now + HELD_LOOK] if held_at is not None else []
    return Plan(start, held_at, next_at, min(looks, default=None), skipped, missed)


def trigger_of(timetable: Timetable, schedule: str, tick: Tick, fired_at: datetime) -> dict[str, Any]:
    """The ``trigger`` a run sees.

    ``tick`` is the moment in UTC, ``scheduled_at`` the same on the clock of the time zone.

    Raises:
        ExpressionError: the template of the input fails.
    """
    zone = zone_of(timetable.timezone)
    head: dict[str, Any] = {
        "schedule": schedule,
        "tick": _text(tick.at),
        "scheduled_at": tick.at.astimezone(zone).isoformat(),
        "fired_at": _text(fired_at),
        "missed": tick.missed,
    }
    return head | {"body": _render(timetable)({"trigger": head, "input": None, "steps": {}, "run": {}})}


def _note(local: datetime, before: datetime) -> str:
    offset, offset_before = local.utcoffset(), before.utcoffset()
    assert offset is not None
    assert offset_before is not None
    words = ["DST"] if local.dst() else []
    if offset != offset_before:
        way, by = ("forward", offset - offset_before) if offset > offset_before else ("back", offset_before - offset)
        words.append(f"clocks went {way} by {by}")
    return ", ".join(words)


def _due(
    timetable: Timetable, rule: Rule, salt: str, tick_at: datetime | None, now: datetime
) -> tuple[list[datetime], datetime | None]:
    """The ticks whose time has come, and the next one."""
    if tick_at is None:
        return [], None
    until = now if timetable.ends_at is None else min(now, timetable.ends_at)
    found = newest(rule, tick_at - _TICK, until, AT_ONCE_MAX)
    for place, tick in enumerate(found):
        if due_at(timetable, salt, tick) > now:
            return found[:place], tick
    return found, _next(timetable, rule, max(until, tick_at - _TICK))


def _next(timetable: Timetable, rule: Rule, after: datetime) -> datetime | None:
    if timetable.starts_at is not None:
        after = max(after, timetable.starts_at - _TICK)
    tick = rule.after(after)
    ended = tick is not None and timetable.ends_at is not None and tick > timetable.ends_at
    return None if ended else tick


def _not_missed(timetable: Timetable, salt: str, due: list[datetime], now: datetime) -> tuple[list[Tick], int]:
    """What the policy for missed ticks leaves, and how many it leaves out."""
    grace = timedelta(seconds=timetable.grace_s)
    late = [Tick(tick, missed=True) for tick in due if now - due_at(timetable, salt, tick) > grace]
    in_time = [Tick(tick, missed=False) for tick in due[len(late) :]]
    match timetable.missed:
        case "skip":
            made_up = []
        case "once":
            made_up = late[-1:] if not in_time else []  # a run in time makes up for those before it
        case "all":
            made_up = late[-timetable.missed_max :]
    return [*made_up, *in_time], len(late) - len(made_up)


def _without_overlap(timetable: Timetable, ticks: list[Tick], is_live: bool) -> tuple[list[Tick], datetime | None, int]:
    """Which ticks start a run, which one waits, and how many are skipped."""
    if timetable.overlap == "allow":
        return ticks, None, 0
    start = [] if is_live else ticks[:1]
    others = ticks[len(start) :]
    held = others[:1] if timetable.overlap == "queue" else []
    return start, held[0].at if held else None, len(others) - len(held)


def _input_faults(timetable: Timetable) -> list[Fault]:
    compiled: list[tuple[str, ExpressionError]] = []
    compile_template(timetable.input, "$.input", compiled)
    if not compiled:
        try:
            trigger_of(timetable, "name", Tick(_EXAMPLE, missed=False), _EXAMPLE)
        except ExpressionError as error:
            compiled.append(("$.input", error))
    return [Fault(path, "bad-expression", str(error)) for path, error in compiled]


def _render(timetable: Timetable) -> Render:
    return compile_template(timetable.input, "$.input", [])


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
