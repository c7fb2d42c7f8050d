"""Replays one journal by the rules of docs/reference/definition.md and journal.md, and says where it breaks them.

Pure, and written from those pages alone. A journal comes as *marks*: its events in order without times and data, so that
all runs that went the same way are judged at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from meshproof.judge.calls import Calls
from meshproof.judge.graph import ERROR, OUT, TIMEOUT, Graph
from meshproof.judge.loops import Loops
from meshproof.judge.scope import Scope

ENDED: Final = ("completed", "failed", "cancelled")
STEP_ERRORS: Final = ("expression", "call", "timeout", "child", "limit")
"""What a step can fail of, and with it the run."""
RUN_ERRORS: Final = ("engine", "timeout", "limit")
"""What a run can fail of although none of its steps has."""
BEGINS: Final = {
    "timer.set": "delay",
    "call.started": "http_call",
    "call.failed": "http_call",
    "wait.set": "wait_event",
    "event.received": "wait_event",
    "loop.begun": "loop",
    "child.started": "sub_workflow",
    "child.ended": "sub_workflow",
    "run.responded": "respond",
}
"""The type of node each of these events is about."""
ONCE: Final = frozenset(
    {"timer.set", "wait.set", "event.received", "loop.begun", "child.started", "child.ended", "deadline.set"}
)
"""Events that come at most once a step."""
NEEDED: Final = {"event.received": "wait.set", "child.ended": "child.started"}
"""What an event follows."""
NOT_WHILE_PAUSED: Final = frozenset(
    {"timer.set", "call.started", "wait.set", "loop.begun", "child.started", "run.completed"}
)
OPENS: Final = ("timer.set", "wait.set", "child.started")
"""A run with one of these open, and nobody who holds it, is waiting."""


class Mark(NamedTuple):
    """One event without its times and data. Members that an event type does not have are empty."""

    type: str
    epoch: int
    node: str = ""
    """The path of a step."""
    port: str = ""
    owner: str = ""
    error_type: str = ""
    detail: str = ""
    """Of a call: the number of the attempt, and of one that failed, `again` or `last` behind it (`2 again`). Of a loop: how many
    items it has."""


class Fault(NamedTuple):
    """One broken rule."""

    invariant: str
    why: str


@dataclass(frozen=True)
class Replayed:
    """What a journal adds up to."""

    faults: tuple[Fault, ...]
    status: str
    """The status the run must have: queued, running, waiting, paused, completed, failed or cancelled."""
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
        self.loops = Loops(shape)
        self.faults: list[Fault] = []
        self.status = ""
        self.lease: Mark | None = None
        self.paused = False
        self.deliveries = 0
        """Deliveries that were added to the first."""
        self.responded = False
        self.failed = ""
        """The step whose failure ends the run."""
        self.terminated = ""
        """The `terminate` node that ends the run."""
        self.excused: set[str] = set()
        """Steps that failed and are to complete all the same (`on_error`)."""
        self.calls = Calls()
        self.seen: dict[str, set[str]] = {type: set() for type in ONCE}
        """The steps each of these events has come for."""
        self.ended: set[str] = set()

    def step(self, position: int, mark: Mark) -> None:
        here = f"event {position} ({mark.type})"
        if self.status in ENDED:
            self.fault("journal.ending", f"{here} follows the end of the run")
            return
        self.check_place(here, position, mark)
        match mark.type.partition("."):
            case ("run", _, "accepted"):
                self.status = self.status or "queued"
            case ("delivery", _, "added"):
                self.add_delivery(here, position, mark)
            case ("lease", _, "taken"):
                self.take(here, mark)
            case ("lease", _, "released" | "expired"):
                self.give_up(here, mark)
            case ("run", _, "paused" | "resumed" as how):
                self.pause(here, paused=how == "paused")
            case ("step", _, "completed" | "failed"):
                self.end_step(here, mark)
            case ("deadline", _, "set"):
                self.note_once(here, mark)
            case ("run", _, "completed" | "failed" | "cancelled"):
                self.end_run(here, mark)
            case _ if mark.type in BEGINS:
                self.go_on(here, mark)
            case _:
                self.fault("journal.legal", f"{here}: there is no such event")

    def check_place(self, here: str, position: int, mark: Mark) -> None:
        """What holds for every event."""
        if (position == 1) != (mark.type == "run.accepted"):
            self.fault("journal.first", f"{here}: a journal begins with run.accepted, and it comes only once")
        if position == 1 and mark.epoch != 0:
            self.fault("journal.legal", f"{here} has epoch {mark.epoch}: nobody has claimed the run yet")
        if self.lease and mark.epoch != self.lease.epoch and mark.type != "lease.expired":
            self.fault("journal.legal", f"{here} under epoch {mark.epoch}, while epoch {self.lease.epoch} held a lease")
        if self.paused and mark.type in NOT_WHILE_PAUSED:
            self.fault("journal.legal", f"{here}, while the run was paused")

    def add_delivery(self, here: str, position: int, mark: Mark) -> None:
        self.deliveries += 1
        if mark.epoch != 0 or position != self.deliveries + 1:
            self.fault(
                "journal.legal", f"{here} under epoch {mark.epoch}: deliveries are added before anybody claims the run"
            )

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

    def pause(self, here: str, *, paused: bool) -> None:
        if self.paused is paused:
            self.fault("journal.legal", f"{here}, and it was {'paused' if paused else 'not paused'} already")
        self.paused = paused

    def go_on(self, here: str, mark: Mark) -> None:
        """Something happens to a step that is not done."""
        found = self.find(here, mark.node, BEGINS[mark.type])
        if found is None:
            return
        scope, node = found
        if node in scope.done:
            self.fault("journal.once", f"{here}: {mark.node} had ended already")
        if waiting := scope.waiting(node):
            self.fault("journal.order", f"{here}: {mark.node} {waiting}")
        if (needed := NEEDED.get(mark.type)) and mark.node not in self.seen[needed]:
            self.fault("journal.legal", f"{here}: {mark.node} had no {needed}")
        if mark.type in ONCE:
            self.note_once(here, mark)
        match mark.type:
            case "call.started" | "call.failed":
                self.call(here, mark, scope.graph, node)
            case "loop.begun":
                self.loops.begin(mark.node, int(mark.detail) if mark.detail.isdecimal() else 0)
            case "run.responded":
                if self.responded:
                    self.fault("journal.once", f"{here}: the run has answered already")
                self.responded = True

    def note_once(self, here: str, mark: Mark) -> None:
        if mark.node in self.seen[mark.type]:
            self.fault("journal.once", f"{here}: {mark.node or 'the run'} has one already")
        self.seen[mark.type].add(mark.node)

    def call(self, here: str, mark: Mark, shape: Graph, node: str) -> None:
        number, _, fate = mark.detail.partition(" ")
        attempt, most = int(number) if number.isdecimal() else -1, shape.attempts_max(node)
        if mark.type == "call.started":
            why = self.calls.start(mark.node, attempt, mark.epoch, most)
        else:
            again, deadline = fate == "again", shape.has_deadline(node)
            why = self.calls.fail(mark.node, attempt, mark.epoch, mark.error_type, most, again=again, deadline=deadline)
        self.blame("journal.attempts", here, why)

    def find(self, here: str, path: str, type: str = "") -> tuple[Scope, str] | None:
        """Where a step stands, and its name there; says so where an event of it makes no sense at all."""
        scope, node, why = self.loops.find(path)
        self.blame("journal.order", here, why)
        if scope is None:
            return None
        if node not in scope.graph.types or scope.graph.types[node] != (type or scope.graph.types[node]):
            self.fault("journal.legal", f"{here}: the definition has no {type or 'node'} {path!r}")
            return None
        if self.failed or self.terminated:
            self.fault("journal.legal", f"{here} of {path}, but {self.failed or self.terminated} had ended the run")
        if scope.over or self.stands_in_something_over(scope):
            self.fault("journal.legal", f"{here} of {path}, but {scope.path.rstrip('.')} was over")
        return scope, node

    def stands_in_something_over(self, scope: Scope) -> bool:
        while scope.loop:
            scope, node, _ = self._outer(scope)
            if scope.over or node in scope.done:
                return True
        return False

    def _outer(self, scope: Scope) -> tuple[Scope, str, str]:
        outer, node, why = self.loops.find(scope.loop)
        assert outer is not None
        return outer, node, why

    def end_step(self, here: str, mark: Mark) -> None:
        found = self.find(here, mark.node)
        if found is None:
            return
        scope, node = found
        if node in scope.done or mark.node == self.failed or (mark.type == "step.failed" and mark.node in self.excused):
            self.fault("journal.once", f"{here}: {mark.node} had ended already")
            return
        if waiting := scope.waiting(node):
            self.fault("journal.order", f"{here}: {mark.node} {waiting}")
        self.ended.add(mark.node)
        if mark.node in self.excused:
            self.complete(here, mark, scope, node, {ERROR} if scope.graph.on_error(node) == "port" else {OUT})
            return
        if scope.graph.types[node] == "http_call":
            self.blame("journal.attempts", here, self.calls.end(mark.node, mark.type, mark.epoch, mark.error_type))
        if mark.type == "step.failed":
            self.fail(scope, node, mark.node)
            return
        self.blame("journal.legal", here, self.unready(scope.graph, node, mark.node, mark.port or OUT))
        self.complete(here, mark, scope, node, scope.graph.ports(node))

    def unready(self, shape: Graph, node: str, path: str, port: str) -> str:
        """Why a step cannot complete yet, though it may have begun."""
        match shape.types[node]:
            case "delay" if path not in self.seen["timer.set"]:
                return f"the delay {path} ends, and no timer was set"
            case "wait_event" if path not in self.seen["wait.set"]:
                return f"{path} goes on, and has not waited"
            case "wait_event" if (path in self.seen["event.received"]) is (port == TIMEOUT):
                return f"{path} goes on by {port}, but its event {'came' if port == TIMEOUT else 'did not come'}"
            case "sub_workflow" if path not in self.seen["child.started"]:
                return f"{path} goes on, and has started no run"
            case "sub_workflow" if shape.configs[node].get("wait", True) and path not in self.seen["child.ended"]:
                return f"{path} goes on, and its run has not ended"
            case "loop" if waiting := self.loops.waiting(path):
                return f"{path} {waiting}"
            case _:
                return ""

    def complete(self, here: str, mark: Mark, scope: Scope, node: str, ports: set[str]) -> None:
        port = mark.port or OUT
        if port not in ports:
            self.fault("journal.legal", f"{here}: {mark.node} has no port {port!r}")
        if scope.graph.types[node] == "terminate":
            self.terminated = mark.node
        scope.complete(node, port)
        if scope.loop and not scope.left():
            self.loops.end_item(scope)

    def fail(self, scope: Scope, node: str, path: str) -> None:
        if scope.graph.on_error(node) != "fail":
            self.excused.add(path)
        elif scope.loop:
            # The item is over. Where the loop does not go on, its own failure has to follow.
            self.loops.end_item(scope).failed = True
        else:
            self.failed = path

    def end_run(self, here: str, mark: Mark) -> None:
        self.status = mark.type.removeprefix("run.")
        if mark.type == "run.completed":
            if self.failed:
                self.fault("journal.legal", f"{here}, but {self.failed} had failed")
            elif self.terminated:
                self.check_terminated(here, "completed")
            elif left := self.loops.root.left():
                self.fault("journal.complete", f"{here}, but {', '.join(left)} could still run")
        elif mark.type == "run.failed":
            self.check_reason(here, mark.error_type)

    def check_reason(self, here: str, error: str) -> None:
        if error == "terminated":
            self.check_terminated(here, "failed")
        elif error in STEP_ERRORS and not self.failed and error not in RUN_ERRORS:
            self.fault("journal.legal", f"{here} for a step, but no step has failed")
        elif error not in (*STEP_ERRORS, *RUN_ERRORS):
            self.fault("journal.legal", f"{here} with an error of no known type: {error!r}")

    def check_terminated(self, here: str, status: str) -> None:
        if not self.terminated:
            self.fault("journal.legal", f"{here}, but no terminate node was reached")
            return
        scope, node, _ = self.loops.find(self.terminated)
        if scope is not None and scope.graph.configs[node].get("status", "completed") != status:
            self.fault("journal.legal", f"{here}, but {self.terminated} ends runs the other way")

    def result(self) -> Replayed:
        leaves: list[str] = []
        if self.status in ENDED and self.terminated:
            leaves = [self.terminated]
        elif self.status == "completed":
            leaves = self.loops.root.leaves()
        return Replayed(tuple(self.faults), self.fold(), tuple(leaves), several=len(leaves) > 1)

    def fold(self) -> str:
        """The status the run must have."""
        if self.status in ENDED or self.lease:
            return self.status
        if self.paused:
            return "paused"
        begun = {path for type in OPENS for path in self.seen[type]} | set(self.calls.known)
        return "waiting" if any(self.is_open(path) for path in begun) else self.status

    def is_open(self, path: str) -> bool:
        scope, _, _ = self.loops.find(path)
        return (
            path not in self.ended and scope is not None and not scope.over and not self.stands_in_something_over(scope)
        )

    def blame(self, invariant: str, here: str, why: str) -> None:
        if why:
            self.fault(invariant, f"{here}: {why}")

    def fault(self, invariant: str, why: str) -> None:
        self.faults.append(Fault(invariant, why))
