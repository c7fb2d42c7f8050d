"""The state machine of a run: ``fold`` the journal into a state, ``advance`` the state by the next events.

Both are pure: no clock, no I/O, no database. The same journal always folds to the same state, and the same definition and
state always advance by the same events; replay, ``runs verify`` and the independent proof stand on that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from meshhook.errors import ExpressionError, JournalError
from meshhook.jsontext import deeper_than
from meshhook.model import DEFAULT_PORT, TERMINAL, TRIGGER, Completed, Definition, Ended, Event, State

_encode = msgspec.json.Encoder().encode
EVENT_SIZE_MAX_BYTES: Final = 16 * 1024 * 1024
OUTPUT_DEPTH_MAX: Final = 200


def fold(events: Iterable[Mapping[str, Any]]) -> State:
    """The state that the events of one run add up to.

    Raises:
        JournalError: the first event is not ``run.accepted``, one follows the end, or one is of no known type.
    """
    stream = iter(events)
    first = next(stream, None)
    if first is None or first.get("type") != "run.accepted":
        raise JournalError("a journal begins with run.accepted")
    state = State(first["workflow"], first["version"], first["version_id"], first["trigger"], events=1)
    for event in stream:
        apply(state, event)
    return state


def apply(state: State, event: Mapping[str, Any]) -> None:
    """Change ``state`` by one event.

    Raises:
        JournalError: the run is over, a step completes twice, or the event is of no known type.
    """
    if state.status in TERMINAL:
        raise JournalError(f"event {state.events + 1} ({event.get('type')}) follows the end of the run")
    state.events += 1
    match event.get("type"):
        case "step.completed":
            if event["node"] in state.steps:
                raise JournalError(f"the step {event['node']} completes twice")
            state.steps[event["node"]] = Completed(event["output"], event.get("port", DEFAULT_PORT))
        case "run.completed":
            state.status, state.output = "completed", event["output"]
        case "run.failed":
            state.status, state.error, state.output = "failed", event["error"], event.get("output")
        case "step.failed":
            state.error = event["error"]
        case "lease.taken":
            state.status, state.owner = "running", event["owner"]
        case "lease.released" | "lease.expired":
            state.owner = None
        case other:
            raise JournalError(f"event {state.events} has the unknown type {other!r}")


def advance(definition: Definition, state: State, run_id: str) -> Iterator[list[Event]]:
    """The next events of a live run, step by step; what is yielded is already applied to ``state``.

    The events of one step belong together: they are to be committed all or none. Between two steps the caller may stop, and
    a later ``advance`` goes on from there.
    """
    frontier = _Frontier(definition, state)
    trigger, run = state.trigger, _about(state, run_id)
    while (id := frontier.next_ready()) is not None:
        try:
            # A copy of the outputs: an expression may return ``steps`` itself, which must not come to hold itself.
            seen = {"input": frontier.input_of(id), "trigger": trigger, "steps": {**frontier.outputs}, "run": run}
            outcome = definition.nodes[id].work(seen)
            event = _step_event(id, outcome)
        except ExpressionError as failure:
            yield _take(state, *_failure_events(id, failure))
            return
        if isinstance(outcome, Ended):
            yield _take(state, event, _end_event(id, outcome))
            return
        frontier.complete(id, outcome)
        yield _take(state, event)
    yield _take(state, _encoded({"type": "run.completed", "output": frontier.leaf_output()}))


def _about(state: State, run_id: str) -> dict[str, Any]:
    return {"id": run_id, "workflow": state.workflow, "version": state.version}


def _take(state: State, *events: Event) -> list[Event]:
    for event in events:
        apply(state, event.body)
    return list(events)


def _encoded(body: dict[str, Any]) -> Event:
    return Event(body, _encode(body))


def _step_event(id: str, outcome: Completed | Ended) -> Event:
    body: dict[str, Any] = {"type": "step.completed", "node": id, "output": outcome.output}
    if isinstance(outcome, Completed) and outcome.port != DEFAULT_PORT:
        body["port"] = outcome.port
    event = _encoded(body)
    if len(event.json) > EVENT_SIZE_MAX_BYTES:
        raise ExpressionError("output", f"the output is larger than {EVENT_SIZE_MAX_BYTES} bytes")
    if deeper_than(event.json, OUTPUT_DEPTH_MAX):
        raise ExpressionError("output", f"the output is nested deeper than {OUTPUT_DEPTH_MAX} levels")
    return event


def _failure_events(id: str, failure: ExpressionError) -> tuple[Event, Event]:
    error = {"type": "expression", "reason": failure.reason, "node": id, "expression": failure.expression}
    return _encoded({"type": "step.failed", "node": id, "error": error}), _encoded(
        {"type": "run.failed", "error": error}
    )


def _end_event(id: str, end: Ended) -> Event:
    if end.status == "completed":
        return _encoded({"type": "run.completed", "output": end.output})
    reason = end.reason or f"the node {id} ended the run as failed"
    error = {"type": "terminated", "reason": reason, "node": id}
    return _encoded({"type": "run.failed", "error": error, "output": end.output})


class _Frontier:
    """Which nodes may start, derived from the steps that are done.

    An edge is decided when its source has completed (live, if it leaves by the chosen port) or was skipped (dead). A node is
    ready when all edges to it are decided and one is live (a ``join`` in mode ``any``: when one is live), and is skipped when
    all are dead.
    """

    __slots__ = ("_definition", "_live", "_ready", "_undecided", "outputs", "state")

    def __init__(self, definition: Definition, state: State) -> None:
        self._definition = definition
        self.state = state
        self.outputs: dict[str, Any] = {}
        self._undecided = dict(definition.in_degree)
        self._live: dict[str, list[str]] = {}
        self._ready: deque[str] = deque()
        self._decide(TRIGGER, DEFAULT_PORT)
        for id, step in state.steps.items():
            self.complete(id, step)

    def complete(self, id: str, step: Completed) -> None:
        self.outputs[id] = step.output
        self._decide(id, step.port)

    def next_ready(self) -> str | None:
        while self._ready:
            id = self._ready.popleft()
            if id not in self.outputs:
                return id
        return None

    def input_of(self, id: str) -> Any:
        live, merges = self._live[id], self._definition.nodes[id].merges
        if merges != "all" and (merges == "any" or len(live) == 1):
            return self._output_of(live[0])
        return {source: self._output_of(source) for source in live}

    def leaf_output(self) -> Any:
        leaves = {id: output for id, output in self.outputs.items() if self._is_leaf(id)}
        return next(iter(leaves.values())) if len(leaves) == 1 else leaves

    def _is_leaf(self, id: str) -> bool:
        return not any(id in self._live.get(edge.target, ()) for edge in self._definition.out_edges[id])

    def _output_of(self, source: str) -> Any:
        return self.state.trigger["body"] if source == TRIGGER else self.outputs[source]

    def _decide(self, source: str, port: str | None) -> None:
        """Decide every edge that leaves ``source``; ``port`` is ``None`` when it was skipped, and skips spread."""
        skipped = [(source, port)]
        while skipped:
            source, port = skipped.pop()
            for edge in self._definition.out_edges[source]:
                target = edge.target
                self._undecided[target] -= 1
                if edge.port == port:
                    self._live.setdefault(target, []).append(source)
                    if self._definition.nodes[target].merges == "any" and len(self._live[target]) == 1:
                        self._ready.append(target)
                if self._undecided[target] == 0:
                    if target not in self._live:
                        skipped.append((target, None))
                    elif self._definition.nodes[target].merges != "any":
                        self._ready.append(target)
