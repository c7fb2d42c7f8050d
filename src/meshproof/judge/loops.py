"""The loops of one run, as its journal tells them: their items, each with a scope of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from meshproof.judge.graph import Graph, graph
from meshproof.judge.scope import Scope

ITEM: Final = re.compile(r"(.+)\[(\d+)\]")
CONCURRENCY: Final = 10
"""How many items may be under way at once when the definition does not say."""


@dataclass
class Loop:
    """One loop that was begun."""

    count: int
    concurrency: int
    goes_on: bool
    """An item that fails leaves its error behind, and the loop goes on."""
    body: Graph
    ended: set[int] = field(default_factory=set)
    under_way: set[int] = field(default_factory=set)
    failed: bool = False


class Loops:
    """Every loop of one run, and the scopes of its items. The scope of the run itself has the path ''."""

    def __init__(self, shape: Graph) -> None:
        self.loops: dict[str, Loop] = {}
        self.scopes: dict[str, Scope] = {"": Scope(shape)}
        self._bodies = cache(lambda path: graph(self._config(path)["body"]))

    @property
    def root(self) -> Scope:
        """The scope of the run itself."""
        return self.scopes[""]

    def begin(self, path: str, count: int) -> None:
        """A loop begins with so many items."""
        config = self._config(path)
        self.loops[path] = Loop(
            count,
            int(config.get("concurrency", CONCURRENCY)),
            config.get("on_error", "stop") == "continue",
            self._bodies(re.sub(r"\[\d+\]", "", path)),
        )

    def find(self, path: str) -> tuple[Scope | None, str, str]:
        """The scope of a step and its name there, and what is wrong with that."""
        before, _, node = path.rpartition(".")
        if not before:
            return self.root, node, ""
        if before in self.scopes:
            return self.scopes[before], node, ""
        found = ITEM.fullmatch(before)
        loop = self.loops.get(found[1]) if found else None
        if found is None or loop is None:
            return None, node, f"{before} is no item of a loop that was begun"
        index = int(found[2])
        self.scopes[before] = scope = Scope(loop.body, f"{before}.", found[1])
        loop.under_way.add(index)
        if index >= loop.count:
            return scope, node, f"{found[1]} has {loop.count} items, and none with the number {index}"
        if len(loop.under_way) > loop.concurrency:
            return (
                scope,
                node,
                f"{len(loop.under_way)} items of {found[1]} are under way, and {loop.concurrency} may be",
            )
        return scope, node, ""

    def end_item(self, scope: Scope) -> Loop:
        """An item is over; returns its loop."""
        loop, index = self.loops[scope.loop], int(scope.path[len(scope.loop) + 1 : -2])
        scope.over = True
        loop.under_way.discard(index)
        loop.ended.add(index)
        return loop

    def waiting(self, path: str) -> str:
        """What a loop that ends well still waits for."""
        loop = self.loops.get(path)
        if loop is None:
            return "was not begun"
        missing = loop.count - len(loop.ended)
        return f"ends with {missing} of {loop.count} items undone" if missing else ""

    def _config(self, path: str) -> dict[str, Any]:
        before, _, node = path.rpartition(".")
        found = ITEM.fullmatch(before)
        scope = self.scopes[""] if found is None else self.scopes[before]
        return dict(scope.graph.configs[node])
