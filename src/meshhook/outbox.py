"""What a run tells others by what happens to it. Pure: it follows from the events, and is written in their transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from meshhook.model import State

_encode = msgspec.json.Encoder().encode
_REASON_LENGTH_MAX: Final = 500


class Waiting(NamedTuple):
    """A step begins to wait for an event behind the one of this number."""

    run_id: UUID
    node: str
    name: str
    key: str
    behind: int


class NewChild(NamedTuple):
    """A run to be started for a step. ``trigger`` and ``members`` are JSON text, see ``sql/functions/start_runs.sql``."""

    parent: UUID
    node: str
    run_id: str
    workflow: str
    trigger: str
    members: str


class Signal(NamedTuple):
    """Something to be put into the inbox of a run; ``body`` is JSON text."""

    run_id: UUID
    kind: str
    body: str


class DeadLetter(NamedTuple):
    """A run that failed, for those who look after such: at which step, and why."""

    run_id: UUID
    node: str | None
    error_type: str
    reason: str


@dataclass(slots=True)
class Outbox:
    """What is to be told with the next commit of a run. ``answer``: somebody may be waiting for what the run said."""

    waiting: list[Waiting] = field(default_factory=list)
    not_waiting: list[tuple[UUID, str]] = field(default_factory=list)
    children: list[NewChild] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    answer: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.waiting or self.not_waiting or self.children or self.signals or self.dead or self.answer)


def outbox(run_id: UUID, before: Waits, state: State, events: Iterable[Mapping[str, Any]]) -> Outbox:
    """What follows for others from these events. ``before`` is what the run waited for before them, ``state`` is after them."""
    box = Outbox()
    for event in events:
        match event["type"]:
            case "wait.set":
                place = event["name"], event["key"]
                box.waiting.append(Waiting(run_id, event["node"], *place, state.consumed.get(place, 0)))
            case "child.started":
                box.children.append(_child(run_id, event))
            case "run.responded":
                box.answer = state.wants_answer
    if state.ended is not None:
        _say_end(run_id, state, box)
    _stop_waiting(run_id, before, state, box)
    return box


Waits = frozenset[str]


def waits_of(state: State) -> Waits:
    """The steps that wait for an event which has not come."""
    return frozenset(path for path in state.waits if path not in state.received) if state.waits else frozenset()


def _stop_waiting(run_id: UUID, before: Waits, state: State, box: Outbox) -> None:
    """Of waits that are over without their event, the row is still there."""
    now = waits_of(state) if state.ended is None else frozenset()
    if now:
        box.waiting = [waiting for waiting in box.waiting if waiting.node in now]
    else:
        box.waiting = []
    box.not_waiting = [(run_id, path) for path in before - now]


def _child(run_id: UUID, event: Mapping[str, Any]) -> NewChild:
    parent = {"run_id": str(run_id), "node": event["node"], "depth": event["depth"], "waits": event["wait"]}
    trigger = {"method": None, "path": None, "query": {}, "headers": {}, "content_type": None, "body": event["input"]}
    members = {"source": "workflow", "parent": parent}
    return NewChild(
        run_id,
        event["node"],
        event["run_id"],
        event["workflow"],
        _encode(trigger).decode(),
        _encode(members).decode(),
    )


def _say_end(run_id: UUID, state: State, box: Outbox) -> None:
    box.answer = state.wants_answer
    if state.ended == "failed":
        error = state.error or {}
        reason = str(error.get("reason", "")).replace("\0", "")[:_REASON_LENGTH_MAX]
        box.dead.append(DeadLetter(run_id, error.get("node"), error.get("type", "engine"), reason))
    if state.ended != "completed":  # whoever works for a run that is given up is given up as well
        body = _encode({"by": f"run {run_id}", "reason": "the run that started this one has ended"}).decode()
        box.signals += [
            Signal(UUID(child), "cancel", body)
            for path, child in state.children.items()
            if path not in state.child_ends
        ]
    parent = state.parent
    if parent is not None and parent.get("waits"):
        end = {"node": parent["node"], "run_id": str(run_id), "status": state.ended}
        end |= {"output": state.output} if state.ended == "completed" else {"error": state.error}
        box.signals.append(Signal(UUID(parent["run_id"]), "child", _encode(end).decode()))
