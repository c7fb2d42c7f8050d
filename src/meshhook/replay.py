"""Whether a run can be repeated: the machine, given the same start and the same definition, must produce the same events. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from meshhook import machine
from meshhook.model import Definition, State, Wants
from meshhook.verify import Difference, Record

_BEFORE_ALL_TIME: Final = datetime(1, 1, 2, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


def is_repeatable(record: Record) -> bool:
    """Whether a run can be repeated: one that ended by a fault of the engine can't, for no machine repeats that."""
    last = record.events()[-1]
    return not (last["type"] == "run.failed" and last["error"].get("type") == "engine")


def divergence(record: Record, definition: Definition) -> Difference | None:
    """The first event in which a repetition differs from the journal, byte for byte; ``None`` when none does.

    Leases are left out: who held a run and for how long is not the workflow's doing. A live run is compared as far as it is.

    Raises:
        JournalError: the journal does not begin with ``run.accepted``.
    """
    first, *journaled = [event for event in record.events() if not event["type"].startswith("lease.")]
    state = machine.fold([first])
    repeated = _repeat(record, definition, state)
    for event in journaled:
        if _came_from_outside(event, definition, state):
            machine.apply(state, event)
            repeated = _repeat(record, definition, state)
            continue
        expected = next(repeated, None)
        if expected != _encode(event):
            return Difference(record.id, "a repetition gives the same events", _text(expected), _text(_encode(event)))
    surplus = next(repeated, None) if record.finished_at is not None else None
    if surplus is not None:
        return Difference(record.id, "a repetition gives the same events", _text(surplus), "the end of the journal")
    return None


def _came_from_outside(event: dict[str, Any], definition: Definition, state: State) -> bool:
    """Whether an event is the world's doing, or the clock's: it is taken as it was, and the machine goes on from there."""
    if event["type"] in ("timer.set", "call.started", "call.failed"):
        return True
    if event["type"] == "step.completed":
        node = definition.nodes.get(event["node"])
        return node is not None and node.type in ("http_call", "delay")
    return event["type"] in ("step.failed", "run.failed") and event.get("error", {}).get("type") == "call"


def _repeat(record: Record, definition: Definition, state: State) -> Iterator[bytes]:
    """What the machine does by itself: no timer ends, and every call is somebody's."""
    calls = [id for id, node in definition.nodes.items() if node.type == "http_call"]
    for events in machine.advance(definition, state, str(record.id), _BEFORE_ALL_TIME, Wants(), calls):
        yield from (event.json for event in events if event.body["type"] != "timer.set")


def _text(event: bytes | None) -> str:
    if event is None:
        return "nothing more"
    text = event.decode()
    return text if len(text) <= 500 else text[:400] + " … " + text[-90:]
