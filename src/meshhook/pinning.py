"""A definition as a test run runs it: pinned nodes give what they were pinned to, and no limit holds it up. Pure.

A pinned node becomes a ``transform`` that gives the output as it stands; everything else stays where it is. The edges that leave by
the port it was pinned to leave by ``out``; those of its other ports by ``error``, which a ``transform`` of a literal never takes:
so they are dead, and what lies behind them is skipped as it would be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from meshhook.errors import DefinitionError, Fault
from meshhook.model import DEFAULT_PORT, ERROR_PORT
from meshhook.nodes import TYPES

Document = Mapping[str, Any]

_LIMITS: Final = ("concurrency", "rate", "priority", "queue_ttl_s")
_OPEN: Final = "{{"
_LITERAL_OPEN: Final = "{{ '{{' }}"


class Pin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node gives instead of doing its work: an output, by one of its ports (`out` when left out)."""

    output: Any
    port: str = DEFAULT_PORT


def without_limits(document: Document) -> Document:
    """The definition without what keeps its runs in line: a test run waits for nobody, and takes no slot from others."""
    settings = document.get("settings", {})
    if not any(name in settings for name in _LIMITS):
        return document
    return {**document, "settings": {name: value for name, value in settings.items() if name not in _LIMITS}}


def pinned(document: Document, pins: Mapping[str, Pin]) -> Document:
    """A valid definition with pinned nodes. A node in the body of a loop goes by ``loop.node``, and is pinned for each item.

    Raises:
        DefinitionError: a pin is of no node, or of one that can't be pinned so.
    """
    if faults := list(_faults(document, pins, "")):
        raise DefinitionError(faults)
    return _rewritten(document, pins)


def _rewritten(part: Document, pins: Mapping[str, Pin]) -> Document:
    if not pins:
        return part
    nodes = [_node(node, pins) for node in part["nodes"]]
    edges = {_edge(edge, pins.get(edge["from"])): None for edge in part["edges"]}
    led = [{"from": source, "port": port, "to": target} for source, port, target in edges]
    return {**part, "nodes": nodes, "edges": led}


def _node(node: Document, pins: Mapping[str, Pin]) -> Document:
    pin = pins.get(node["id"])
    if pin is None:
        inner = _below(node["id"], pins)
        if not inner:
            return node
        return {**node, "config": {**node["config"], "body": _rewritten(node["config"]["body"], inner)}}
    kept = {name: node[name] for name in ("id", "name", "position") if name in node}
    return {**kept, "type": "transform", "config": {"template": _literal(pin.output)}, "on_error": "port"}


def _edge(edge: Document, pin: Pin | None) -> tuple[str, str, str]:
    port = edge.get("port", DEFAULT_PORT)
    if pin is not None:
        port = DEFAULT_PORT if port == pin.port else ERROR_PORT
    return edge["from"], port, edge["to"]


def _literal(value: Any) -> Any:
    """A template that gives ``value``, whatever its strings look like."""
    if isinstance(value, str):
        return value.replace(_OPEN, _LITERAL_OPEN)
    if isinstance(value, dict):
        return {name: _literal(member) for name, member in value.items()}
    return [_literal(item) for item in value] if isinstance(value, list) else value


def _below(loop: str, pins: Mapping[str, Pin]) -> dict[str, Pin]:
    """The pins of nodes in the body of a loop."""
    return {id.removeprefix(f"{loop}."): pin for id, pin in pins.items() if id.startswith(f"{loop}.")}


def _faults(part: Document, pins: Mapping[str, Pin], prefix: str) -> Iterator[Fault]:
    nodes = {node["id"]: node for node in part["nodes"]}
    for id, pin in pins.items():
        loop, dot, _ = id.partition(".")
        if id in nodes:
            yield from _faults_of(nodes[id], pin, f"$.pins.{prefix}{id}")
        elif not dot or nodes.get(loop, {}).get("type") != "loop" or loop in pins:
            yield Fault(f"$.pins.{prefix}{id}"[:300], "unknown-node", "there is no such node to pin")
    for id, node in nodes.items():
        if node["type"] == "loop" and id not in pins and (inner := _below(id, pins)):
            yield from _faults(node["config"]["body"], inner, f"{prefix}{id}.")


def _faults_of(node: Document, pin: Pin, at: str) -> Iterator[Fault]:
    ports: list[str] = TYPES[node["type"]].ports(node.get("config", {}))
    if not ports:
        yield Fault(at, "bad-pin", f"{node['id']!r} ends the run, so nothing it could be pinned to leaves it")
    elif pin.port not in (*ports, *([ERROR_PORT] if node.get("on_error") == "port" else [])):
        known = ", ".join(map(repr, ports))
        yield Fault(
            f"{at}.port", "bad-port", f"{node['id']!r} has no port {pin.port[:100]!r}; say which of {known} it takes"
        )
