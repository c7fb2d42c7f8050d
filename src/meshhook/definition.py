"""A workflow definition: its JSON Schema, and how a JSON document becomes a compiled, valid ``Definition``.

``parse`` finds *every* fault at once: first the shape (JSON Schema), and where the shape allows it the graph and the
expressions. The reference is ``docs/reference/definition.md``.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import jsonschema
import msgspec

from meshhook import limits
from meshhook.errors import DefinitionError, Fault
from meshhook.mapping import Faults
from meshhook.model import DEFAULT_PORT, ERROR_PORT, STEPS_MAX, TRIGGER, Definition, Edge, Merges, Node, Place, Work
from meshhook.nodes import TYPES

SIZE_MAX_BYTES: Final = 1024 * 1024
NODES_MAX: Final = 1_000
EDGES_MAX: Final = 5_000
LOOPS_DEEP_MAX: Final = 4
_FAULTS_MAX: Final = 200  # a hostile document must not make an answer without end
_ID: Final = "^[A-Za-z_][A-Za-z0-9_]{0,63}$"

_GRAPH: Final[dict[str, Any]] = {
    "nodes": {"type": "array", "minItems": 1, "maxItems": NODES_MAX, "items": {"$ref": "#/$defs/node"}},
    "edges": {"type": "array", "minItems": 1, "maxItems": EDGES_MAX, "items": {"$ref": "#/$defs/edge"}},
}

SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "MeshHook workflow definition",
    "type": "object",
    "properties": {
        **_GRAPH,
        "description": {"type": "string", "maxLength": 10_000},
        "settings": {"$ref": "#/$defs/settings"},
    },
    "required": ["nodes", "edges"],
    "additionalProperties": False,
    "$defs": {
        "settings": {
            "type": "object",
            "properties": {
                "timeout_s": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 366 * 24 * 3600,
                    "description": "A run that is not done so long after a worker first took it fails.",
                },
                "steps_max": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1_000_000,
                    "default": STEPS_MAX,
                    "description": "Steps a run may complete, those in loops included.",
                },
                **limits.SCHEMA,
            },
            "additionalProperties": False,
        },
        "fragment": {
            "type": "object",
            "properties": _GRAPH,
            "required": ["nodes", "edges"],
            "additionalProperties": False,
        },
        "node": {
            "type": "object",
            "properties": {
                "id": {"type": "string", "pattern": _ID, "not": {"const": TRIGGER}},
                "type": {"enum": list(TYPES)},
                "config": {"type": "object"},
                "name": {"type": "string", "maxLength": 200, "description": "What people see; the id when left out."},
                "timeout_s": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 366 * 24 * 3600,
                    "description": "A step that is not done after so long, attempts and waits included, fails.",
                },
                "on_error": {
                    "enum": ["fail", "continue", "port"],
                    "default": "fail",
                    "description": "What a failed step does: it fails the run (or the item of its loop), or it completes with "
                    f"{{error}}, by its usual port or by the port {ERROR_PORT!r}.",
                },
                "position": {
                    "type": "object",
                    "description": "Where an editor draws it; no meaning for the run.",
                    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
                },
            },
            "required": ["id", "type"],
            "additionalProperties": False,
            "allOf": [
                {
                    "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
                    "then": {"properties": {"config": {"$ref": f"#/$defs/{name}"}}}
                    | (
                        {"required": ["config"]}
                        if module.SCHEMA.get("required") or module.SCHEMA.get("minProperties")
                        else {}
                    ),
                }
                for name, module in TYPES.items()
            ],
        },
        "edge": {
            "type": "object",
            "properties": {
                "from": {"type": "string", "description": f"A node id, or {TRIGGER!r}."},
                "port": {"type": "string", "default": DEFAULT_PORT},
                "to": {"type": "string"},
            },
            "required": ["from", "to"],
            "additionalProperties": False,
        },
        **{name: module.SCHEMA for name, module in TYPES.items()},
    },
}

_VALIDATOR: Final = jsonschema.Draft202012Validator(SCHEMA)


def parse_text(text: bytes | str) -> Definition:
    """Parse a definition from JSON text.

    Raises:
        DefinitionError: it is no JSON, too large, or has faults (see ``parse``).
    """
    if len(text) > SIZE_MAX_BYTES:
        raise DefinitionError(
            [Fault("$", "too-large", f"{len(text)} bytes; a definition has at most {SIZE_MAX_BYTES}")]
        )
    try:
        document = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise DefinitionError([Fault("$", "no-json", str(error))]) from None
    return parse(document)


def parse(document: Any) -> Definition:
    """Compile a decoded JSON document into a definition that is safe to run.

    Raises:
        DefinitionError: with every fault found, at most 200: first those of shape, then of expressions, edges and the graph.
            Where there are too many nodes or edges, that alone.
    """
    if oversized := list(_oversized(document, "$", 0)):
        raise DefinitionError(oversized)  # to look for more in thousands of nodes would take seconds
    faults = list(_shape_faults(document))
    nodes, edges = _compile(document, "$", faults)
    settings = _sound_settings(document, faults)
    place = _compile_limits(settings, faults)
    if faults:
        raise DefinitionError(faults[:_FAULTS_MAX])
    return dataclasses.replace(
        _assemble(nodes, edges, settings.get("timeout_s"), settings.get("steps_max", STEPS_MAX)),
        place=place,
        priority=limits.priority_of(settings.get("priority")),
        ttl_s=settings.get("queue_ttl_s"),
    )


def _oversized(document: Any, at: str, depth: int) -> Iterator[Fault]:
    """Graphs with more nodes or edges than are allowed: the definition, or bodies of loops in it."""
    if not isinstance(document, dict) or depth > LOOPS_DEEP_MAX:
        return
    for name, most in (("nodes", NODES_MAX), ("edges", EDGES_MAX)):
        items = document.get(name)
        if isinstance(items, list) and len(items) > most:
            yield Fault(f"{at}.{name}", "wrong-value", f"{len(items):,} {name}; at most {most:,} are allowed. {_SPLIT}")
    nodes = document.get("nodes")
    for index, node in enumerate(nodes[:NODES_MAX] if isinstance(nodes, list) else ()):
        config = node.get("config") if isinstance(node, dict) else None
        if isinstance(config, dict) and "body" in config:
            yield from _oversized(config["body"], f"{at}.nodes[{index}].config.body", depth + 1)


_SPLIT: Final = "Move parts of it into workflows of their own, and start them with sub_workflow"


def _compile(document: Any, at: str, faults: list[Fault], depth: int = 0) -> tuple[dict[str, Node], list[Edge]]:
    """The nodes and edges of a graph at a JSON path: the whole definition, or the body of a loop."""
    sound = _Sound.part_of(document, at, faults)
    nodes = _compile_nodes(sound, faults, depth)
    faults += _edge_faults(sound)
    faults += _graph_faults(sound)
    return nodes, [edge for _, edge in sound.edges]


@dataclass(frozen=True, slots=True)
class _Sound:
    """The nodes and edges whose own shape is right, with their index: they are checked further even when others are not.

    ``ids`` are the ids of all nodes, so that an edge to a node of the wrong shape is not called dangling as well.
    """

    at: str
    nodes: list[tuple[int, dict[str, Any]]]
    edges: list[tuple[int, Edge]]
    ids: set[str]

    @staticmethod
    def part_of(document: Any, at: str, faults: list[Fault]) -> _Sound:
        if not isinstance(document, dict):
            return _Sound(at, [], [], set())
        broken = {at + fault.path[len(at) :].split("]")[0] for fault in faults if fault.path.startswith(at)}

        def sound(name: str) -> list[tuple[int, dict[str, Any]]]:
            items = document.get(name) if f"{at}.{name}" not in broken else ()
            return [(i, item) for i, item in enumerate(items or ()) if f"{at}.{name}[{i}" not in broken]

        nodes = document.get("nodes")
        ids = [node.get("id") for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
        edges = [(i, Edge(e["from"], e.get("port", DEFAULT_PORT), e["to"])) for i, e in sound("edges")]
        return _Sound(at, sound("nodes"), edges, {id for id in ids if isinstance(id, str)})


def _shape_faults(document: Any) -> Iterator[Fault]:
    try:
        for error in sorted(
            _VALIDATOR.iter_errors(document), key=lambda error: [_sortable(p) for p in error.absolute_path]
        ):
            yield Fault(error.json_path, _shape_code(error), _shape_message(error))
    except RecursionError:
        yield Fault("$", "too-deep", "nested too deeply")


def _sortable(part: str | int) -> tuple[str, int]:
    return (part, 0) if isinstance(part, str) else ("", part)


def _shape_code(error: jsonschema.ValidationError) -> str:
    if error.validator == "enum" and error.json_path.endswith(".type"):
        return "unknown-node-type"
    return {"required": "missing", "additionalProperties": "unknown-field", "not": "reserved-id"}.get(
        str(error.validator), "wrong-value"
    )


def _shape_message(error: jsonschema.ValidationError) -> str:
    if error.validator == "not":
        return f"the id {TRIGGER!r} is reserved for the start of every path"
    if error.validator == "maxItems":
        return f"has more items than the {error.validator_value} that are allowed"
    message = str(error.message)
    return message if len(message) <= 300 else message[:150] + " … " + message[-145:]


def _compile_nodes(sound: _Sound, faults: list[Fault], depth: int) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for index, document in sound.nodes:
        at, id, type = f"{sound.at}.nodes[{index}]", document["id"], document["type"]
        if id in nodes:
            faults.append(Fault(f"{at}.id", "duplicate-id", f"another node has the id {id!r} already"))
        config = document.get("config", {})
        body = _compile_body(config.get("body"), f"{at}.config.body", faults, depth + 1) if type == "loop" else None
        merges: Merges = config.get("mode", "all") if type == "join" else "implicit"
        nodes[id] = Node(
            id,
            type,
            _compile_work(type, config, body, at, faults),
            merges,
            document.get("timeout_s"),
            document.get("on_error", "fail"),
            body,
        )
    return nodes


def _compile_work(type: str, config: dict[str, Any], body: Definition | None, at: str, faults: list[Fault]) -> Work:
    expression_faults: Faults = []
    more = () if body is None else (body,)
    work: Work = TYPES[type].compile(config, expression_faults, *more)
    faults += [
        Fault(f"{at}.config{below}", "bad-expression", f"{error.expression!r}: {error.reason}")
        for below, error in expression_faults
    ]
    return work


def _compile_body(document: Any, at: str, faults: list[Fault], depth: int) -> Definition:
    """The body of a loop: a definition of its own, only without settings. With faults it is not to be run."""
    if depth > LOOPS_DEEP_MAX:
        faults.append(Fault(at, "too-deep", f"loops can stand in each other {LOOPS_DEEP_MAX} deep, not deeper"))
        return Definition({}, {}, {})
    before = len(faults)
    nodes, edges = _compile(document, at, faults, depth)
    return Definition({}, {}, {}) if len(faults) > before else _assemble(nodes, edges)


def _sound_settings(document: Any, faults: list[Fault]) -> dict[str, Any]:
    broken = any(fault.path == "$" or fault.path.startswith("$.settings") for fault in faults)
    return {} if broken or not isinstance(document, dict) else document.get("settings", {})


def _compile_limits(settings: dict[str, Any], faults: list[Fault]) -> Place | None:
    expression_faults: Faults = []
    place = limits.compile_limits(settings, expression_faults)
    faults += [
        Fault(f"$.settings{below}", "bad-expression", f"{error.expression!r}: {error.reason}")
        for below, error in expression_faults
    ]
    return place


def _edge_faults(sound: _Sound) -> Iterator[Fault]:
    ports = {document["id"]: _ports(document) for _, document in sound.nodes}
    ports[TRIGGER] = [DEFAULT_PORT]
    ids = sound.ids | {TRIGGER}
    seen: set[Edge] = set()
    for index, edge in sound.edges:
        at = f"{sound.at}.edges[{index}]"
        if edge.source not in ids:
            yield Fault(f"{at}.from", "dangling-edge", f"there is no node {edge.source!r}")
        elif edge.source in ports and edge.port not in ports[edge.source]:
            yield Fault(f"{at}.port", "bad-port", _port_message(edge, ports[edge.source]))
        if edge.target == TRIGGER:
            yield Fault(f"{at}.to", "bad-target", "nothing can lead to the trigger")
        elif edge.target not in ids:
            yield Fault(f"{at}.to", "dangling-edge", f"there is no node {edge.target!r}")
        if edge in seen:
            yield Fault(
                at, "duplicate-edge", f"the same edge stands here twice: {edge.source}.{edge.port} → {edge.target}"
            )
        seen.add(edge)


def _ports(node: dict[str, Any]) -> list[str]:
    ports: list[str] = TYPES[node["type"]].ports(node.get("config", {}))
    return [*ports, ERROR_PORT] if node.get("on_error") == "port" else ports


def _port_message(edge: Edge, ports: list[str]) -> str:
    if not ports:
        return f"{edge.source!r} ends the run: no edge can leave it"
    return f"{edge.source!r} has no port {edge.port!r}; its ports are {', '.join(map(repr, ports))}"


def _graph_faults(sound: _Sound) -> Iterator[Fault]:
    if not sound.edges:
        return  # their shape is wrong, which is said already: to call every node unreachable would only hide it
    position = {document["id"]: index for index, document in sound.nodes}
    targets: dict[str, list[str]] = {id: [] for id in sound.ids | {TRIGGER}}
    for _, edge in sound.edges:
        if edge.source in targets and edge.target in targets and edge.target != TRIGGER:
            targets[edge.source].append(edge.target)
    reached = _reachable(targets)
    for id, index in position.items():
        if id not in reached:
            yield Fault(f"{sound.at}.nodes[{index}]", "unreachable-node", f"no path leads from the trigger to {id!r}")
    if cycle := sorted(_on_a_cycle(targets) & position.keys(), key=position.__getitem__):
        path = f"{sound.at}.nodes[{position[cycle[0]]}]"
        yield Fault(path, "cycle", f"these nodes wait for each other in a circle: {', '.join(cycle[:20])}")


def _reachable(targets: dict[str, list[str]]) -> set[str]:
    reached = {TRIGGER}
    waiting = deque([TRIGGER])
    while waiting:
        fresh = [target for target in targets[waiting.popleft()] if target not in reached]
        reached.update(fresh)
        waiting.extend(fresh)
    return reached


def _on_a_cycle(targets: dict[str, list[str]]) -> set[str]:
    """The nodes left when sources and sinks are taken away again and again: those on a cycle, or between two cycles."""
    left = set(targets)
    while True:
        led_to = {target for id in left for target in targets[id]}
        stays = {id for id in left if id in led_to and any(target in left for target in targets[id])}
        if stays == left:
            return left
        left = stays


def _assemble(
    nodes: dict[str, Node], edges: list[Edge], timeout_s: float | None = None, steps_max: int = STEPS_MAX
) -> Definition:
    out_edges: dict[str, list[Edge]] = {TRIGGER: [], **{id: [] for id in nodes}}
    in_degree = dict.fromkeys(nodes, 0)
    for edge in edges:
        out_edges[edge.source].append(edge)
        in_degree[edge.target] += 1
    leaving = {source: tuple(of) for source, of in out_edges.items()}
    return Definition(nodes, leaving, in_degree, timeout_s, steps_max)
