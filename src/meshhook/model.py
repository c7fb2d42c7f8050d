"""The values everything else speaks of: definitions, runs, events and outcomes. All are frozen; none does any I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

TRIGGER: Final = "trigger"
"""The reserved id every path of a workflow starts from."""

DEFAULT_PORT: Final = "out"
ERROR_PORT: Final = "error"
TIMEOUT_PORT: Final = "timeout"

STEPS_MAX: Final = 100_000
"""Steps a run may complete when its definition says nothing else."""

RunStatus = Literal["queued", "running", "waiting", "paused", "completed", "failed", "cancelled"]
TERMINAL: Final[frozenset[str]] = frozenset({"completed", "failed", "cancelled"})

Context = Mapping[str, Any]
"""What an expression sees: ``{input, trigger, steps, run}``, and in a loop ``loop``."""


class Edge(NamedTuple):
    """From a port of one node to another node."""

    source: str
    port: str
    target: str


class Completed(NamedTuple):
    """A node is done: its output leaves by ``port``."""

    output: Any
    port: str = DEFAULT_PORT


class Ended(NamedTuple):
    """A node ends the whole run."""

    status: Literal["completed", "failed"]
    output: Any
    reason: str | None = None


class Sleep(NamedTuple):
    """A node waits: for ``seconds`` from its start, or until the moment ``until``."""

    seconds: float
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One outgoing HTTP request. Times in seconds, sizes in bytes; ``redirects`` is how many may be followed.

    ``confidential``: it holds secrets, so it must not be redirected to another origin. ``signing_secret``: each attempt is signed
    with it, as Standard Webhooks says.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    connect_timeout_s: float
    timeout_s: float
    response_limit_bytes: int
    redirects: int
    confidential: bool = False
    signing_secret: str | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        """The method alone: everything else may hold secrets."""
        return f"Request({self.method})"


class Response(NamedTuple):
    """What came back. ``body`` is data when it was JSON, else text, else ``{"base64": …}``."""

    status: int
    headers: Mapping[str, str]
    body: Any

    def as_output(self) -> dict[str, Any]:
        """The same as data."""
        return {"status": self.status, "headers": dict(self.headers), "body": self.body}


class CallError(NamedTuple):
    """Why nothing (usable) came back. ``sent`` tells whether the other side may have acted: ``yes``, ``no``, ``unknown``."""

    type: str
    reason: str
    sent: Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class Retry:
    """When a call is tried again: exponential backoff with full jitter, never sooner than a capped ``Retry-After``."""

    attempts: int
    backoff_s: float
    backoff_max_s: float
    statuses: frozenset[int]
    on_unknown: Literal["retry", "fail"]


@dataclass(frozen=True, slots=True)
class Call:
    """A node wants the outside world. ``succeeded`` says whether a response is what the workflow hoped for, ``output`` what the
    workflow makes of one that is.

    When it uses ``secrets`` (their names), ``request`` holds stand-ins, and ``fill`` makes the one to send from their values.
    """

    request: Request
    retry: Retry
    succeeded: Callable[[Response], bool]
    secrets: frozenset[str] = frozenset()
    fill: Callable[[Mapping[str, str]], Request] | None = None
    output: Callable[[Response], Any] = Response.as_output


class Await(NamedTuple):
    """A node waits for an event of this name and correlation key, for ``timeout_s`` at most."""

    name: str
    key: str
    timeout_s: float


class Each(NamedTuple):
    """A node runs the fragment ``body`` once for each item, at most ``concurrency`` of them side by side."""

    items: list[Any]
    body: Definition
    concurrency: int
    on_error: Literal["stop", "continue"]


class Child(NamedTuple):
    """A node starts a run of another workflow, and waits for its end or not."""

    workflow: str
    input: Any
    wait: bool


class Respond(NamedTuple):
    """A node answers the caller who waits for this run."""

    status: int
    headers: Mapping[str, str]
    body: Any


Outcome = Completed | Ended | Sleep | Call | Await | Each | Child | Respond
Work = Callable[[Context], Outcome]
"""What a pure node does. Raises ``ExpressionError`` when an expression of it fails."""


PRIORITIES: Final = ("high", "normal", "low")
"""In the order they are taken; the database knows them by their index."""


class Placing(NamedTuple):
    """Where a run waits for its start. ``lane`` and ``bucket`` are keys within its workflow, ``None`` where there is no limit.

    ``slots`` runs of a lane are worked on at once; what becomes of more is the ``strategy``. From a bucket ``starts`` runs may
    start in ``per_s`` seconds. A run not started after ``ttl_s`` seconds is given up.
    """

    lane: str | None
    slots: int | None
    strategy: str
    bucket: str | None
    starts: int | None
    per_s: float | None
    priority: int
    ttl_s: float | None


Place = Callable[[Context], Placing]
"""What places a run. Raises ``ExpressionError`` when a key or the priority can't be computed."""


Merges = Literal["implicit", "all", "any"]


