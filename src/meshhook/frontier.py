"""Which steps of one scope may start: derived from those that are done. Pure.

A *scope* is one pass through a definition: the run itself, or one iteration of a loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from meshhook.model import DEFAULT_PORT, TRIGGER, Completed, Definition

Key = tuple[int, ...]


class Scope:
    """The frontier of one scope.

    An edge is decided when its source has completed (live, if it leaves by the chosen port) or was skipped (dead). A node is
    ready when all edges to it are decided and one is live (a ``join`` in mode ``any``: when one is live), and is skipped when
    all are dead.

    Args:
        path: where the scope is: ``""`` for the run, ``each[3]`` for an iteration. input: what its trigger hands on.
        key: its place among all scopes; steps of a lower one go first. loop: what expressions see as ``loop``.
        outer: the steps an iteration sees of the scope around it.
    """

    __slots__ = (
        "_live",
        "_ready",
        "_seen",
        "_undecided",
        "begun",
        "definition",
        "input",
        "key",
        "loop",
        "outputs",
        "path",
    )

    def __init__(
        self,
        definition: Definition,
        path: str,
        input: Any,
        key: Key = (),
        loop: Mapping[str, Any] | None = None,
        outer: Mapping[str, Any] | None = None,
    ) -> None:
        self.definition = definition
        self.path = path
        self.input = input
        self.key = key
        self.loop = loop
        self.outputs: dict[str, Any] = {}
        self._seen: dict[str, Mapping[str, Any]] = {TRIGGER: outer or {}}
        self.begun: set[str] = set()
        self._undecided = dict(definition.in_degree)
        self._live: dict[str, list[str]] = {}
        self._ready: deque[str] = deque()
        self._decide(TRIGGER, DEFAULT_PORT)

    def path_of(self, id: str) -> str:
        """The path of a step of this scope."""
        return f"{self.path}.{id}" if self.path else id

    def complete(self, id: str, step: Completed) -> None:
        """A step is done; what follows from it may become ready."""
        if id not in self._seen:
            self.seen_by(id)
        self.outputs[id] = step.output
        self.begun.discard(id)
        self._decide(id, step.port)

    def begin_next(self) -> str | None:
        """The next step that may start, now counted as begun; ``None`` when there is none."""
        if not self.has_ready:
            return None
        id = self._ready.popleft()
        self.begun.add(id)
        return id

    @property
    def has_ready(self) -> bool:
        """Whether a step may start."""
        while self._ready and self._ready[0] in self.outputs:
            self._ready.popleft()
        return bool(self._ready)

    @property
    def is_done(self) -> bool:
        """Whether nothing is under way any more, and nothing can start."""
        return not self.begun and not self.has_ready

    def input_of(self, id: str) -> Any:
        """What the step gets from its live predecessors: the output of one, or of several by their ids."""
        sources = self._sources(id)
        if len(sources) == 1 and self.definition.nodes[id].merges != "all":
            return self._output_of(sources[0])
        return {source: self._output_of(source) for source in sources}

    def seen_by(self, id: str) -> Mapping[str, Any]:
        """The outputs a step sees as ``steps``: those of the steps that led to it, and of no other.

        What runs beside it may be done today and not yet at the next look; a step that is evaluated again, by another worker
        after a crash, must see what it saw before.
        """
        seen: dict[str, Any] = {}
        for source in self._sources(id):
            seen.update(self._seen[source])
            if source != TRIGGER:
                seen[source] = self.outputs[source]
        self._seen[id] = seen
        return seen

    def came_from(self, id: str) -> list[str]:
        """The steps whose outputs are what the step gets; ``trigger`` stands for the input of the scope."""
        return self._sources(id) if id in self._live else []

    def is_skipped(self, id: str) -> bool:
        """Whether every way to the step was passed by."""
        return self._undecided[id] == 0 and id not in self._live

    def leads_on(self, id: str, port: str) -> bool:
        """Whether an edge leaves the step by this port."""
        return any(edge.port == port for edge in self.definition.out_edges[id])

    def leaf_output(self) -> Any:
        """What the scope as a whole gives: the output of its only leaf, or those of several by their ids."""
        leaves = {id: output for id, output in self.outputs.items() if self._is_leaf(id)}
        return next(iter(leaves.values())) if len(leaves) == 1 else leaves

    def _sources(self, id: str) -> list[str]:
        live = self._live[id]
        return live[:1] if self.definition.nodes[id].merges == "any" else live

    def _is_leaf(self, id: str) -> bool:
        return not any(id in self._live.get(edge.target, ()) for edge in self.definition.out_edges[id])

    def _output_of(self, source: str) -> Any:
        return self.input if source == TRIGGER else self.outputs[source]

    def _decide(self, source: str, port: str | None) -> None:
        """Decide every edge that leaves ``source``; ``port`` is ``None`` when it was skipped, and skips spread."""
        skipped = [(source, port)]
        while skipped:
            source, port = skipped.pop()
            for edge in self.definition.out_edges[source]:
                target = edge.target
                self._undecided[target] -= 1
                if edge.port == port:
                    self._live.setdefault(target, []).append(source)
                    if self.definition.nodes[target].merges == "any" and len(self._live[target]) == 1:
                        self._ready.append(target)
                if self._undecided[target] == 0:
                    if target not in self._live:
                        skipped.append((target, None))
                    elif self.definition.nodes[target].merges != "any":
                        self._ready.append(target)
