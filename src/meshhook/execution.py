"""A run being advanced: from the state its journal folds to, to the next events.

Pure: no clock, no I/O, no database. The same definition and journal always lead to the same events; replay, ``runs verify``
and the independent proof stand on that. Everything that happens to a run, by its own doing or from outside, passes ``take``:
there the state changes, and where the run stands in its definition.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from meshhook import attempts, machine
from meshhook.errors import ExpressionError, StepTooLongError
from meshhook.frontier import Key, Scope
from meshhook.ids import derived_run_id
from meshhook.jsontext import deeper_than
from meshhook.model import (
    DEFAULT_PORT,
    ERROR_PORT,
    TERMINAL,
    TIMEOUT_PORT,
    Attempt,
    Await,
    Call,
    CallError,
    Child,
    Completed,
    Definition,
    Each,
    Ended,
    Event,
    Outcome,
    Respond,
    Response,
    Sleep,
    Start,
    State,
    Wants,
    split_path,
)

_encode = msgspec.json.Encoder().encode
EVENT_SIZE_MAX_BYTES: Final = 16 * 1024 * 1024
OUTPUT_DEPTH_MAX: Final = 200
DEPTH_MAX: Final = 10
"""How deep sub-workflows may call each other."""

Events = list[Event]


@dataclass(slots=True)
class _Open:
    """A step that has begun and takes time."""

    scope: Scope
    id: str
    path: str
    outcome: Outcome
    input: Any


@dataclass(slots=True)
class _Loop:
    """A loop that has begun: ``next`` is the first item not begun yet, ``running`` how many iterations are under way."""

    scope: Scope
    id: str
    path: str
    each: Each
    position: int
    outer: Mapping[str, Any]
    outputs: list[Any]
    next: int = 0
    running: int = 0
    done: int = 0

    def scope_of(self, index: int) -> str:
        return f"{self.path}[{index}]"

    def record(self, index: int, output: Any) -> None:
        self.outputs[index] = output
        self.done += 1


class Execution:
    """One run, its state, and where it stands in its definition.

    Events come in lists: those of one list belong together and are to be committed all or none. What is returned is already
    applied. Between two lists the caller may stop; another ``Execution`` of the same journal goes on in the same way.
    """

    def __init__(self, definition: Definition, state: State, run_id: str) -> None:
        self.state = state
        self.definition = definition
        self._run_id = run_id
        self._about = {"id": run_id, "workflow": state.workflow, "version": state.version}
        self._scopes: dict[str, Scope] = {}
        self._loops: dict[str, _Loop] = {}
        self._loop_of: dict[str, tuple[_Loop, int]] = {}
        self._open: dict[str, _Open] = {}
        self._failed: list[str] = []
        self._touched: list[str] = []
        self._ready: list[tuple[Key, str]] = []
        self._root = self._enter(Scope(definition, "", state.trigger["body"]))

    # -- What may happen ------------------------------------------------------------------------------------------------

    def advance(self, now: datetime, wants: Wants, under_way: Collection[str] = ()) -> Iterator[Events]:
        """The next events, step by step, until nothing more can be done now; ``wants`` then holds what the run waits for.

        Args:
            now: the time of the database.
            under_way: the paths of the calls this caller is making; any other call that was begun is one that nobody knows the
                end of.
        """
        if self.state.status in TERMINAL or self.state.paused:
            return
        for events in self._advance(now, wants, under_way):
            if events:
                yield events
            if self.state.status in TERMINAL:
                return
        if self._root.is_done:
            yield [self._emit({"type": "run.completed", "output": self._root.leaf_output()})]
        elif "" in self.state.deadlines:
            _look_again(wants, self.state.deadlines[""])

    def begin_calls(self, wants: Wants) -> Events:
        """The events to commit before the calls in ``wants`` are made: what is journaled as begun is never forgotten."""
        return [
            self._emit({"type": "call.started", "node": start.node, "attempt": start.attempt}) for start in wants.calls
        ]

    def end_call(self, start: Start, result: Response | CallError, now: datetime) -> Events:
        """The events that follow from how a call ended. None when its step has been given up meanwhile."""
        at, id = split_path(start.node)
        scope = self._scopes.get(at)
        if scope is None or self.state.ended or self.state.calls.get(start.node) != Attempt(start.attempt):
            return []
        if isinstance(result, CallError):
            return [self._emit(attempts.failed(start, result, None, self._run_id, now))]
        try:
            if start.call.succeeded(result):
                return self._complete(scope, id, Completed(start.call.output(result)))
        except ExpressionError as failure:
            return self._fail(scope, id, _expression_error(failure, start.node))
        error = CallError("status", f"answered {result.status}", "yes")
        return [self._emit(attempts.failed(start, error, result, self._run_id, now))]

    def receive(self, kind: str, body: Mapping[str, Any]) -> Events:
        """The events that follow from a signal out of the inbox; none when it comes too late."""
        state = self.state
        if state.ended is not None:
            return []
        match kind:
            case "event" if body["node"] in state.waits and body["node"] not in state.received:
                return [self._emit({"type": "event.received", **body})]
            case "child" if state.children.get(body["node"]) == body["run_id"] and body["node"] not in state.child_ends:
                return [self._emit({"type": "child.ended", **body})]
            case "cancel":
                return [self._emit({"type": "run.cancelled", **body})]
            case "pause" if not state.paused:
                return [self._emit({"type": "run.paused", **body})]
            case "resume" if state.paused:
                return [self._emit({"type": "run.resumed", **body})]
        return []

    def take(self, event: Mapping[str, Any]) -> None:
        """Change the state by one event, and what may be done next."""
        machine.apply(self.state, event)
        if event["type"] == "step.failed":
            self._failed.append(event["node"])
        if event["type"] != "step.completed":
            return
        at, id = split_path(event["node"])
        scope = self._scopes.get(at)
        if scope is not None:
            self._move_on(scope, id, Completed(event["output"], event.get("port", DEFAULT_PORT)))
            self._touched.append(at)

    # -- The story of an advance ----------------------------------------------------------------------------------------

    def _advance(self, now: datetime, wants: Wants, under_way: Collection[str]) -> Iterator[Events]:
        if self.definition.timeout_s is not None:
            yield self._watch_deadline(now, self.definition.timeout_s)
        yield from self._follow_taken()
        for path in list(self._open):
            if path in self._open:
                yield self._attend(self._open[path], now, wants, under_way)
        while (ready := self._next()) is not None:
            scope, id = ready
            yield self._begin(scope, id, now)
            if self._open and (step := self._open.get(scope.path_of(id))) is not None:
                yield self._attend(step, now, wants, under_way)

    def _begin(self, scope: Scope, id: str, now: datetime) -> Events:
        """Start a step: a quick one is done at once, one that takes time is opened."""
        path = scope.path_of(id)
        try:
            input = scope.input_of(id)
            outcome = scope.definition.nodes[id].work(self._context(scope, id, input))
        except ExpressionError as failure:
            return self._fail(scope, id, _expression_error(failure, path))
        match outcome:
            case Completed():
                return self._complete(scope, id, outcome)
            case Ended():
                return self._end(scope, id, outcome)
            case Respond():
                return self._respond(scope, id, outcome, input)
        step = self._open[path] = _Open(scope, id, path, outcome, input)
        return self._open_events(step, now)

    def _attend(self, step: _Open, now: datetime, wants: Wants, under_way: Collection[str]) -> Events:
        """See whether what an open step waits for has come; else note when to look again."""
        deadline = self.state.deadlines.get(step.path)
        if deadline is not None and deadline <= now:
            return self._time_out(step)
        events = self._attend_outcome(step, now, wants, under_way)
        if deadline is not None and step.path in self._open:
            _look_again(wants, deadline)
        return events

    def _attend_outcome(self, step: _Open, now: datetime, wants: Wants, under_way: Collection[str]) -> Events:
        match step.outcome:
            case Sleep():
                return self._attend_timer(step, now, wants)
            case Call():
                return self._attend_call(step, step.outcome, now, wants, under_way)
            case Await():
                return self._attend_wait(step, now, wants)
            case Child():
                return self._attend_child(step, step.outcome)
        return []  # a loop is attended to whenever one of its iterations ends

    def _open_events(self, step: _Open, now: datetime) -> Events:
        """What is to be written when a step begins to take time; nothing when it had begun before."""
        path, state, events = step.path, self.state, []
        timeout_s = step.scope.definition.nodes[step.id].timeout_s
        if timeout_s is not None and path not in state.deadlines:
            events.append(self._emit({"type": "deadline.set", "node": path, "until": _after(now, timeout_s)}))
        match step.outcome:
            case Sleep(seconds, until) if path not in state.timers:
                ends = until.isoformat() if until else _after(now, seconds)
                events.append(self._emit({"type": "timer.set", "node": path, "until": ends}))
            case Await(name, key, wait_s) if path not in state.waits:
                last = _after(now, wait_s)
                events.append(self._emit({"type": "wait.set", "node": path, "name": name, "key": key, "until": last}))
            case Child() as child if path not in state.children:
                events += self._start_child(step, child, now)
            case Each() as each:
                events += self._begin_loop(step, each)
        return events

    # -- Steps that take time -------------------------------------------------------------------------------------------

    def _attend_timer(self, step: _Open, now: datetime, wants: Wants) -> Events:
        until = self.state.timers[step.path]
        if until <= now:
            return self._complete(step.scope, step.id, Completed(step.input))
        _look_again(wants, until)
        return []

    def _attend_call(self, step: _Open, call: Call, now: datetime, wants: Wants, under_way: Collection[str]) -> Events:
        path, events, attempt = step.path, [], self.state.calls.get(step.path)
        if attempt is not None and attempt.under_way and path not in under_way:
            # Begun by somebody who is gone: whether the other side has acted, nobody knows.
            gone = CallError("unknown", "the worker that made this call is gone, and its outcome with it", "unknown")
            start = Start(path, attempt.number, call)
            events.append(self._emit(attempts.failed(start, gone, None, self._run_id, now)))
            attempt = self.state.calls[path]
        if attempt is None:
            wants.calls.append(Start(path, 1, call))
        elif attempt.error is not None:
            reason = f"{attempt.error['reason']} (attempt {attempt.number} of {call.retry.attempts})"
            events += self._fail(step.scope, step.id, {**attempt.error, "type": "call", "reason": reason})
        elif attempt.retry_at is not None and attempt.retry_at <= now:
            wants.calls.append(Start(path, attempt.number + 1, call))
        elif attempt.retry_at is not None:
            _look_again(wants, attempt.retry_at)
        return events

    def _attend_wait(self, step: _Open, now: datetime, wants: Wants) -> Events:
        if step.path in self.state.received:
            return self._complete(step.scope, step.id, Completed(self.state.received[step.path]))
        wait = self.state.waits[step.path]
        if wait.until > now:
            _look_again(wants, wait.until)
            return []
        if step.scope.leads_on(step.id, TIMEOUT_PORT):
            return self._complete(step.scope, step.id, Completed(step.input, TIMEOUT_PORT))
        error = {"type": "timeout", "reason": f"no event {wait.name!r} with key {wait.key!r} came", "node": step.path}
        return self._fail(step.scope, step.id, error)

    def _attend_child(self, step: _Open, child: Child) -> Events:
        if not child.wait:
            output = {"run_id": self.state.children[step.path]}
            return self._complete(step.scope, step.id, Completed(output))
        end = self.state.child_ends.get(step.path)
        if end is None:
            return []
        if end.status == "completed":
            return self._complete(step.scope, step.id, Completed(end.output))
        reason = (end.error or {}).get("reason") or end.status
        run_id = self.state.children[step.path]
        error = {"type": "child", "reason": f"the run of {child.workflow!r} {end.status}: {reason}", "node": step.path}
        return self._fail(step.scope, step.id, error | {"run_id": run_id})

    def _start_child(self, step: _Open, child: Child, now: datetime) -> Events:
        depth = (self.state.parent or {}).get("depth", 0) + 1
        if depth > DEPTH_MAX:
            reason = f"sub-workflows call each other more than {DEPTH_MAX} deep"
            return self._fail(step.scope, step.id, {"type": "limit", "reason": reason, "node": step.path})
        run_id = derived_run_id(self._run_id, step.path, now)
        started = {"type": "child.started", "node": step.path, "run_id": run_id, "workflow": child.workflow}
        try:
            event = checked_event(started | {"input": child.input, "wait": child.wait, "depth": depth})
        except ExpressionError as failure:
            return self._fail(step.scope, step.id, _expression_error(failure, step.path))
        self.take(event.body)
        return [event]

    def _respond(self, scope: Scope, id: str, answer: Respond, input: Any) -> Events:
        if self.state.responded:  # the first answer is the answer
            return self._complete(scope, id, Completed(input))
        said = {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
        try:
            event = checked_event({"type": "run.responded", "node": scope.path_of(id), **said})
        except ExpressionError as failure:
            return self._fail(scope, id, _expression_error(failure, scope.path_of(id)))
        self.take(event.body)
        return [event, *self._complete(scope, id, Completed(input))]

    # -- Loops ----------------------------------------------------------------------------------------------------------

    def _begin_loop(self, step: _Open, each: Each) -> Events:
        events = []
        if step.path not in self.state.loops:
            events.append(self._emit({"type": "loop.begun", "node": step.path, "count": len(each.items)}))
        position = list(step.scope.definition.nodes).index(step.id)
        outer = step.scope.seen_by(step.id)
        loop = _Loop(step.scope, step.id, step.path, each, position, outer, [None] * len(each.items))
        self._loops[step.path] = loop
        return [*events, *self._go_on(loop)]

    def _go_on(self, loop: _Loop) -> Events:
        """Begin as many iterations as may be under way; when all are done, so is the loop."""
        items = loop.each.items
        while loop.running < loop.each.concurrency and loop.next < len(items):
            index = loop.next
            loop.next += 1
            self._begin_iteration(loop, index)
        if loop.done == len(items):
            return self._complete(loop.scope, loop.id, Completed(loop.outputs))
        return []

    def _begin_iteration(self, loop: _Loop, index: int) -> None:
        path, item = loop.scope_of(index), loop.each.items[index]
        if (failure := self._failure_in(path, loop.each.body)) is not None and loop.each.on_error == "continue":
            loop.record(index, {"error": failure})
            return
        about = {"item": item, "index": index, "count": len(loop.each.items), "outer": loop.scope.loop}
        scope = Scope(loop.each.body, path, item, (*loop.scope.key, loop.position, index), about, loop.outer)
        self._loop_of[path] = loop, index
        self._enter(scope)
        if scope.is_done:
            self._leave(scope, scope.leaf_output())
        else:
            loop.running += 1

    def _failure_in(self, path: str, body: Definition) -> Any:
        """The failure that ended an iteration, if one did."""
        failures = self.state.failures.get(path, {})
        return next((error for id, error in failures.items() if body.nodes[id].on_error == "fail"), None)

    def _leave(self, scope: Scope, output: Any) -> _Loop:
        """An iteration is over: whatever is open in it is given up."""
        loop, index = self._loop_of.pop(scope.path)
        del self._scopes[scope.path]
        for id in list(scope.begun):
            self._close(scope.path_of(id))
        loop.record(index, output)
        return loop

    def _close(self, path: str) -> None:
        """Give up an open step, and all that is open in it."""
        self._open.pop(path, None)
        loop = self._loops.pop(path, None)
        if loop is not None:
            for inner, (of, _) in list(self._loop_of.items()):
                if of is loop:
                    self._leave(self._scopes[inner], None)

    # -- How steps end --------------------------------------------------------------------------------------------------

    def _complete(self, scope: Scope, id: str, step: Completed) -> Events:
        path = scope.path_of(id)
        body: dict[str, Any] = {"type": "step.completed", "node": path, "output": step.output}
        if step.port != DEFAULT_PORT:
            body["port"] = step.port
        try:
            event = checked_event(body)
        except ExpressionError as failure:
            return self._fail(scope, id, _expression_error(failure, path))
        if self.state.completed >= self.definition.steps_max:
            reason = f"the run has completed {self.state.completed} steps, and may complete no more"
            return [self._emit({"type": "run.failed", "error": {"type": "limit", "reason": reason, "node": path}})]
        machine.apply(self.state, body)
        self._move_on(scope, id, step)
        return [event, *self._settle(scope)] if scope.path else [event]

    def _move_on(self, scope: Scope, id: str, step: Completed) -> None:
        """A step is done: others may start."""
        if self._open:
            path = scope.path_of(id)
            self._open.pop(path, None)
            self._loops.pop(path, None)
        scope.complete(id, step)
        if scope.path:
            self._queue(scope)

    def _settle(self, scope: Scope) -> Events:
        """After a step of an iteration: when it was the last one, the loop goes on."""
        if not scope.is_done:
            return []
        loop = self._leave(scope, scope.leaf_output())
        loop.running -= 1
        return self._go_on(loop)

    def _fail(self, scope: Scope, id: str, error: Mapping[str, Any]) -> Events:
        event = self._emit({"type": "step.failed", "node": scope.path_of(id), "error": dict(error)})
        return [event, *self._follow_failure(scope, id, error)]

    def _follow_failure(self, scope: Scope, id: str, error: Mapping[str, Any]) -> Events:
        """What the failure of a step does to what the step stands in."""
        path = scope.path_of(id)
        self._failed.remove(path)
        self._close(path)
        node = scope.definition.nodes[id]
        if node.on_error != "fail":
            port = ERROR_PORT if node.on_error == "port" else DEFAULT_PORT
            return self._complete(scope, id, Completed({"error": dict(error)}, port))
        if not scope.path:
            return [self._emit({"type": "run.failed", "error": dict(error)})]
        loop, _ = self._loop_of[scope.path]
        self._leave(scope, {"error": dict(error)})
        loop.running -= 1
        if loop.each.on_error == "continue":
            return self._go_on(loop)
        return self._fail(loop.scope, loop.id, error)

    def _follow_taken(self) -> Iterator[Events]:
        """What follows from events that were taken from a journal: a failed step, an iteration whose last step is done."""
        while self._failed:
            path = self._failed[0]
            at, id = split_path(path)
            scope = self._scopes.get(at)
            if scope is None or id in scope.outputs:  # what follows was taken as well
                self._failed.pop(0)
                continue
            yield self._follow_failure(scope, id, self.state.failures[at][id])
        while self._touched:
            scope = self._scopes.get(self._touched.pop())
            if scope is not None and scope.path:
                yield self._settle(scope)

    def _time_out(self, step: _Open) -> Events:
        events, attempt = [], self.state.calls.get(step.path)
        timeout_s = step.scope.definition.nodes[step.id].timeout_s
        error = {"type": "timeout", "reason": f"the step took longer than {timeout_s:g} s", "node": step.path}
        if attempt is not None and attempt.under_way:
            ended = {"type": "call.failed", "node": step.path, "attempt": attempt.number, "sent": "unknown"}
            events.append(self._emit(ended | {"error": error}))
        return [*events, *self._fail(step.scope, step.id, error)]

    def _end(self, scope: Scope, id: str, end: Ended) -> Events:
        """A step that ends the whole run, from whatever scope."""
        path = scope.path_of(id)
        try:
            done = checked_event({"type": "step.completed", "node": path, "output": end.output})
        except ExpressionError as failure:
            return self._fail(scope, id, _expression_error(failure, path))
        self.take(done.body)
        if end.status == "completed":
            return [done, self._emit({"type": "run.completed", "output": end.output})]
        error = {"type": "terminated", "reason": end.reason or f"the node {path} ended the run as failed", "node": path}
        return [done, self._emit({"type": "run.failed", "error": error, "output": end.output})]

    def _watch_deadline(self, now: datetime, timeout_s: float) -> Events:
        deadline = self.state.deadlines.get("")
        if deadline is None:
            return [self._emit({"type": "deadline.set", "until": _after(now, timeout_s)})]
        if deadline > now:
            return []
        error = {"type": "timeout", "reason": f"the run took longer than {timeout_s:g} s"}
        return [self._emit({"type": "run.failed", "error": error})]

    # -- Where the run stands -------------------------------------------------------------------------------------------

    def _enter(self, scope: Scope) -> Scope:
        """Take up a scope where the journal left it."""
        for id, step in self.state.scopes.get(scope.path, {}).items():
            scope.complete(id, step)
        self._scopes[scope.path] = scope
        if scope.path:
            self._queue(scope)
        return scope

    def _queue(self, scope: Scope) -> None:
        if scope.has_ready:
            heapq.heappush(self._ready, (scope.key, scope.path))

    def _next(self) -> tuple[Scope, str] | None:
        """The next step that may start: of the run first, then of the first iteration, and so on."""
        if (id := self._root.begin_next()) is not None:
            return self._root, id
        while self._ready:
            inner = self._scopes.get(self._ready[0][1])
            if inner is not None and (id := inner.begin_next()) is not None:
                return inner, id
            heapq.heappop(self._ready)
        return None

    def _context(self, scope: Scope, id: str, input: Any) -> dict[str, Any]:
        context = {"input": input, "trigger": self.state.trigger, "steps": scope.seen_by(id), "run": self._about}
        if scope.loop is not None:
            context["loop"] = scope.loop
        return context

    def _emit(self, body: dict[str, Any]) -> Event:
        event = Event(body, _encode(body))
        self.take(body)
        return event


def _look_again(wants: Wants, at: datetime) -> None:
    wants.wake_at = at if wants.wake_at is None else min(wants.wake_at, at)


def _after(now: datetime, seconds: float) -> str:
    return (now + timedelta(seconds=seconds)).isoformat()


def checked_event(body: dict[str, Any]) -> Event:
    """An event that may be written.

    Raises:
        ExpressionError: what an expression put into it is too large, or nested too deeply.
    """
    event = Event(body, _encode(body))
    if len(event.json) > EVENT_SIZE_MAX_BYTES:
        raise ExpressionError("output", f"the output is larger than {EVENT_SIZE_MAX_BYTES} bytes")
    if deeper_than(event.json, OUTPUT_DEPTH_MAX):
        raise ExpressionError("output", f"the output is nested deeper than {OUTPUT_DEPTH_MAX} levels")
    return event


def _expression_error(failure: ExpressionError, path: str) -> dict[str, Any]:
    if isinstance(failure, StepTooLongError):
        return {"type": "timeout", "reason": failure.reason, "node": path}
    return {"type": "expression", "reason": failure.reason, "node": path, "expression": failure.expression}
