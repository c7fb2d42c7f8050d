"""A workflow engine in fifty lines: what is written into the journals that the schedules move.

Three kinds of run, each of a few steps: ``steps`` do something, ``waits`` wait for an event, ``parent`` waits for the end of a run
it starts. It shares no code with the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

Event = dict[str, Any]
EVENT_NAME: Final = "go"
EVENT_KEY: Final = "k"


class Choice(IntEnum):
    """What a worker does with a run it has: all there is to do, or one step and then this."""

    FINISH = 0
    LEASE = 1
    AGAIN = 2
    SLEEP = 3
    PUT_BACK = 4


@dataclass(slots=True)
class Machine:
    """The state of one run: what its journal says."""

    kind: str = "steps"
    size: int = 1
    events: int = 0
    done: int = 0
    waiting: bool = False
    behind: int = 0
    """The number of the last event that was received."""
    ended: str | None = None
    paused: bool = False
    child: str | None = None
    """The run whose end is waited for."""
    parent: tuple[str, str] | None = None
    """Who is to be told of the end: a run, and its step."""

    @property
    def is_idle(self) -> bool:
        """Whether it goes on only when somebody tells it something."""
        return self.waiting or self.paused or self.child is not None

    @property
    def node(self) -> str:
        """The step that is next."""
        return f"s{self.done + 1}"

    def apply(self, event: Event) -> None:
        """Take one event of the journal into the state."""
        self.events += 1
        match event["type"]:
            case "run.accepted":
                body = event["trigger"]
                self.kind, self.size = body["kind"], body["size"]
                self.parent = event.get("parent")
            case "wait.set":
                self.waiting = True
            case "event.received":
                self.waiting, self.done, self.behind = False, self.done + 1, event["number"]
            case "step.completed":
                self.done += 1
            case "child.started":
                self.child = event["run_id"]
            case "child.ended":
                self.child, self.done = None, self.done + 1
            case "run.paused" | "run.resumed":
                self.paused = event["type"] == "run.paused"
            case "run.completed" | "run.cancelled":
                self.ended = event["type"].removeprefix("run.")

    def advance(self, choice: Choice, new_id: Callable[[], object]) -> list[Event]:
        """Go on: to the end or to a wait, or a single step. ``new_id`` names a run that it starts."""
        events: list[Event] = []
        while self.ended is None and not self.is_idle:
            if self.done == self.size:
                event: Event = {"type": "run.completed"}
            elif self.kind == "waits":
                event = {"type": "wait.set", "node": self.node, "name": EVENT_NAME, "key": EVENT_KEY}
            elif self.kind == "parent":
                event = {"type": "child.started", "node": self.node, "run_id": str(new_id())}
            else:
                event = {"type": "step.completed", "node": self.node}
            self.apply(event)
            events.append(event)
            if choice != Choice.FINISH and event["type"] == "step.completed":
                break
        return events

    def receive(self, kind: str, body: dict[str, Any]) -> list[Event]:
        """What becomes of something in the inbox; nothing once the run has ended."""
        if self.ended is not None:
            return []
        if kind == "cancel":
            event: Event = {"type": "run.cancelled", "by": "caller"}
        elif kind in ("pause", "resume"):
            event = {"type": f"run.{kind}d", "by": "caller"}
        elif kind == "child":
            event = {"type": "child.ended", "node": body["node"], "run_id": body["run_id"]}
        else:
            event = {"type": "event.received", "node": body["node"], "id": body["id"], "number": body["number"]}
        self.apply(event)
        return [event]


def fold(events: list[Event]) -> Machine:
    """The state after these events."""
    machine = Machine()
    for event in events:
        machine.apply(event)
    return machine
