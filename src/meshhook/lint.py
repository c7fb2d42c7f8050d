"""What is allowed in a definition and may still be a mistake. Pure; advice, never a fault: nothing is refused for it.

``lint`` looks at the document, for people look for the place where they wrote it. What lies around the workflow, such as its
endpoints, is only known where there is a database; without it, what depends on it is not told.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from meshhook.model import DEFAULT_PORT, TIMEOUT_PORT, TRIGGER
from meshhook.nodes.loop import ITEMS_MAX

Document = Mapping[str, Any]

ADVICE_MAX: Final = 100
NESTED_MAX: Final = ITEMS_MAX
"""Calls or children that loops in each other may make without a word."""

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_HOOK: Final = re.compile(r"/hooks/([^?#\s{}]+)")


class Advice(msgspec.Struct, frozen=True):
    """Something that may be a mistake: where it is (a JSON path), a stable code, and what may come of it."""

    path: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Around:
    """What lies around a workflow.

    ``endpoints`` that lead to it, and whether they are in sync mode. ``workflows``: the published definitions of those it starts,
    directly or through others, ``None`` for one that is not there. ``arrivals_per_s`` and ``hold_s`` were measured lately: runs
    that came in a second, and for how long a worker had one.
    """

    name: str
    endpoints: Mapping[str, bool] = field(default_factory=dict)
    workflows: Mapping[str, Document | None] = field(default_factory=dict)
    arrivals_per_s: float = 0.0
    hold_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Spot:
    """A node where it stands: ``always`` says that no branch, error or loop is on the way to it; ``loops`` it stands in."""

    at: str
    node: Document
    always: bool
    loops: tuple[Document, ...]
    ports: frozenset[str]

    @property
    def config(self) -> Document:
        config: Document = self.node.get("config", {})
        return config


def lint(document: Document, around: Around | None = None) -> list[Advice]:
    """Everything in a valid definition that may be a mistake, in the order of the document, 100 at most."""
    spots = list(_spots(document, "$", True, ()))
    found: list[Advice] = []
    for spot in spots:
        found += _of_node(spot, document, around)
    if around is not None:
        found += _of_settings(document.get("settings", {}), around)
    return found[:ADVICE_MAX]


def children_of(document: Document) -> set[str]:
    """The workflows that a definition starts."""
    return {spot.config["workflow"] for spot in _spots(document, "$", True, ()) if spot.node["type"] == "sub_workflow"}


def _spots(part: Document, at: str, always: bool, loops: tuple[Document, ...]) -> Iterator[_Spot]:
    """Every node, those in the bodies of loops behind their loop."""
    sure = _always_reached(part) if always else set()
    for index, node in enumerate(part["nodes"]):
        here = f"{at}.nodes[{index}]"
        ports = frozenset(edge.get("port", DEFAULT_PORT) for edge in part["edges"] if edge["from"] == node["id"])
        yield _Spot(here, node, node["id"] in sure, loops, ports)
        if node["type"] == "loop":  # it may have no item, so nothing in it is sure to be reached
            yield from _spots(node["config"]["body"], f"{here}.config.body", False, (*loops, node))


def _always_reached(part: Document) -> set[str]:
    """The nodes that every run comes to that does not fail."""
    branches = {node["id"] for node in part["nodes"] if node["type"] == "branch"}
    targets: dict[str, list[str]] = {}
    for edge in part["edges"]:
        if edge.get("port", DEFAULT_PORT) == DEFAULT_PORT and edge["from"] not in branches:
            targets.setdefault(edge["from"], []).append(edge["to"])
    reached, waiting = {TRIGGER}, [TRIGGER]
    while waiting:
        fresh = set(targets.get(waiting.pop(), ())) - reached
        reached |= fresh
        waiting += fresh
    return reached


def _of_node(spot: _Spot, document: Document, around: Around | None) -> Iterator[Advice]:
    match spot.node["type"]:
        case "loop":
            yield from _of_loop(spot)
        case "http_call":
            yield from _of_call(spot)
            if around is not None:
                yield from _of_own_endpoint(spot, document, around)
        case "sub_workflow" if around is not None:
            yield from _of_child(spot, document, around)
        case "wait_event" if TIMEOUT_PORT not in spot.ports and spot.node.get("on_error", "fail") == "fail":
            yield Advice(
                spot.at,
                "timeout-leads-nowhere",
                "no edge leaves by the port 'timeout': when the event does not come in time, the step fails, and with it what it "
                "stands in. Add an edge, or on_error",
            )
        case "respond" if around is not None and not any(around.endpoints.values()):
            yield Advice(
                spot.at,
                "nobody-listens",
                "no endpoint of this workflow is in sync mode, so nobody gets this answer. Set mode to sync at an endpoint",
            )


# Loops ----------------------------------------------------------------------------------------------------------------


def _of_loop(spot: _Spot) -> Iterator[Advice]:
    busy = sorted(_types(spot.config["body"]) & {"http_call", "sub_workflow"})
    capped = "items_max" in spot.config
    if not capped and busy:
        yield Advice(
            f"{spot.at}.config",
            "unbounded-fan-out",
            f"a list of up to {ITEMS_MAX:,} items makes as many {' and '.join(busy)} steps. Say with items_max how many you expect",
        )
    elif not capped:
        yield Advice(
            f"{spot.at}.config",
            "loop-without-cap",
            f"takes lists of up to {ITEMS_MAX:,} items. Say with items_max how many you expect: a longer list then fails the step",
        )
    most = _items_max(spot.node)
    for outer in spot.loops:
        most *= _items_max(outer)
    inner = {node["type"] for node in spot.config["body"]["nodes"]} & {"http_call", "sub_workflow"}
    if spot.loops and inner and most > NESTED_MAX:
        yield Advice(
            f"{spot.at}.config",
            "nested-fan-out",
            f"loops in each other make up to {most:,} {' and '.join(sorted(inner))} steps here. Lower their items_max",
        )


def _items_max(loop: Document) -> int:
    return int(loop["config"].get("items_max", ITEMS_MAX))


def _types(part: Document) -> set[str]:
    return {spot.node["type"] for spot in _spots(part, "", False, ())}


# Calls ----------------------------------------------------------------------------------------------------------------


def _of_call(spot: _Spot) -> Iterator[Advice]:
    method = spot.config.get("method", "GET")
    retry = spot.config.get("retry", {})
    if method in _IDEMPOTENT or "on_unknown" in retry or retry.get("attempts", 3) == 1:
        return
    yield Advice(
        f"{spot.at}.config",
        "unsafe-retry",
        f"a {method} of which nobody knows whether it arrived is sent again. That is safe where the host honours the "
        "Idempotency-Key; say so with retry.on_unknown: retry, or else fail",
    )


def _of_own_endpoint(spot: _Spot, document: Document, around: Around) -> Iterator[Advice]:
    hook = _HOOK.search(spot.config["url"])
    if hook is None or hook[1].rstrip("/") not in around.endpoints:
        return
    limit = document.get("settings", {}).get("concurrency", {}).get("limit")
    if around.endpoints[hook[1].rstrip("/")] and limit is not None:
        yield Advice(
            f"{spot.at}.config.url",
            "waits-for-itself",
            f"looks like an endpoint of this workflow, in sync mode: the call has one of {limit} slots, and waits for a run that "
            "waits for a slot. When all are taken so, none goes on before the call times out",
        )
    elif spot.always:
        yield Advice(
            f"{spot.at}.config.url",
            "endless-calls",
            "looks like an endpoint of this workflow: every run would start the next one, without end. Put a branch before it",
        )


# Children -------------------------------------------------------------------------------------------------------------


def _of_child(spot: _Spot, document: Document, around: Around) -> Iterator[Advice]:
    name = spot.config["workflow"]
    at = f"{spot.at}.config.workflow"
    if name != around.name and name in around.workflows and around.workflows[name] is None:
        yield Advice(at, "unknown-workflow", f"{name!r} is not there, or not published: the step fails until it is")
        return
    way = _way_back(name, around)
    if way is None:
        return
    through = " → ".join([around.name, *way])
    concurrency = document.get("settings", {}).get("concurrency")
    if concurrency is not None and concurrency.get("strategy", "queue") != "queue":
        what = (
            "cancels its own parent"
            if concurrency["strategy"] == "cancel-oldest"
            else "is rejected because of its parent"
        )
        yield Advice(
            at,
            "waits-for-itself",
            f"{through}: with the strategy {concurrency['strategy']} a run that waits counts, so at the limit of "
            f"{concurrency['limit']} the child {what}. Use the strategy queue, or another key",
        )
    elif spot.always and all(_always_starts(a, b, around) for a, b in itertools.pairwise(way)):
        yield Advice(
            at,
            "endless-calls",
            f"{through}: every run starts the next one, until at a depth of 10 the step fails. Put a branch before it",
        )


def _way_back(name: str, around: Around) -> list[str] | None:
    """The shortest way from a child to the workflow itself, through children; ``None`` when there is none."""
    ways, known = [[name]], {name}
    for way in ways:
        if way[-1] == around.name:
            return way
        for next in sorted(children_of(around.workflows.get(way[-1]) or _NOTHING) - known):
            known.add(next)
            ways.append([*way, next])
    return None


def _always_starts(parent: str, child: str, around: Around) -> bool:
    spots = _spots(around.workflows.get(parent) or _NOTHING, "$", True, ())
    return any(
        spot.always and spot.node["type"] == "sub_workflow" and spot.config["workflow"] == child for spot in spots
    )


_NOTHING: Final[Document] = {"nodes": [], "edges": []}


# Settings -------------------------------------------------------------------------------------------------------------


def _of_settings(settings: Document, around: Around) -> Iterable[Advice]:
    rate, concurrency = settings.get("rate"), settings.get("concurrency")
    if rate is not None and "key" not in rate and rate["limit"] / rate["per_s"] < around.arrivals_per_s:
        yield Advice(
            "$.settings.rate",
            "limit-below-arrivals",
            f"{rate['limit'] / rate['per_s']:.3g} runs may start in a second, and {around.arrivals_per_s:.3g} came in the last "
            "hour: the line grows for ever",
        )
    needed = around.arrivals_per_s * around.hold_s
    if concurrency is not None and "key" not in concurrency and concurrency["limit"] < needed:
        yield Advice(
            "$.settings.concurrency",
            "limit-below-arrivals",
            f"{around.arrivals_per_s:.3g} runs came in a second in the last hour, each worked on for {around.hold_s:.3g} s: that "
            f"takes {needed:.3g} slots, and there are {concurrency['limit']}. The line grows for ever",
        )
