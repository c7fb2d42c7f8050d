"""Replays one journal by the rules of docs/reference/definition.md and journal.md, and says where it breaks them.

Pure, and written from those pages alone. A journal comes as *marks*: its events in order without times and data, so that
all runs that went the same way are judged at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from meshproof.judge.calls import Calls
from meshproof.judge.graph import OUT, Graph

TRIGGER: Final = "trigger"


class Mark(NamedTuple):
    """One event without its times and data. Members that an event type does not have are empty."""

    type: str
    epoch: int
    node: str = ""
    port: str = ""
    owner: str = ""
    error_type: str = ""
    detail: str = ""
    """Of a call: the number of the attempt, and of one that failed, `again` or `last` behind it (`2 again`)."""


class Fault(NamedTuple):
    """One broken rule."""

    invariant: str
    why: str


@dataclass(frozen=True)
class Replayed:
    """What a journal adds up to."""

    faults: tuple[Fault, ...]
    status: str
    """The status the run must have: queued, running, waiting, completed or failed."""
    leaves: tuple[str, ...]
    """The completed nodes whose outputs make the output of the run; none if it has no output of its own."""
    several: bool
    """Whether that output is an object by node id, even of one node."""


def replay(shape: Graph, marks: Iterable[Mark]) -> Replayed:
    """Replay a whole journal; every fault is reported, and the replay goes on as well as it can."""
    run = _Replay(shape)
    for position, mark in enumerate(marks, 1):
        run.step(position, mark)
    return run.result()


class _Replay:
    def __init__(self, shape: Graph) -> None:
        self.graph = shape
        self.faults: list[Fault] = []
        self.status = ""
        self.lease: Mark | None = None
        self.done: list[str] = []
        self.failed = ""
        """The node whose failure ends the run."""
        self.terminated = ""
        """The `terminate` node that ends the run."""
        self.undecided = {node: len(edges) for node, edges in shape.arriving.items()}
        self.live: dict[str, list[str]] = defaultdict(list)
        self.calls = Calls(shape)
        self.timers: set[str] = set()

    def step(self, position: int, mark: Mark) -> None:
        here = f"event {position} ({mark.type})"
        if self.status in ("completed", "failed"):
            self.fault("journal.ending", f"{here} follows the end of the run")
            return
        if (position == 1) != (mark.type == "run.accepted"):
            self.fault("journal.first", f"{here}: a journal begins with run.accepted, and it comes only once")
        if position == 1 and mark.epoch != 0:
            self.fault("journal.legal", f"{here} has epoch {mark.epoch}: nobody has claimed the run yet")
        if self.lease and mark.epoch != self.lease.epoch and mark.type != "lease.expired":
            self.fault("journal.legal", f"{here} under epoch {mark.epoch}, while epoch {self.lease.epoch} held a lease")
        match mark.type:
            case "run.accepted":
                self.accept()
            case "lease.taken":
                self.take(here, mark)
            case "lease.released" | "lease.expired":
                self.give_up(here, mark)
            case "timer.set":
                self.set_timer(here, mark.node)
            case "call.started" | "call.failed":
                self.call(here, mark)
            case "step.completed" | "step.failed":
                self.end_step(here, mark)
            case "run.completed" | "run.failed":
                self.end_run(here, mark)
            case _:
                self.fault("journal.legal", f"{here}: there is no such event")

    def accept(self) -> None:
        if not self.status:
            self.status = "queued"
            self.decide(TRIGGER, OUT)

    def take(self, here: str, mark: Mark) -> None:
        if self.lease:
            self.fault("journal.legal", f"{here} by {mark.owner}, while {self.lease.owner} holds one")
        self.lease, self.status = mark, "running"

    def give_up(self, here: str, mark: Mark) -> None:
        if not self.lease:
            self.fault("journal.legal", f"{here}, but nobody held a lease")
        elif mark.owner != self.lease.owner:
            self.fault("journal.legal", f"{here} of {mark.owner}, but {self.lease.owner} held it")
        elif mark.type == "lease.expired" and mark.epoch <= self.lease.epoch:
            self.fault("journal.legal", f"{here} under epoch {mark.epoch}: only a later claim can say so")
        self.lease = None

    def end_step(self, here: str, mark: Mark) -> None:
        node = mark.node
        if node not in self.graph.types:
            self.fault("journal.legal", f"{here}: the definition has no node {node!r}")
            return
        if self.failed or self.terminated:
            self.fault("journal.legal", f"{here} of {node}, but {self.failed or self.terminated} had ended the run")
        if node in self.done or node == self.failed:
            self.fault("journal.once", f"{here}: {node} had ended already")
            return
        if waiting := self.waiting(node):
            self.fault("journal.order", f"{here}: {node} {waiting}")
        if self.graph.types[node] == "http_call":
            self.blame("journal.attempts", here, self.calls.end(node, mark.type, mark.epoch, mark.error_type))
        elif self.graph.types[node] == "delay" and node not in self.timers and mark.type == "step.completed":
            self.fault("journal.legal", f"{here}: the delay {node} ends, and no timer was set")
        if mark.type == "step.failed":
            self.failed = node
            return
        self.done.append(node)
        if self.graph.types[node] == "terminate":
            self.terminated = node
        port = mark.port or OUT
        if port not in self.graph.ports(node):
            self.fault("journal.legal", f"{here}: {node} has no port {port!r}")
        self.decide(node, port)

    def set_timer(self, here: str, node: str) -> None:
        if self.may_begin(here, node, "delay"):
            if node in self.timers:
                self.fault("journal.once", f"{here}: the timer of {node} was set already")
            self.timers.add(node)

    def call(self, here: str, mark: Mark) -> None:
        if self.may_begin(here, mark.node, "http_call"):
            number, _, fate = mark.detail.partition(" ")
            attempt = int(number) if number.isdecimal() else -1
            if mark.type == "call.started":
                why = self.calls.start(mark.node, attempt, mark.epoch)
            else:
                why = self.calls.fail(mark.node, attempt, mark.epoch, mark.error_type, again=fate == "again")
            self.blame("journal.attempts", here, why)

    def may_begin(self, here: str, node: str, type: str) -> bool:
        """Whether an event of a node that is not done makes sense at all; says so where it does not."""
        if self.graph.types.get(node) != type:
            self.fault("journal.legal", f"{here}: the definition has no {type} {node!r}")
            return False
        if self.failed or self.terminated:
            self.fault("journal.legal", f"{here} of {node}, but {self.failed or self.terminated} had ended the run")
        if node in self.done:
            self.fault("journal.once", f"{here}: {node} had ended already")
        if waiting := self.waiting(node):
            self.fault("journal.order", f"{here}: {node} {waiting}")
        return True

    def end_run(self, here: str, mark: Mark) -> None:
        self.status = mark.type.removeprefix("run.")
        if mark.type == "run.completed":
            if self.failed:
                self.fault("journal.legal", f"{here}, but {self.failed} had failed")
            elif self.terminated:
                self.check_terminated(here, "completed")
            elif left := [node for node in self.graph.types if node not in self.done and not self.waiting(node)]:
                self.fault("journal.complete", f"{here}, but {', '.join(left)} could still run")
        elif mark.error_type in ("expression", "call") and not self.failed:
            self.fault("journal.legal", f"{here} for a step, but no step has failed")
        elif mark.error_type == "terminated":
            self.check_terminated(here, "failed")
        elif mark.error_type not in ("expression", "call", "engine"):
            self.fault("journal.legal", f"{here} with an error of no known type: {mark.error_type!r}")

    def check_terminated(self, here: str, status: str) -> None:
        if not self.terminated:
            self.fault("journal.legal", f"{here}, but no terminate node was reached")
        elif self.graph.configs[self.terminated].get("status", "completed") != status:
            self.fault("journal.legal", f"{here}, but {self.terminated} ends runs the other way")

    def decide(self, source: str, port: str | None) -> None:
        """Decide the edges that leave a node: live by its port, the others dead. No port at all: it is skipped."""
        todo: list[tuple[str, str | None]] = [(source, port)]
        while todo:
            source, port = todo.pop()
            for edge in self.graph.leaving.get(source, ()):
                self.undecided[edge.target] -= 1
                if edge.port == port:
                    self.live[edge.target].append(source)
                elif not self.undecided[edge.target] and not self.live[edge.target]:
                    todo.append((edge.target, None))

    def waiting(self, node: str) -> str:
        """What a node still waits for; empty when it may start."""
        undecided = self.undecided.get(node, 0)
        if not self.live[node]:
            return "was not reached yet" if undecided else "was skipped"
        if undecided and not self.graph.waits_for_any(node):
            return f"started while {undecided} of the edges to it were undecided"
        return ""

    def result(self) -> Replayed:
        if self.status not in ("completed", "failed"):
            leaves: list[str] = []
        elif self.terminated:
            leaves = [self.terminated]
        elif self.status == "completed":
            leaves = [node for node in self.done if not self.goes_on(node)]
        else:
            leaves = []
        return Replayed(tuple(self.faults), self.fold(), tuple(leaves), several=len(leaves) > 1)

    def fold(self) -> str:
        """The status the run must have."""
        if self.status in ("completed", "failed") or self.lease:
            return self.status
        waits = any(node not in self.done for node in (*self.timers, *self.calls.known))
        return "waiting" if waits else self.status

    def goes_on(self, node: str) -> bool:
        return any(node in self.live[edge.target] for edge in self.graph.leaving.get(node, ()))

    def blame(self, invariant: str, here: str, why: str) -> None:
        if why:
            self.fault(invariant, f"{here}: {why}")

    def fault(self, invariant: str, why: str) -> None:
        self.faults.append(Fault(invariant, why))
