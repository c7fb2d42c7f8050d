"""The state machine of a run, backwards: its journal folded into the state it stands in.

Pure: the same journal always folds to the same state. ``execution`` is the other half: from a state to the next events.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from meshhook.errors import JournalError
from meshhook.model import DEFAULT_PORT, Attempt, ChildEnd, Completed, State, Wait, split_path


def fold(events: Iterable[Mapping[str, Any]]) -> State:
    """The state that the events of one run add up to.

    Raises:
        JournalError: the first event is not ``run.accepted``, one follows the end, or one is of no known type.
    """
    stream = iter(events)
    first = next(stream, None)
    if first is None or first.get("type") != "run.accepted":
        raise JournalError("a journal begins with run.accepted")
    state = State(
        first["workflow"],
        first["version"],
        first["version_id"],
        first["trigger"],
        parent=first.get("parent"),
        wants_answer=first.get("sync", False),
        events=1,
    )
    if "gathers" in first:
        _begin_gathering(state, first["gathers"])
    for event in stream:
        apply(state, event)
    return state


def apply(state: State, event: Mapping[str, Any]) -> None:
    """Change ``state`` by one event.

    Raises:
        JournalError: the run is over, a step completes twice, a delivery comes too late, or the event is of no known type.
    """
    if state.ended is not None:
        raise JournalError(f"event {state.events + 1} ({event.get('type')}) follows the end of the run")
    state.events += 1
    match event.get("type"):
        case "step.completed":
            _complete(state, event["node"], Completed(event["output"], event.get("port", DEFAULT_PORT)))
        case "step.failed":
            scope, id = split_path(event["node"])
            state.failures.setdefault(scope, {})[id] = event["error"]
            state.takes_time = True
        case "run.completed":
            state.ended, state.output = "completed", event["output"]
        case "delivery.added":
            _add_delivery(state, event)
        case kind if isinstance(kind, str):
            state.takes_time = True
            _apply_wait(state, kind, event)
        case other:
            raise JournalError(f"event {state.events} has the unknown type {other!r}")


def _begin_gathering(state: State, kind: Literal["debounce", "batch"]) -> None:
    """The run gathers deliveries. Of a batch the body is a list, also when nothing more comes."""
    state.gathers = kind
    if kind == "batch":
        state.trigger = {**state.trigger, "body": [state.trigger.get("body")]}


def _add_delivery(state: State, event: Mapping[str, Any]) -> None:
    if state.gathers is None or state.deliveries != state.events - 1:
        raise JournalError(f"event {state.events} adds a delivery to a run that gathers none, or none any more")
    state.deliveries += 1
    if state.gathers == "batch":
        state.trigger["body"].append(event["trigger"].get("body"))
    elif "trigger" in event:  # of a delivery that was superseded at once, no more is kept than its hash
        state.trigger = event["trigger"]


def _apply_wait(state: State, kind: str, event: Mapping[str, Any]) -> None:
    """A step that takes time begins, or the run is made to wait."""
    match kind:
        case "timer.set":
            state.timers[event["node"]] = _moment(event["until"])
        case "deadline.set":
            state.deadlines[event.get("node", "")] = _moment(event["until"])
        case "loop.begun":
            state.loops[event["node"]] = event["count"]
        case _:
            _apply_outside(state, kind, event)


def _apply_outside(state: State, kind: str, event: Mapping[str, Any]) -> None:
    """What others do to a run, and it to them."""
    match kind:
        case "call.started":
            state.calls[event["node"]] = Attempt(event["attempt"])
        case "call.failed":
            retry_at = event.get("retry_at")
            state.calls[event["node"]] = (
                Attempt(event["attempt"], error=event["error"])
                if retry_at is None
                else Attempt(event["attempt"], _moment(retry_at))
            )
        case "wait.set":
            state.waits[event["node"]] = Wait(event["name"], event["key"], _moment(event["until"]))
        case "event.received":
            wait = state.waits[event["node"]]
            state.received[event["node"]] = event["payload"]
            state.consumed[wait.name, wait.key] = event["number"]
        case "child.started":
            state.children[event["node"]] = event["run_id"]
        case "child.ended":
            state.child_ends[event["node"]] = ChildEnd(event["status"], event.get("output"), event.get("error"))
        case "run.responded":
            state.responded = True
        case "run.paused" | "run.resumed":
            state.paused = kind == "run.paused"
        case _:
            _apply_end(state, kind, event)


def _apply_end(state: State, kind: str, event: Mapping[str, Any]) -> None:
    match kind:
        case "lease.taken":
            state.was_leased, state.owner = True, event["owner"]
        case "lease.released" | "lease.expired":
            state.owner = None
        case "run.failed":
            state.ended, state.error, state.output = "failed", event["error"], event.get("output")
        case "run.cancelled":
            state.ended = "cancelled"
            state.error = {"type": "cancelled", "reason": event.get("reason") or "cancelled", "by": event.get("by")}
        case other:
            raise JournalError(f"event {state.events} has the unknown type {other!r}")


def _complete(state: State, path: str, step: Completed) -> None:
    scope, id = split_path(path)
    steps = state.scopes.get(scope)
    if steps is None:
        steps = state.scopes[scope] = {}
    elif id in steps:
        raise JournalError(f"the step {path} completes twice")
    steps[id] = step
    state.completed += 1
    if state.takes_time:
        _forget(state, path)


def _forget(state: State, path: str) -> None:
    """A step is done: what it waited for matters no more, nor what happened in it."""
    scope, id = split_path(path)
    if scope in state.failures:
        state.failures[scope].pop(id, None)
    for pending in _pending(state):
        pending.pop(path, None)
    if state.loops.pop(path, None) is not None:
        _forget_iterations(state, f"{path}[")


def _pending(state: State) -> tuple[dict[str, Any], ...]:
    return (
        state.calls,
        state.timers,
        state.deadlines,
        state.waits,
        state.received,
        state.children,
        state.child_ends,
    )


def _forget_iterations(state: State, inside: str) -> None:
    for known in (*_pending(state), state.scopes, state.failures, state.loops):
        for path in [path for path in known if path.startswith(inside)]:
            del known[path]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
