"""The values everything else speaks of: definitions, runs, events and outcomes. All are frozen; none does any I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

TRIGGER: Final = "trigger"
"""The reserved id every path of a workflow starts from."""

DEFAULT_PORT: Final = "out"

RunStatus = Literal["queued", "running", "completed", "failed"]
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


Outcome = Completed | Ended
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


@dataclass(slots=True)
class State:
    """What the journal of one run says so far; made by ``machine.fold``.

    ``steps`` holds ``node id → Completed`` in the order of completion. ``owner`` is the holder of the last lease that was
    taken and not given back.
    """

    workflow: str
    version: int
    version_id: int
    trigger: Any
    steps: dict[str, Completed] = field(default_factory=dict)
    status: RunStatus = "queued"
    output: Any = None
    error: dict[str, Any] | None = None
    owner: str | None = None
    events: int = 0
