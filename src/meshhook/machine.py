"""The state machine of a run: ``fold`` the journal into a state, ``advance`` the state by the next events.

Both are pure: no clock, no I/O, no database. The same journal always folds to the same state, and the same definition and
state always advance by the same events; replay, ``runs verify`` and the independent proof stand on that.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from meshhook.errors import ExpressionError, JournalError
from meshhook.jsontext import deeper_than
from meshhook.model import (
    DEFAULT_PORT,
    TERMINAL,
    TRIGGER,
    Attempt,
    Call,
    CallError,
    Completed,
    Definition,
    Ended,
    Event,
    Response,
    Retry,
    Sleep,
    Start,
    State,
    Wants,
)

_encode = msgspec.json.Encoder().encode
EVENT_SIZE_MAX_BYTES: Final = 16 * 1024 * 1024
OUTPUT_DEPTH_MAX: Final = 200

RETRIED_ERRORS: Final = frozenset({"connect", "timeout", "broken", "unknown", "vault"})
"""Kinds of ``CallError`` another attempt may mend; a refused address or an overlong answer stays what it is."""


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
    if state.ended is not None:
        raise JournalError(f"event {state.events + 1} ({event.get('type')}) follows the end of the run")
    state.events += 1
    match event.get("type"):
        case "step.completed":
            if event["node"] in state.steps:
                raise JournalError(f"the step {event['node']} completes twice")
            state.steps[event["node"]] = Completed(event["output"], event.get("port", DEFAULT_PORT))
            state.calls.pop(event["node"], None)
            state.timers.pop(event["node"], None)
        case "timer.set":
            state.timers[event["node"]] = datetime.fromisoformat(event["until"])
        case "call.started":
            state.calls[event["node"]] = Attempt(event["attempt"])
        case "call.failed":
            state.calls[event["node"]] = _failed_attempt(event)
        case "run.completed":
            state.ended, state.output = "completed", event["output"]
        case "run.failed":
            state.ended, state.error, state.output = "failed", event["error"], event.get("output")
        case "step.failed":
            state.error = event["error"]
        case "lease.taken":
            state.was_leased, state.owner = True, event["owner"]
        case "lease.released" | "lease.expired":
            state.owner = None
        case other:
            raise JournalError(f"event {state.events} has the unknown type {other!r}")


def _failed_attempt(event: Mapping[str, Any]) -> Attempt:
    retry_at = event.get("retry_at")
    return Attempt(event["attempt"], None if retry_at is None else datetime.fromisoformat(retry_at))


def advance(
    definition: Definition,
    state: State,
    run_id: str,
    now: datetime,
    wants: Wants,
    under_way: Collection[str] = (),
) -> Iterator[list[Event]]:
    """The next events of a live run, step by step; what is yielded is already applied to ``state``.

    The events of one step belong together: they are to be committed all or none. Between two steps the caller may stop, and
    a later ``advance`` goes on from there. When nothing more can be done now, ``wants`` is filled with what the run waits for.

    Args:
        now: the time of the database. under_way: the calls this caller is making; any other call that was begun is one that
            nobody knows the end of.
    """
    if state.ended is not None:
        return
    frontier = _Frontier(definition, state)
    trigger, run = state.trigger, _about(state, run_id)
    while (id := frontier.next_ready()) is not None:
        try:
            # A copy of the outputs: an expression may return ``steps`` itself, which must not come to hold itself.
            seen = {"input": frontier.input_of(id), "trigger": trigger, "steps": {**frontier.outputs}, "run": run}
            outcome = definition.nodes[id].work(seen)
            done: Completed | Ended | None = None
            if isinstance(outcome, Sleep):
                yield from _set_timer(state, id, outcome, now)
                done = _awake(state, id, seen["input"], now, wants)
            elif isinstance(outcome, Call):
                yield from _give_up_unknown(state, id, outcome, run_id, now, under_way)
                if state.status in TERMINAL:
                    return
                _want_call(state, id, outcome, now, wants)
            else:
                done = outcome
            if done is None:
                continue
            event = _step_event(id, done)
        except ExpressionError as failure:
            yield _take(state, *_failure_events(id, failure))
            return
        if isinstance(done, Ended):
            yield _take(state, event, _end_event(id, done))
            return
        frontier.complete(id, done)
        yield _take(state, event)
    if not (wants.calls or wants.wake_at or state.calls):
        yield _take(state, _encoded({"type": "run.completed", "output": frontier.leaf_output()}))


def begin_calls(state: State, wants: Wants) -> list[Event]:
    """The events to commit before the calls in ``wants`` are made: what is journaled as begun is never forgotten."""
    return _take(
        state,
        *(_encoded({"type": "call.started", "node": start.node, "attempt": start.attempt}) for start in wants.calls),
    )


def end_call(state: State, start: Start, result: Response | CallError, run_id: str, now: datetime) -> list[Event]:
    """The events that follow from how a call ended: its step is done, it will be tried again, or the run has failed."""
    if isinstance(result, Response):
        try:
            if start.call.succeeded(result):
                return _take(state, _step_event(start.node, Completed(start.call.output(result))))
        except ExpressionError as failure:
            return _take(state, *_failure_events(start.node, failure))
        return _fail_attempt(state, start, CallError("status", f"answered {result.status}", "yes"), result, run_id, now)
    return _fail_attempt(state, start, result, None, run_id, now)


def _fail_attempt(
    state: State, start: Start, error: CallError, response: Response | None, run_id: str, now: datetime
) -> list[Event]:
    retry = start.call.retry
    again = start.attempt < retry.attempts and (
        (response is not None and response.status in retry.statuses)
        or (
            response is None
            and error.type in RETRIED_ERRORS
            and (error.sent != "unknown" or retry.on_unknown == "retry")
        )
    )
    told: dict[str, Any] = {"type": error.type, "reason": error.reason, "node": start.node}
    if response is not None:
        told["status"] = response.status
    body = {"type": "call.failed", "node": start.node, "attempt": start.attempt, "sent": error.sent, "error": told}
    if again:
        retry_at = now + timedelta(seconds=backoff_s(retry, start.attempt, f"{run_id}/{start.node}", response))
        return _take(state, _encoded(body | {"retry_at": retry_at.isoformat()}))
    final = told | {"type": "call", "reason": f"{error.reason} (attempt {start.attempt} of {retry.attempts})"}
    return _take(
        state,
        _encoded(body),
        _encoded({"type": "step.failed", "node": start.node, "error": final}),
        _encoded({"type": "run.failed", "error": final}),
    )


def backoff_s(retry: Retry, attempt: int, salt: str, response: Response | None) -> float:
    """Seconds until the next attempt: full jitter over an exponential bound, at least what ``Retry-After`` asks for.

    The jitter is drawn from ``salt`` and the attempt, so that the machine stays a pure function.

    Source: Brooker, "Exponential Backoff and Jitter" (2015); RFC 9110, section 10.2.3.
    """
    bound = min(retry.backoff_max_s, retry.backoff_s * 2.0 ** min(attempt - 1, 30))
    share = int.from_bytes(hashlib.sha256(f"{salt}/{attempt}".encode()).digest()[:8]) / 2**64
    asked = response.headers.get("retry-after", "") if response is not None else ""
    least = min(float(asked), retry.backoff_max_s) if asked.isdecimal() else 0.0
    return max(least, bound * share)


def _set_timer(state: State, id: str, sleep: Sleep, now: datetime) -> Iterator[list[Event]]:
    if id not in state.timers:
        until = sleep.until or now + timedelta(seconds=sleep.seconds)
        yield _take(state, _encoded({"type": "timer.set", "node": id, "until": until.isoformat()}))


def _awake(state: State, id: str, output: Any, now: datetime, wants: Wants) -> Completed | None:
    """The end of a delay, or ``None`` while it lasts."""
    until = state.timers[id]
    if until <= now:
        return Completed(output)
    _look_again(wants, until)
    return None


def _give_up_unknown(
    state: State, id: str, call: Call, run_id: str, now: datetime, under_way: Collection[str]
) -> Iterator[list[Event]]:
    """A call that was begun by somebody who is gone: whether the other side has acted, nobody knows."""
    attempt = state.calls.get(id)
    if attempt is not None and attempt.retry_at is None and id not in under_way:
        gone = CallError("unknown", "the worker that made this call is gone, and its outcome with it", "unknown")
        yield _fail_attempt(state, Start(id, attempt.number, call), gone, None, run_id, now)


def _want_call(state: State, id: str, call: Call, now: datetime, wants: Wants) -> None:
    attempt = state.calls.get(id)
    if attempt is None:
        wants.calls.append(Start(id, 1, call))
    elif attempt.retry_at is not None and attempt.retry_at <= now:
        wants.calls.append(Start(id, attempt.number + 1, call))
    elif attempt.retry_at is not None:
        _look_again(wants, attempt.retry_at)


def _look_again(wants: Wants, at: datetime) -> None:
    wants.wake_at = at if wants.wake_at is None else min(wants.wake_at, at)


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
