"""Whether a run can be repeated: the machine, given the same start and the same definition, must produce the same events. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from meshhook import machine
from meshhook.execution import Execution
from meshhook.model import TIMEOUT_PORT, Definition, Node, Wants
from meshhook.trimming import is_trimmed
from meshhook.verify import Difference, Record

_BEFORE_ALL_TIME: Final = datetime(1, 1, 2, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode

_OUTSIDE: Final = frozenset(
    {"call.started", "call.failed", "event.received", "child.ended", "run.paused", "run.resumed", "run.cancelled"}
)
_VOLATILE: Final = {
    "timer.set": ("until",),
    "deadline.set": ("until",),
    "wait.set": ("until",),
    "child.started": ("run_id",),
}
"""Members that depend on when the event was written: they are taken as they were."""


class _All:
    """Every call is somebody's."""

    def __contains__(self, _: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def is_repeatable(record: Record) -> bool:
    """Whether a run can be repeated: one that ended by a fault of the engine can't, for no machine repeats that; nor can one
    whose payloads were trimmed.
    """
    if any(is_trimmed(event) for event in record.events()):
        return False
    last = record.events()[-1]
    return not (last["type"] == "run.failed" and last["error"].get("type") == "engine")


def divergence(record: Record, definition: Definition) -> Difference | None:
    """The first event in which a repetition differs from the journal, byte for byte; ``None`` when none does.

    Leases are left out: who held a run and for how long is not the workflow's doing. A live run is compared as far as it is.

    Raises:
        JournalError: the journal does not begin with ``run.accepted``.
    """
    events = [event for event in record.events() if not event["type"].startswith("lease.")]
    first, journaled = events[0], [event for event in events if event["type"] != "delivery.added"][1:]
    start = [event for event in events if event["type"] in ("run.accepted", "delivery.added")]
    execution = Execution(definition, machine.fold(start), str(record.id))
    repeated = _repeat(execution)
    failed: set[str] = set()
    kept = first.get("resumes", {}).get("kept", 0)
    for place, event in enumerate(journaled):
        if event["type"] == "step.failed":
            failed.add(event["node"])
        if place < kept or _came_from_outside(event, definition, failed, execution.state.calls):
            execution.take(event)
            repeated = _repeat(execution)
            continue
        expected = _as_then(next(repeated, None), event)
        if expected != _encode(event):
            return Difference(record.id, "a repetition gives the same events", _text(expected), _text(_encode(event)))
        if event["type"] in _VOLATILE:
            machine.apply(execution.state, event)
    surplus = next(repeated, None) if record.finished_at is not None else None
    if surplus is not None:
        more = _text(_encode(surplus))
        return Difference(record.id, "a repetition gives the same events", more, "the end of the journal")
    return None


def _came_from_outside(event: dict[str, Any], definition: Definition, failed: set[str], calls: Collection[str]) -> bool:
    """Whether an event is the world's doing, or the clock's: it is taken as it was, and the machine goes on from there."""
    kind, path = event["type"], event.get("node", "")
    if kind in _OUTSIDE:
        return True
    if kind == "step.completed":
        node = node_at(definition, path)
        if node is None or path in failed:  # what follows from a failure, the machine says
            return False
        return node.type in ("http_call", "delay") or (node.type == "wait_event" and event.get("port") == TIMEOUT_PORT)
    error = event.get("error", {})
    if kind == "step.failed" and error.get("type") == "expression" and path in calls:
        return True  # it was made from a response that nobody journaled
    # A time that is over fails one step, or the run; what that fails in turn follows from it.
    return kind in ("step.failed", "run.failed") and error.get("type") == "timeout" and error.get("node", "") == path


def node_at(definition: Definition, path: str) -> Node | None:
    """The node of the step at a path such as ``each[3].charge``."""
    node, within = None, definition
    for part in path.split("."):
        node = within.nodes.get(part.partition("[")[0])
        if node is None:
            return None
        within = node.body or within
    return node


def _repeat(execution: Execution) -> Iterator[dict[str, Any]]:
    """What the machine does by itself: no timer ends, and every call is somebody's."""
    for events in execution.advance(_BEFORE_ALL_TIME, Wants(), _All()):
        yield from (dict(event.body) for event in events)


def _as_then(expected: dict[str, Any] | None, journaled: dict[str, Any]) -> bytes | None:
    if expected is None:
        return None
    for member in _VOLATILE.get(expected["type"], ()):
        if member in journaled:
            expected[member] = journaled[member]
    return _encode(expected)


def _text(event: bytes | None) -> str:
    if event is None:
        return "nothing more"
    text = event.decode()
    return text if len(text) <= 500 else text[:400] + " … " + text[-90:]