@dataclass(frozen=True, slots=True)
class Node:
    """One compiled node. ``merges`` tells how several live predecessors become its input, see ``frontier``.

    ``timeout_s`` bounds a step that takes time, retries and waits included. ``on_error`` tells what a failure of the step does:
    it fails what the node stands in, or the step completes with ``{"error": …}``, by its usual port or by the port ``error``.
    """

    id: str
    type: str
    work: Work
    merges: Merges = "implicit"
    timeout_s: float | None = None
    on_error: Literal["fail", "continue", "port"] = "fail"
    body: Definition | None = None


@dataclass(frozen=True, slots=True)
class Definition:
    """A compiled, valid workflow definition.

    ``out_edges`` holds the edges that leave each node (and the trigger) in document order, ``in_degree`` how many edges lead
    to each node. ``timeout_s`` bounds a whole run, ``steps_max`` how many steps it may complete. ``place`` says where a run waits
    before it starts, ``None`` when it need not; ``priority`` and ``ttl_s`` are those of ``settings``. The body of a loop is a
    definition as well.
    """

    nodes: Mapping[str, Node]
    out_edges: Mapping[str, tuple[Edge, ...]]
    in_degree: Mapping[str, int]
    timeout_s: float | None = None
    steps_max: int = STEPS_MAX
    place: Place | None = None
    priority: int = 1
    ttl_s: float | None = None


class Event(NamedTuple):
    """One journal event: its members, and the same as JSON text."""

    body: Mapping[str, Any]
    json: bytes


class Attempt(NamedTuple):
    """The last attempt of a call. ``retry_at`` is when it may be tried again; ``error`` why it never will be.

    Neither is set while it is under way.
    """

    number: int
    retry_at: datetime | None = None
    error: Mapping[str, Any] | None = None

    @property
    def under_way(self) -> bool:
        """Whether it was begun and its end is not known."""
        return self.retry_at is None and self.error is None


class Wait(NamedTuple):
    """What a step waits for: an event of this name and key, until then."""

    name: str
    key: str
    until: datetime


class ChildEnd(NamedTuple):
    """How a child run ended."""

    status: str
    output: Any
    error: Mapping[str, Any] | None


class Start(NamedTuple):
    """What a run asks of its worker: make this call now, as the attempt of this number. ``node`` is the path of the step."""

    node: str
    attempt: int
    call: Call


@dataclass(slots=True)
class Wants:
    """What is left when a run can't be advanced further by itself: calls to make now, and when to look again."""

    calls: list[Start] = field(default_factory=list)
    wake_at: datetime | None = None


@dataclass(slots=True)
class State:
    """What the journal of one run says so far; made by ``machine.fold``.

    A step is known by its path: ``charge``, or in a loop ``each[3].charge``. Its *scope* is what stands before the last dot:
    ``""`` for the run itself, ``each[3]`` for one iteration. ``scopes`` holds ``scope → node id → Completed`` in the order of
    completion, ``failures`` the same for steps that failed and did not complete. All others are keyed by path: ``calls`` is the
    last attempt of each call that is not done, ``timers`` when a delay that is not over ends, ``deadlines`` when a step is
    given up (the path ``""``: the run), ``loops`` how many items a loop has, and so on.

    ``takes_time``: something happened to the run beside steps that are done at once. ``consumed`` is the number of the last
    event received of each name and key. ``owner`` is the holder of the last lease that was taken and not given back.
    ``gathers``: more ``deliveries`` than one may be in the run, the last of which counts, or all.
    """

    workflow: str
    version: int | None
    version_id: int
    trigger: Any
    parent: Mapping[str, Any] | None = None
    scopes: dict[str, dict[str, Completed]] = field(default_factory=dict)
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: dict[str, Attempt] = field(default_factory=dict)
    timers: dict[str, datetime] = field(default_factory=dict)
    deadlines: dict[str, datetime] = field(default_factory=dict)
    waits: dict[str, Wait] = field(default_factory=dict)
    received: dict[str, Any] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)
    child_ends: dict[str, ChildEnd] = field(default_factory=dict)
    loops: dict[str, int] = field(default_factory=dict)
    consumed: dict[tuple[str, str], int] = field(default_factory=dict)
    completed: int = 0
    takes_time: bool = False
    wants_answer: bool = False
    responded: bool = False
    paused: bool = False
    ended: Literal["completed", "failed", "cancelled"] | None = None
    output: Any = None
    error: dict[str, Any] | None = None
    owner: str | None = None
    was_leased: bool = False
    gathers: Literal["debounce", "batch"] | None = None
    deliveries: int = 1
    events: int = 0

    @property
    def steps(self) -> dict[str, Completed]:
        """The completed steps of the run itself, those in loops left out."""
        return self.scopes.get("", {})

    @property
    def status(self) -> RunStatus:
        """Where the run stands."""
        if self.ended is not None:
            return self.ended
        if self.owner is not None:
            return "running"
        if self.paused:
            return "paused"
        if self.calls or self.timers or self.waits or self.children:
            return "waiting"
        return "running" if self.was_leased else "queued"


def split_path(path: str) -> tuple[str, str]:
    """The scope and the node id of a step: ``each[3].charge`` is ``charge`` in ``each[3]``."""
    if "." not in path:
        return "", path
    scope, _, id = path.rpartition(".")
    return scope, id
