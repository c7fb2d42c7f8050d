"""The values everything else speaks of: definitions, runs, events and outcomes. All are frozen; none does any I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

TRIGGER: Final = "trigger"
"""The reserved id every path of a workflow starts from."""

DEFAULT_PORT: Final = "out"

RunStatus = Literal["queued", "running", "waiting", "completed", "failed"]
TERMINAL: Final[frozenset[str]] = frozenset({"completed", "failed"})

Context = Mapping[str, Any]
"""What an expression sees: ``{input, trigger, steps, run}``."""


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


Outcome = Completed | Ended | Sleep | Call
Work = Callable[[Context], Outcome]
"""What a pure node does. Raises ``ExpressionError`` when an expression of it fails."""


Merges = Literal["implicit", "all", "any"]


@dataclass(frozen=True, slots=True)
class Node:
    """One compiled node. ``merges`` tells how several live predecessors become its input, see ``machine``."""

    id: str
    type: str
    work: Work
    merges: Merges = "implicit"


@dataclass(frozen=True, slots=True)
class Definition:
    """A compiled, valid workflow definition.

    ``out_edges`` holds the edges that leave each node (and the trigger) in document order, ``in_degree`` how many edges lead
    to each node.
    """

    nodes: Mapping[str, Node]
    out_edges: Mapping[str, tuple[Edge, ...]]
    in_degree: Mapping[str, int]


class Event(NamedTuple):
    """One journal event: its members, and the same as JSON text."""

    body: Mapping[str, Any]
    json: bytes


class Attempt(NamedTuple):
    """The last attempt of a call. ``retry_at`` is when it may be tried again; ``None`` while it is under way."""

    number: int
    retry_at: datetime | None = None


class Start(NamedTuple):
    """What a run asks of its worker: make this call now, as the attempt of this number."""

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

    ``steps`` holds ``node id → Completed`` in the order of completion, ``calls`` the last attempt of each call that is not
    done, ``timers`` when each delay that is not over ends. ``owner`` is the holder of the last lease that was taken and not
    given back.
    """

    workflow: str
    version: int
    version_id: int
    trigger: Any
    steps: dict[str, Completed] = field(default_factory=dict)
    calls: dict[str, Attempt] = field(default_factory=dict)
    timers: dict[str, datetime] = field(default_factory=dict)
    ended: Literal["completed", "failed"] | None = None
    output: Any = None
    error: dict[str, Any] | None = None
    owner: str | None = None
    was_leased: bool = False
    events: int = 0

    @property
    def status(self) -> RunStatus:
        """Where the run stands."""
        if self.ended is not None:
            return self.ended
        if self.owner is not None:
            return "running"
        if self.calls or self.timers:
            return "waiting"
        return "running" if self.was_leased else "queued"
