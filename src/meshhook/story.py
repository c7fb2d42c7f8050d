"""The journal of a run told step by step: when each began and ended, what it tried, what it waited for, what came of it. Pure.

``machine`` folds a journal into where the run stands, and forgets what is over; this keeps what a person wants to look at. Which
steps may have begun, were skipped, or are each other's input is asked of the engine's own ``frontier``.

A journal may be long, so one *view* of it is told at a time: the steps of one scope, or those of some iterations of a loop. Of
everything else no more is kept than a count.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec

from meshhook.frontier import Scope
from meshhook.model import DEFAULT_PORT, TRIGGER, Completed, Definition, Node, split_path

SHOWN_BYTES_MAX: Final = 4_096
"""A payload that is larger is told by its size and its beginning, where steps are listed."""

BEGINNING_LENGTH: Final = 500
_NOTHING: Final = msgspec.Raw(b"null")

StepStatus = Literal["pending", "running", "waiting", "completed", "failed", "skipped", "cancelled"]


WaitKind = Literal["timer", "event", "run"]


class Payload(msgspec.Struct, kw_only=True):
    """What went into a step or came out of it: ``value``, or, when it is ``truncated``, the ``beginning`` of its JSON text.

    ``bytes`` is how long that text is.
    """

    bytes: int
    truncated: bool
    value: Any
    beginning: str | None


class CallAttempt(msgspec.Struct, kw_only=True):
    """One attempt of a call. ``outcome`` is ``unknown`` when the run ended or the step was given up while it was under way.

    ``sent`` says of a failed one whether the other side may have acted; ``retry_at`` is when it was to be tried again.
    """

    number: int
    started_at: datetime
    ended_at: datetime | None
    outcome: Literal["under_way", "succeeded", "failed", "unknown"]
    sent: Literal["yes", "no", "unknown"] | None
    error: Any
    retry_at: datetime | None


class StepWait(msgspec.Struct, kw_only=True):
    """What a step waited for, since when, until when at the most, and when that was over.

    ``event`` and ``key`` belong to the kind ``event``; ``run_id``, ``workflow`` and ``run_status`` (its end) to the kind ``run``.
    """

    kind: WaitKind
    since: datetime
    until: datetime | None
    ended_at: datetime | None
    event: str | None
    key: str | None
    run_id: str | None
    workflow: str | None
    run_status: str | None


class LoopProgress(msgspec.Struct, kw_only=True):
    """How far a loop is: of ``count`` items ``begun`` have begun, and ``done`` are over, ``failed`` of these with an error."""

    count: int
    begun: int
    done: int
    failed: int


class Step(msgspec.Struct, kw_only=True):
    """One step of a run.

    ``status``: ``pending`` (not begun, and in a run that has ended, never), ``running``, ``waiting``, ``completed``, ``failed``,
    ``skipped`` (another branch was taken) or ``cancelled`` (given up before its end). One that failed and went on by ``on_error``
    is ``completed`` and has an ``error``.

    ``input_from``: the nodes of the same scope whose output was its input; ``trigger`` is what started the scope. ``port``: by
    which its output left. ``taken_over``: it was done by the run that this one resumes. ``deadline_at``: when its ``timeout_s`` is
    over.
    """

    path: str
    node: str
    type: str
    status: StepStatus
    started_at: datetime | None
    ended_at: datetime | None
    port: str | None
    taken_over: bool
    deadline_at: datetime | None
    input_from: list[str]
    attempts: list[CallAttempt]
    waits: list[StepWait]
    loop: LoopProgress | None
    input: Payload | None
    output: Payload | None
    error: Any


class Iteration(msgspec.Struct, kw_only=True):
    """One item of a loop, by its index from 0."""

    index: int
    status: Literal["pending", "running", "completed", "failed", "cancelled"]
    started_at: datetime | None
    ended_at: datetime | None
    error: Any


class View(NamedTuple):
    """Which steps are told: those of the scope ``place``, or, with ``indexes``, of these iterations of the loop ``place``.

    ``whole``: the nodes whose output is kept however large it is.
    """

    place: str
    indexes: Collection[int] | None = None
    whole: frozenset[str] = frozenset()

    def index_of(self, scope: str) -> int | None:
        """Which item of the loop a scope is; ``None`` when it is none of it."""
        if scope.startswith(f"{self.place}[") and (digits := scope[len(self.place) + 1 : -1]).isdigit():
            return int(digits)
        return None

    def covers(self, scope: str) -> bool:
        """Whether the steps of a scope are told."""
        if self.indexes is None:
            return scope == self.place
        return (index := self.index_of(scope)) is not None and index in self.indexes


class Entry(msgspec.Struct, frozen=True):
    """One event of a journal, as far as steps are concerned. Payloads stay the text they are."""

    type: str
    node: str = ""
    output: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    trigger: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    port: str = DEFAULT_PORT
    attempt: int = 0
    sent: Literal["yes", "no", "unknown"] | None = None
    retry_at: str | None = None
    until: str | None = None
    name: str | None = None
    key: str | None = None
    count: int = 0
    run_id: str | None = None
    workflow: str | None = None
    version: int | None = 0
    status: str | int | None = None
    gathers: Literal["debounce", "batch"] | None = None


decode_row: Final = msgspec.json.Decoder(list[Entry]).decode


class Moment(NamedTuple):
    """When a journal row was written, and since when at the earliest its writer has worked on what is in it.

    ``is_acceptance``: it was written when the run was accepted.
    """

    at: datetime
    since: datetime
    is_acceptance: bool


class _Trigger(msgspec.Struct, frozen=True):
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Route(Scope):
    """A frontier that needs no outputs: nothing is evaluated."""

    def seen_by(self, id: str) -> Mapping[str, Any]:
        """No expression looks."""
        self._seen[id] = _NO_STEPS
        return _NO_STEPS

    def follow(self, id: str, port: str) -> None:
        """A step is done; whatever may begin now counts as begun."""
        self.complete(id, Completed(None, port))
        self.begin_all()

    def begin_all(self) -> None:
        while self.begin_next() is not None:
            pass


_NO_STEPS: Final[Mapping[str, Any]] = {}


class _Pass:
    """One pass through a definition: the run itself or an iteration. ``steps`` only where they are told."""

    __slots__ = ("ended_at", "error", "route", "started_at", "steps")

    def __init__(self, definition: Definition, path: str, at: datetime | None) -> None:
        self.route = _Route(definition, path, None)
        self.route.begin_all()
        self.steps: dict[str, Step] = {}
        self.started_at = at
        self.ended_at: datetime | None = None
        self.error: Any = None


class Story:
    """What is told of one view of a run. ``take`` every event in order, then ask.

    Raises:
        KeyError: the definition has no such place.
    """

    def __init__(self, definition: Definition, view: View) -> None:
        self._view = view
        self._definition = definition
        self._passes: dict[str, _Pass] = {}
        self._counted: dict[str, _Pass] = {}
        self._progress: dict[str, LoopProgress] = {}
        self._around = _loops_around(view)
        self._loop = view.place if view.indexes is not None else view.place.rpartition("[")[0]
        self._bodies: dict[str, Definition] = {}
        self._trigger: msgspec.Raw | None = None
        self._delivery = _NOTHING
        self._bodies_gathered: list[bytes] = []
        self._gathers: str | None = None
        self.workflow, self.version = "", 0
        self.count = 0
        """Items of the loop that is viewed, or stood in."""
        self.failed_items: list[int] = []
        """Which of them failed, in the order in which they did."""
        self.status: Literal["completed", "failed", "cancelled"] | None = None
        self.events = 0
        self.nodes = self._definition_at(view.place if view.indexes is None else f"{view.place}[0]").nodes
        if view.indexes is None and not view.place:
            self._passes[""] = self._new_pass("", None, is_told=True)

    def take(self, entry: Entry, moment: Moment) -> None:
        """Go on by one event."""
        self.events += 1
        if not entry.node:
            self._take_of_run(entry, moment)
            return
        if entry.node in self._around:
            self._take_around(entry, moment)
        scope, id = split_path(entry.node)
        found = self._passes.get(scope)
        if found is None and self._view.covers(scope):
            found = self._passes[scope] = self._new_pass(scope, moment.since, is_told=True)
        if found is not None:
            self._take_step(found, id, entry, moment)
        elif scope:
            self._count(scope, id, entry, moment)
            return
        if found is not None and self._view.indexes is not None:
            self._follow_item(found, scope, id, entry, moment)

    # -- What is asked ----------------------------------------------------------------------------------------------------

    def steps(self) -> list[Step]:
        """Every step of the view, those of the definition that have not begun as well: by iteration, in document order."""
        told = []
        scopes = [self._view.place] if self._view.indexes is None else self._scopes_of_items()
        for path in scopes:
            found = self._passes.get(path) or self._new_pass(path, None, is_told=True)
            told += [self._finished(found, step) for step in found.steps.values()]
        return told

    def iterations(self) -> list[Iteration]:
        """The viewed items of the loop."""
        told = []
        for path in self._scopes_of_items() if self._view.indexes is not None else []:
            found, index = self._passes.get(path), self._view.index_of(path)
            assert index is not None
            if found is None:
                told.append(Iteration(index=index, status="pending", started_at=None, ended_at=None, error=None))
                continue
            status: Literal["running", "completed", "failed", "cancelled"] = "running"
            if found.ended_at is not None:
                status = "failed" if found.error is not None else "completed" if found.route.is_done else "cancelled"
            elif self.status is not None:
                status = "cancelled"
            told.append(
                Iteration(
                    index=index,
                    status=status,
                    started_at=found.started_at,
                    ended_at=found.ended_at,
                    error=found.error,
                )
            )
        return told

    def led_to(self, id: str) -> dict[str, Payload]:
        """The outputs of the steps that led to a step: what its expressions see as ``steps``, but for what stands around a loop."""
        of = self._passes[self._view.place]
        found: dict[str, Payload] = {}
        waiting = of.route.came_from(id)
        while waiting:
            source = waiting.pop()
            output = None if source == TRIGGER else of.steps[source].output
            if output is not None and source not in found:
                found[source] = output
                waiting += of.route.came_from(source)
        return found

    def trigger(self) -> dict[str, Any]:
        """What expressions see as ``trigger``."""
        whole: dict[str, Any] = msgspec.json.decode(self._delivery, type=dict[str, msgspec.Raw])
        return whole | {"body": self._trigger_body()}

    def _trigger_body(self) -> msgspec.Raw | None:
        """What the run began with."""
        if self._gathers == "batch":
            return msgspec.Raw(b"[" + b",".join(self._bodies_gathered) + b"]")
        return self._trigger

    # -- Events of the run ------------------------------------------------------------------------------------------------

    def _take_of_run(self, entry: Entry, moment: Moment) -> None:
        match entry.type:
            case "run.accepted" | "delivery.added" if isinstance(entry.trigger, msgspec.Raw):
                self._gathers = entry.gathers or self._gathers
                self._delivery = entry.trigger
                self.workflow, self.version = entry.workflow or self.workflow, entry.version or self.version
                body = msgspec.json.decode(entry.trigger, type=_Trigger).body
                self._trigger = entry.trigger if isinstance(body, msgspec.UnsetType) else body  # it was trimmed
                self._bodies_gathered.append(bytes(self._trigger))
            case "run.completed" | "run.failed" | "run.cancelled":
                self.status = _ENDS[entry.type]
                for open in self._passes.values():
                    open.ended_at = open.ended_at or moment.at

    def _take_around(self, entry: Entry, moment: Moment) -> None:
        """Something happens to a loop that the view stands in."""
        if entry.type == "loop.begun" and entry.node == self._loop:
            self.count = entry.count
        elif entry.type in ("step.completed", "step.failed"):
            for open in self._passes.values():
                open.ended_at = open.ended_at or moment.at

    # -- Events of a step that is told ------------------------------------------------------------------------------------

    def _take_step(self, of: _Pass, id: str, entry: Entry, moment: Moment) -> None:
        step = of.steps.get(id)
        if step is None:
            return
        if step.started_at is None:
            quick = entry.type in ("step.completed", "step.failed", "run.responded")
            step.started_at = moment.since if quick else moment.at
            step.taken_over = moment.is_acceptance
        match entry.type:
            case "step.completed":
                step.status, step.port, step.ended_at = "completed", entry.port, moment.at
                step.output = self._payload(id, entry.output)
                _end_all(step, moment.at, "succeeded" if step.error is None else "unknown")
                of.route.follow(id, entry.port)
            case "step.failed":
                step.status, step.error, step.ended_at = "failed", entry.error, moment.at
                _end_all(step, moment.at, "unknown")
            case "loop.begun":
                step.loop = self._progress.setdefault(entry.node, _no_progress())
                step.loop.count = entry.count
            case "deadline.set":
                step.deadline_at = _moment(entry.until)
            case _:
                _take_time(step, entry, moment)

    def _follow_item(self, of: _Pass, scope: str, id: str, entry: Entry, moment: Moment) -> None:
        """Of an iteration that is told: whether it is over."""
        if of.ended_at is not None:
            return
        if entry.type == "step.failed" and self._fails(of.route.definition, id):
            of.error, of.ended_at = entry.error, moment.at
            index = self._view.index_of(scope)
            assert index is not None
            self.failed_items.append(index)
        elif of.route.is_done:
            of.ended_at = moment.at

    # -- Everything else is counted ---------------------------------------------------------------------------------------

    def _count(self, scope: str, id: str, entry: Entry, moment: Moment) -> None:
        """An event in an iteration that is not told: of a loop that is, or of the loop that is viewed."""
        loop = scope.rpartition("[")[0]
        is_viewed = self._view.indexes is not None and loop == self._view.place
        if not is_viewed and not self._view.covers(split_path(loop)[0]):
            return
        progress = self._progress.setdefault(loop, _no_progress())
        found = self._counted.get(scope)
        if found is None:
            found = self._counted[scope] = self._new_pass(scope, moment.at, is_told=False)
            progress.begun += 1
        if entry.type == "step.completed":
            found.route.follow(id, entry.port)
        has_failed = entry.type == "step.failed" and self._fails(found.route.definition, id)
        if not has_failed and not found.route.is_done:
            return
        del self._counted[scope]
        progress.done += 1
        progress.failed += has_failed
        if has_failed and is_viewed and (index := self._view.index_of(scope)) is not None:
            self.failed_items.append(index)

    # -- Helpers ----------------------------------------------------------------------------------------------------------

    def _new_pass(self, path: str, at: datetime | None, *, is_told: bool) -> _Pass:
        made = _Pass(self._definition_at(path), path, at)
        if is_told:
            made.steps = {
                id: _pending(made.route.path_of(id), node) for id, node in made.route.definition.nodes.items()
            }
        return made

    def _definition_at(self, scope: str) -> Definition:
        """What a scope is a pass through."""
        if not scope:
            return self._definition
        loop = scope.rpartition("[")[0]
        known = self._bodies.get(loop)
        if known is None:
            outer, id = split_path(loop)
            body = self._definition_at(outer).nodes[id].body
            if body is None:
                raise KeyError(scope)
            known = self._bodies[loop] = body
        return known

    def _fails(self, definition: Definition, id: str) -> bool:
        """Whether a failure of a step fails what it stands in."""
        return definition.nodes[id].on_error == "fail"

    def _scopes_of_items(self) -> list[str]:
        indexes = self._view.indexes or ()
        return [f"{self._view.place}[{index}]" for index in sorted(indexes) if index < self.count]

    def _payload(self, id: str, raw: msgspec.Raw) -> Payload:
        return payload(raw, None if id in self._view.whole else SHOWN_BYTES_MAX)

    def _finished(self, of: _Pass, step: Step) -> Step:
        """A step with what is only known in the end."""
        is_over = of.ended_at is not None or self.status is not None
        if step.started_at is None:
            step.status = "skipped" if of.route.is_skipped(step.node) else "pending"
        elif step.ended_at is None and is_over:
            step.status = "cancelled"
            _end_all(step, None, "unknown")
        elif step.ended_at is None:
            step.status = "waiting" if _waits(step) else "running"
        if step.started_at is not None:
            step.input_from = of.route.came_from(step.node)
            step.input = self._input_of(of, of.route.definition.nodes[step.node], step.input_from)
        return step

    def _input_of(self, of: _Pass, node: Node, sources: list[str]) -> Payload | None:
        parts = {source: self._output_of(of, source) for source in sources}
        known = {source: part for source, part in parts.items() if part is not None}
        if not parts or len(known) < len(parts):
            return None
        if len(parts) == 1 and node.merges != "all":
            return known[sources[0]]
        text = {source: part.value for source, part in known.items() if not part.truncated}
        if len(text) == len(known):
            return payload(
                msgspec.Raw(msgspec.json.encode(text)), None if node.id in self._view.whole else SHOWN_BYTES_MAX
            )
        return cut(sum(part.bytes for part in known.values()), None)

    def _output_of(self, of: _Pass, source: str) -> Payload | None:
        if source != TRIGGER:
            return of.steps[source].output
        body = None if of.route.path else self._trigger_body()
        return None if body is None else self._payload(TRIGGER, body)


def payload(raw: msgspec.Raw, bytes_max: int | None) -> Payload:
    """A payload as it is shown: whole, when it has ``bytes_max`` bytes at most."""
    size = len(bytes(raw))
    if bytes_max is None or size <= bytes_max:
        return Payload(bytes=size, truncated=False, value=raw, beginning=None)
    beginning = bytes(memoryview(raw)[: 4 * BEGINNING_LENGTH]).decode("utf-8", "ignore")[:BEGINNING_LENGTH]
    return cut(size, beginning)


def cut(size: int, beginning: str | None) -> Payload:
    """A payload that is not shown."""
    return Payload(bytes=size, truncated=True, value=None, beginning=beginning)


def _take_time(step: Step, entry: Entry, moment: Moment) -> None:
    """A step that takes time begins to wait or to try, or hears something."""
    match entry.type:
        case "call.started":
            step.attempts.append(_attempt(entry.attempt, moment.at))
        case "call.failed":
            attempt = step.attempts[-1]
            attempt.ended_at, attempt.outcome, attempt.sent, attempt.error = (
                moment.at,
                "failed",
                entry.sent,
                entry.error,
            )
            attempt.retry_at = _moment(entry.retry_at)
        case "timer.set" | "wait.set" | "child.started":
            step.waits.append(_wait(_WAITS[entry.type], entry, moment.at))
        case "event.received" | "child.ended":
            step.waits[-1].ended_at = moment.at
            step.waits[-1].run_status = entry.status if isinstance(entry.status, str) else None


def _pending(path: str, node: Node) -> Step:
    return Step(
        path=path,
        node=node.id,
        type=node.type,
        status="pending",
        started_at=None,
        ended_at=None,
        port=None,
        taken_over=False,
        deadline_at=None,
        input_from=[],
        attempts=[],
        waits=[],
        loop=None,
        input=None,
        output=None,
        error=None,
    )


def _attempt(number: int, at: datetime) -> CallAttempt:
    return CallAttempt(
        number=number, started_at=at, ended_at=None, outcome="under_way", sent=None, error=None, retry_at=None
    )


def _wait(kind: WaitKind, entry: Entry, at: datetime) -> StepWait:
    return StepWait(
        kind=kind,
        since=at,
        until=_moment(entry.until),
        ended_at=None,
        event=entry.name,
        key=entry.key,
        run_id=entry.run_id,
        workflow=entry.workflow,
        run_status=None,
    )


def _no_progress() -> LoopProgress:
    return LoopProgress(count=0, begun=0, done=0, failed=0)


def _waits(step: Step) -> bool:
    """Whether an open step waits for somebody, rather than being worked on."""
    if step.attempts:
        return step.attempts[-1].retry_at is not None
    return any(wait.ended_at is None for wait in step.waits)


def _end_all(step: Step, at: datetime | None, outcome: Literal["succeeded", "unknown"]) -> None:
    """What was open when a step ended, or was given up, has ended too."""
    if step.attempts and step.attempts[-1].outcome == "under_way":
        step.attempts[-1].ended_at, step.attempts[-1].outcome = at, outcome
    for wait in step.waits:
        wait.ended_at = wait.ended_at or at


def _loops_around(view: View) -> frozenset[str]:
    """The loops that a view stands in, by path; what becomes of them becomes of it."""
    around, path = set(), view.place if view.indexes is None else f"{view.place}[0]"
    while path:
        loop = path.rpartition("[")[0]
        around.add(loop)
        path = split_path(loop)[0]
    return frozenset(around)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


_ENDS: Final[Mapping[str, Literal["completed", "failed", "cancelled"]]] = {
    "run.completed": "completed",
    "run.failed": "failed",
    "run.cancelled": "cancelled",
}
_WAITS: Final[Mapping[str, WaitKind]] = {"timer.set": "timer", "wait.set": "event", "child.started": "run"}
