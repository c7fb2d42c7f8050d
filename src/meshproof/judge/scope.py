"""Which steps may start: the edges of one graph as they are decided, for the whole run or for one item of a loop."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from meshproof.judge.graph import OUT, Graph

TRIGGER: Final = "trigger"


class Scope:
    """One graph under way. `path` is what stands before the names of its nodes: nothing, or `each[3].`."""

    def __init__(self, graph: Graph, path: str = "", loop: str = "") -> None:
        """`loop` is the path of the loop it is an item of, if it is one."""
        self.graph = graph
        self.path = path
        self.loop = loop
        self.over = False
        """Nothing more may come of it: its last step is done, or one has failed."""
        self.done: list[str] = []
        self._undecided = {node: len(edges) for node, edges in graph.arriving.items()}
        self._live: dict[str, list[str]] = defaultdict(list)
        self._decide(TRIGGER, OUT)

    def complete(self, node: str, port: str) -> None:
        """A step is done, and leaves by a port."""
        self.done.append(node)
        self._decide(node, port)

    def waiting(self, node: str) -> str:
        """What a node still waits for; empty when it may start."""
        undecided = self._undecided.get(node, 0)
        if not self._live[node]:
            return "was not reached yet" if undecided else "was skipped"
        if undecided and not self.graph.waits_for_any(node):
            return f"started while {undecided} of the edges to it were undecided"
        return ""

    def left(self) -> list[str]:
        """The nodes that could still run."""
        return [node for node in self.graph.types if node not in self.done and not self.waiting(node)]

    def leaves(self) -> list[str]:
        """The completed nodes none of whose edges went live."""
        return [node for node in self.done if not self._goes_on(node)]

    def _goes_on(self, node: str) -> bool:
        return any(node in self._live[edge.target] for edge in self.graph.leaving.get(node, ()))

    def _decide(self, source: str, port: str | None) -> None:
        """Decide the edges that leave a node: live by its port, the others dead. No port at all: it is skipped."""
        todo: list[tuple[str, str | None]] = [(source, port)]
        while todo:
            source, port = todo.pop()
            for edge in self.graph.leaving.get(source, ()):
                self._undecided[edge.target] -= 1
                if edge.port == port:
                    self._live[edge.target].append(source)
                elif not self._undecided[edge.target] and not self._live[edge.target]:
                    todo.append((edge.target, None))
