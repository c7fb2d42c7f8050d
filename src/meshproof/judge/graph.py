"""What of a workflow's definition matters for the order of things, read from docs/reference/definition.md alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

OUT: Final = "out"
TIMEOUT: Final = "timeout"
ERROR: Final = "error"
ATTEMPTS: Final = 3
"""How often an `http_call` is tried in all when its definition does not say."""


class Edge(NamedTuple):
    """From a port of one node to another node."""

    source: str
    port: str
    target: str


@dataclass(frozen=True)
class Graph:
    """Nodes by their id, and the edges that leave and reach them."""

    nodes: Mapping[str, Mapping[str, Any]]
    types: Mapping[str, str]
    configs: Mapping[str, Mapping[str, Any]]
    leaving: Mapping[str, tuple[Edge, ...]]
    arriving: Mapping[str, tuple[Edge, ...]]

    def waits_for_any(self, node: str) -> bool:
        """Whether the node starts at its first live edge."""
        return self.types[node] == "join" and self.configs[node].get("mode") == "any"

    def ports(self, node: str) -> set[str]:
        """The ports an edge can leave the node by."""
        if self.types[node] == "branch":
            config = self.configs[node]
            return {condition["port"] for condition in config["conditions"]} | {config.get("default", "default")}
        return {OUT, TIMEOUT} if self.types[node] == "wait_event" else {OUT}

    def on_error(self, node: str) -> str:
        """What its failure does: `fail`, `continue` or `port`."""
        return str(self.nodes[node].get("on_error", "fail"))

    def has_deadline(self, node: str) -> bool:
        """Whether the step may only take so long, attempts and waits included."""
        return "timeout_s" in self.nodes[node]

    def attempts_max(self, node: str) -> int:
        """How often the call of a node may be tried."""
        return int(self.configs[node].get("retry", {}).get("attempts", ATTEMPTS))


def graph(definition: Mapping[str, Any]) -> Graph:
    """The graph of a definition document."""
    leaving, arriving = defaultdict(list), defaultdict(list)
    for line in definition["edges"]:
        edge = Edge(line["from"], line.get("port", OUT), line["to"])
        leaving[edge.source].append(edge)
        arriving[edge.target].append(edge)
    nodes = definition["nodes"]
    return Graph(
        nodes={node["id"]: node for node in nodes},
        types={node["id"]: node["type"] for node in nodes},
        configs={node["id"]: node.get("config", {}) for node in nodes},
        leaving={source: tuple(edges) for source, edges in leaving.items()},
        arriving={target: tuple(edges) for target, edges in arriving.items()},
    )
