"""Why a run is not running, from everything that is known about it: in words, with what to do next. Pure.

Several things may hold a run up at once; each is a reason of its own, and what is to be dealt with first comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from meshhook.model import TERMINAL, State
from meshhook.waiting import Standing

AHEAD_MAX: Final = 10_000
_SHOWN_MAX: Final = 20
_ABOUT: Final = timedelta(seconds=1)

ReasonKind = Literal[
    "finished", "no-worker", "signal", "paused", "held", "holder-gone", "entering", "limit", "rate", "queued", "call", "retry",
    "timer", "event", "child", "host", "gathering", "moving",
]  # fmt: skip


class Cause(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that holds a run up. ``text`` says what it is, ``next`` what can be done about it.

    What else is there depends on ``kind``: ``node`` is the path of the step, ``until`` when it is over by itself, ``worker`` who
    has the run, ``run_ids`` which runs it waits for, ``position`` how many are before it, ``estimate_s`` how long that may take at
    the present pace, ``event`` and ``key`` what it waits for, ``attempt`` and ``error`` how the last attempt ended.
    """

    kind: ReasonKind
    text: str
    next: str
    node: str | None = None
    until: datetime | None = None
    worker: str | None = None
    run_ids: list[UUID] = []
    position: int | None = None
    estimate_s: float | None = None
    event: str | None = None
    key: str | None = None
    attempt: int | None = None
    error: Any = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a run at the moment ``now``.

    ``state`` is what its journal folds to, ``None`` when that is too large to be read for this; ``standing`` its place in the
    queue, ``None`` for a finished one. ``ahead`` ready runs of its project stand before it, ``pace_per_s`` runs a second were
    committed lately. ``signals`` are the kinds of what lies in its inbox. ``failures`` is the last ``call.failed`` of each step.
    """

    now: datetime
    run_id: str
    status: str
    state: State | None
    standing: Standing | None
    workers: int
    holder_lives: bool = False
    ahead: int = 0
    pace_per_s: float = 0.0
    signals: list[str] = field(default_factory=list)
    paused_by: str | None = None
    failures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def told(events: Iterable[Mapping[str, Any]]) -> tuple[str | None, dict[str, Mapping[str, Any]]]:
    """From a journal: who paused the run last, and the last ``call.failed`` of each step."""
    paused_by, failures = None, {}
    for event in events:
        if event["type"] == "run.paused":
            paused_by = event["by"]
        elif event["type"] == "call.failed":
            failures[event["node"]] = event
    return paused_by, failures


def reasons(facts: Facts) -> list[Cause]:
    """Every reason why the run is not running, what is to be dealt with first at the front. Never empty."""
    if facts.status in TERMINAL:
        return [_finished(facts)]
    found = [*_around(facts), *_place(facts), *_steps(facts)]
    return found or [
        Cause(
            kind="moving",
            text="A worker is at it just now, or has just put it back.",
            next="Ask again in a moment; its journal says what it does.",
        )
    ]


def _finished(facts: Facts) -> Cause:
    again = {
        "completed": "Look at its output: meshhook runs show " + facts.run_id,
        "failed": f"See why: meshhook dead-letters show {facts.run_id}. Begin it again with `runs replay` or `runs resume-from`.",
        "cancelled": f"Begin it again: meshhook runs replay {facts.run_id}",
    }
    return Cause(kind="finished", text=f"It is finished: {facts.status}.", next=again[facts.status])


def _around(facts: Facts) -> Iterator[Cause]:
    """What holds it up whatever its steps do."""
    if facts.workers == 0:
        yield Cause(
            kind="no-worker",
            text="No worker is alive, so no run goes on.",
            next="Start one: meshhook work. If one should be there, look at its log.",
        )
    if facts.signals:
        kinds = ", ".join(dict.fromkeys(facts.signals))
        yield Cause(
            kind="signal",
            text=f"Something lies in its inbox that no worker has taken yet: {kinds}.",
            next="Workers take it within moments. If it stays, look whether they are overloaded: meshhook doctor",
        )
    if facts.state is not None and facts.state.paused:
        yield Cause(
            kind="paused",
            text=f"It was paused by {facts.paused_by or 'somebody'}.",
            next=f"Let it go on: meshhook runs resume {facts.run_id}",
        )


def _place(facts: Facts) -> Iterator[Cause]:
    """Where it stands in the queue."""
    standing = facts.standing
    if standing is None:
        return
    match standing.state:
        case "leased":
            yield _held(facts, standing)
        case "entering":
            yield Cause(
                kind="entering",
                text="It has come in, and the key of its limit is about to be computed.",
                next="A worker does that within moments.",
                position=standing.ahead,
            )
        case "in line":
            yield from _in_line(facts, standing)
        case "ready":
            yield _queued(facts)


def _held(facts: Facts, standing: Standing) -> Cause:
    worker, until = standing.owner, standing.due_at
    if facts.holder_lives:
        return Cause(
            kind="held",
            text=f"The worker {worker} has it under a lease until {_clock(until)}, which it renews while it works.",
            next="It is running; its steps are below.",
            worker=worker,
            until=until,
        )
    if until > facts.now:
        return Cause(
            kind="holder-gone",
            text=f"The worker {worker} has it under a lease until {_clock(until)}, and was not seen lately: it may be gone.",
            next="When the lease is over, another worker takes it. Nothing is lost.",
            worker=worker,
            until=until,
        )
    return Cause(
        kind="holder-gone",
        text=f"The lease of the worker {worker} ended at {_clock(until)}, and nobody has taken it over yet.",
        next="The next worker that is free takes it. If none does: meshhook doctor",
        worker=worker,
        until=until,
    )


def _in_line(facts: Facts, standing: Standing) -> Iterator[Cause]:
    lane = f"the runs of {standing.workflow}" + (
        "" if standing.key in (None, "null") else f" with the key {standing.key}"
    )
    full = standing.limit is not None and len(standing.holders) >= standing.limit
    if full or standing.starts is None:
        yield Cause(
            kind="limit",
            text=f"Of {lane}, {standing.limit} may be worked on at once, and {_many(standing.ahead)} before it.",
            next="It starts when those in `run_ids` end or only wait. Look at them, or raise settings.concurrency.limit.",
            run_ids=standing.holders[:_SHOWN_MAX],
            position=standing.ahead,
            key=standing.key,
        )
    if standing.starts is not None and standing.per_s is not None:
        each_s = standing.per_s / standing.starts
        until = standing.token_at if standing.token_at is not None and standing.token_at > facts.now else None
        yield Cause(
            kind="rate",
            text=f"Of {lane}, {standing.starts} may start in {standing.per_s:g} s, and {_many(standing.ahead)} before it.",
            next="It starts when its turn comes. If that is too slow, raise settings.rate.limit.",
            position=standing.ahead,
            estimate_s=round(standing.ahead * each_s, 1),
            until=until if standing.ahead == 0 else None,
            key=standing.key,
        )


def _queued(facts: Facts) -> Cause:
    estimate = round(facts.ahead / facts.pace_per_s, 1) if facts.pace_per_s > 0 and facts.workers else None
    pace = (
        ""
        if estimate is None
        else f" Workers commit about {facts.pace_per_s:,.0f} runs a second, all projects together."
    )
    return Cause(
        kind="queued",
        text=f"It waits for a worker, and of its project {_many(facts.ahead)} before it.{pace}",
        next="If that takes too long, start more workers.",
        position=facts.ahead,
        estimate_s=estimate,
    )


def _steps(facts: Facts) -> Iterator[Cause]:
    """What its steps wait for."""
    state = facts.state
    if state is None:
        return
    if _is_gathering(facts, state):
        yield _gathering(facts, state)
        return
    yield from _calls(facts, state)
    for node, until in sorted(state.timers.items(), key=lambda timer: timer[1])[:_SHOWN_MAX]:
        yield Cause(
            kind="timer",
            text=f"The delay {node} lasts until {_clock(until)}.",
            next="It goes on by itself then.",
            node=node,
            until=until,
        )
    for node, wait in [it for it in state.waits.items() if it[0] not in state.received][:_SHOWN_MAX]:
        key = f" --key {wait.key!r}" if wait.key else ""
        yield Cause(
            kind="event",
            text=f"{node} waits for the event {wait.name} with the key {wait.key!r}, until {_clock(wait.until)}.",
            next=f"Send it: meshhook event send {wait.name}{key}",
            node=node,
            until=wait.until,
            event=wait.name,
            key=wait.key,
        )
    for node, child in [it for it in state.children.items() if it[0] not in state.child_ends][:_SHOWN_MAX]:
        yield Cause(
            kind="child",
            text=f"{node} waits for the end of the run {child}.",
            next=f"Ask why that one is not done: meshhook runs why {child}",
            node=node,
            run_ids=[UUID(child)],
        )
    yield from _host(facts, state)


def _is_gathering(facts: Facts, state: State) -> bool:
    """Whether it waits for further deliveries: then nothing but deliveries is in its journal."""
    asleep = facts.standing is not None and facts.standing.state == "asleep"
    return asleep and state.gathers is not None and state.events == state.deliveries


def _gathering(facts: Facts, state: State) -> Cause:
    assert facts.standing is not None
    until = facts.standing.due_at
    last = ", or later, when more come" if state.gathers == "debounce" else ", or when it has as many as it may"
    return Cause(
        kind="gathering",
        text=f"It gathers deliveries, {state.deliveries} so far, and starts at {_clock(until)}{last}.",
        next="It starts by itself. How long it waits is in the settings of its endpoint.",
        until=until,
    )


def _calls(facts: Facts, state: State) -> Iterator[Cause]:
    for node, attempt in list(state.calls.items())[:_SHOWN_MAX]:
        failure = facts.failures.get(node)
        error = failure["error"] if failure is not None else None
        why = f" The one before failed: {error.get('reason', error.get('type'))}." if error else ""
        if attempt.under_way:
            yield Cause(
                kind="call",
                text=f"The call {node} is under way, attempt {attempt.number}.{why}",
                next="Wait for its answer, at most for the timeout_s of the node.",
                node=node,
                attempt=attempt.number,
                error=error,
            )
        elif attempt.retry_at is not None and attempt.retry_at > facts.now:
            yield Cause(
                kind="retry",
                text=f"The call {node} is tried again at {_clock(attempt.retry_at)}, as attempt {attempt.number + 1}.{why}",
                next="If the reason will not go away, cancel the run and resume it from this step later.",
                node=node,
                until=attempt.retry_at,
                attempt=attempt.number,
                error=error,
            )


def _host(facts: Facts, state: State) -> Iterator[Cause]:
    """A run that sleeps until a moment that is none of its steps': its call waits for its host, which is in no journal."""
    standing = facts.standing
    if standing is None or standing.state != "asleep" or state.paused:
        return
    times = [*state.timers.values(), *state.deadlines.values(), *(wait.until for wait in state.waits.values())]
    times += [attempt.retry_at for attempt in state.calls.values() if attempt.retry_at is not None]
    if any(abs(standing.due_at - time) < _ABOUT for time in times) or standing.due_at > facts.now + timedelta(days=366):
        return
    yield Cause(
        kind="host",
        text=f"A call waits for its turn, until {_clock(standing.due_at)} at the latest: its host is busy, slow or down, or all "
        "places for calls are taken.",
        next="Look at the host. Settings: calls_per_host_max, calls_per_host_per_s, calls_max.",
        until=standing.due_at,
    )


def _many(ahead: int) -> str:
    if ahead == 0:
        return "none stands"
    return f"{'at least ' if ahead >= AHEAD_MAX else ''}{ahead:,} stand{'s' if ahead == 1 else ''}"


def _clock(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")
