"""Definitions made to break something: every one is refused with places, or runs without harm to the worker that runs it."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from tests.engine.conftest import DAY, Connection, delivery, pool, publish
from tests.engine.test_worker import worker

from meshhook import census
from meshhook.definition import parse
from meshhook.errors import DefinitionError, Fault
from meshhook.model import CallError, Request, Response
from meshhook.nodes import TYPES
from meshhook.replay import divergence
from meshhook.store import Store
from meshhook.verify import Difference, differences
from meshhook.worker import Worker

FRAGMENT = {
    "nodes": [{"id": "inner", "type": "transform", "config": {"expression": "input"}}],
    "edges": [{"from": "trigger", "to": "inner"}],
}
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "transform": [{"expression": "input.a"}, {"template": {"a": ["{{ input.a }}", "x {{ input }}"]}}],
    "branch": [{"conditions": [{"port": "out", "when": "input.a"}, {"port": "b", "when": "`true`"}], "default": "c"}],
    "join": [{"mode": "all"}],
    "terminate": [{"status": "failed", "output": "{{ input }}", "reason": "since {{ input.a }}"}],
    "delay": [{"seconds": 0}, {"seconds": "{{ input.a }}"}, {"until": "2026-01-01T00:00:00Z"}],
    "xml_json": [{"to": "json", "value": "<a>{{ input.a }}</a>", "arrays": ["a"]}, {"to": "xml"}, {"to": "feed"}],
    "wait_event": [{"event": "paid", "key": "{{ input.a }}", "timeout_s": 3600}],
    "loop": [{"items": "[input, input]", "body": FRAGMENT, "concurrency": 2, "items_max": 10, "on_error": "continue"}],
    "sub_workflow": [{"workflow": "nobody", "input": "{{ input }}", "wait": True}],
    "respond": [{"status": 200, "headers": {"a": "{{ input.a }}"}, "body": "{{ input }}"}],
    "http_call": [
        {
            "url": "http://x.example/{{ input.a }}", "method": "POST", "headers": {"a": "{{ input.a }}"},
            "query": {"q": "{{ input }}"},
            "json": {"a": "{{ input }}"}, "timeout_s": 1, "connect_timeout_s": 1, "redirects": 1, "response_limit_bytes": 10,
            "success": "status == `200`", "output": {"b": "{{ body }}"},
            "auth": {"type": "basic", "user": "{{ input.a }}", "password": "p"},
            "retry": {"attempts": 2, "backoff_s": 0, "backoff_max_s": 0, "statuses": [500], "on_unknown": "fail"},
        },
        {"url": "http://x.example/", "form": {"a": "{{ input }}"}, "auth": {"type": "bearer", "token": "{{ secrets.TOKEN }}"}},
        {"url": "http://x.example/", "text": "{{ input }}", "auth": {"type": "standard_webhooks", "secret": "x"}},
        {"url": "http://x.example/", "auth": {"type": "header", "name": "x-key", "value": "{{ input.a }}"}},
    ],
}  # fmt: skip


def nested(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return value


HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1e308, 2**70, 0.1, "", " ", "x" * 20_000, "\x00", "é\u202e", "{{", "}}", "{{ a( }}", "{{ }}",
    "{{ @ }}",
    "{{ secrets.KEY }}", "{{ secrets }}", "{{ input" + "|[@,@]" * 60 + " }}", "input" + "|[@,@]" * 60, "(" * 500, "`" + "[" * 500,
    "http://[", "ftp://x", "http://user:pw@x.example/", "99999999999999999999", "2026-01-01", [], [None], [[]], {}, {"": None},
    {"a": {"b": 1}}, nested(50), nested(150), nested(400), {"x" * 300: "y"}, {"nodes": [], "edges": []}, FRAGMENT,
]  # fmt: skip


def document(type: str, config: Any) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "type": type, "config": config}], "edges": [{"from": "trigger", "to": "n"}]}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, the root left out."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in members:
        yield (*path, name)
        yield from places(inner, (*path, name))


def changed(value: Any, path: tuple[Any, ...], to: Any) -> Any:
    made = copy.deepcopy(value)
    holder = made
    for name in path[:-1]:
        holder = holder[name]
    holder[path[-1]] = to
    return made


def accepted_or_refused_with_places(made: Any) -> bool:
    faults = faults_of(made)
    for fault in faults:
        assert fault.path.startswith("$"), fault
        assert fault.code, fault
        assert fault.message, fault
        assert len(fault.message) < 25_000, fault
    return not faults


def faults_of(made: Any) -> list[Fault]:
    try:
        parse(made)
    except DefinitionError as error:
        return error.faults or [Fault("", "", "refused without a fault")]
    return []


def test_every_type_of_node_has_examples_and_they_are_valid() -> None:
    assert TYPES.keys() <= EXAMPLES.keys()
    for type in TYPES:
        for config in EXAMPLES[type]:
            assert accepted_or_refused_with_places(document(type, config)), (type, config)


@pytest.mark.parametrize("type", TYPES)
def test_no_value_in_any_field_of_a_node_is_more_than_a_fault(type: str) -> None:
    refused = 0
    for config in EXAMPLES[type]:
        for path in [("nodes",), ("edges",), *places(document(type, config))]:
            for value in HOSTILE:
                refused += not accepted_or_refused_with_places(changed(document(type, config), path, value))
        for value in HOSTILE:
            refused += not accepted_or_refused_with_places(document(type, value))
            refused += not accepted_or_refused_with_places(document(type, config | {"unknown": value}))
    assert refused > len(HOSTILE)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_no_value_at_all_is_more_than_a_fault(value: Any) -> None:
    assert accepted_or_refused_with_places(value) == (value is FRAGMENT)


EXPRESSIONS = [
    "input", "@", "steps", "trigger", "run", "input.a", "input[*].a", "input.*", "length(input)", "sum(input)", "keys(input)",
    "`0`", "input" + "|[@,@]" * 6, "input" + "|[@,@]" * 60, "to_string(input)", "[input, steps]", "max(input)",
    "{a: input, b: steps}",
    "sort_by(input, &a)", "`null`", "`[1, 2, 3]`", "`{\"a\": 1}`", "'x'", "to_number('1e999')",
    "input" + "|[[[[[@]]]]]" * 50,
]  # fmt: skip
BODIES = [
    None,
    0,
    -1.5,
    "",
    "text",
    "<a>x</a>",
    [],
    [1, 2],
    {},
    {"a": 1},
    {"a": [{"a": None}]},
    [{"a": "x"}] * 3,
    nested(90),
]
ANSWERS = [
    Response(200, {}, {"a": 1}), Response(200, {}, None), Response(500, {}, "x"),
    Response(404, {"retry-after": "9"}, nested(90)),
    CallError("broken", "it broke", "unknown"), CallError("connect", "no connection", "no"),
    CallError("too-large", "too large", "yes"),
]  # fmt: skip


class Maker:
    """Small definitions drawn by chance, many of them valid."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def definition(self) -> dict[str, Any]:
        while True:
            made = self._document()
            if accepted_or_refused_with_places(made):
                return made

    def _document(self) -> dict[str, Any]:
        nodes = [self._node(f"n{number}") for number in range(self.random.randint(1, 4))]
        edges = []
        for number, node in enumerate(nodes):
            for source in {self.random.randrange(-1, number) for _ in range(self.random.randint(1, 2))}:
                if source < 0:
                    edges.append({"from": "trigger", "to": node["id"]})
                else:
                    ports = TYPES[nodes[source]["type"]].ports(nodes[source]["config"])
                    edges.append({"from": f"n{source}", "to": node["id"], "port": self.random.choice(ports or ["out"])})
        return {"nodes": nodes, "edges": edges}

    def _node(self, id: str) -> dict[str, Any]:
        type = self.random.choice(sorted(TYPES))
        config = copy.deepcopy(self.random.choice(EXAMPLES[type]))
        return {"id": id, "type": type, "config": self._with_other_expressions(config)}

    def _with_other_expressions(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._with_other_expressions(inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [self._with_other_expressions(inner) for inner in value]
        if isinstance(value, str) and self.random.random() < 0.7:
            expression = self.random.choice(EXPRESSIONS)
            if "{{" in value:
                return (
                    value[: value.index("{{")] + "{{ " + expression + " }}"
                    if self.random.random() < 0.5
                    else f"{{{{ {expression} }}}}"
                )
            if value.startswith(("input", "[input", "status")):
                return expression
        return value


@pytest.mark.parametrize("seed", range(3))
async def test_no_valid_definition_breaks_the_worker(sql: Connection, store: Store, database: str, seed: int) -> None:
    maker = Maker(seed)
    for number in range(60):
        endpoint = await publish(sql, maker.definition(), name=f"w{number}")
        await store.accept(0, [delivery(endpoint, maker.random.choice(BODIES)) for _ in range(2)], DAY)

    async def answer(request: Request, headers: dict[str, str]) -> Response | CallError:
        return maker.random.choice(ANSWERS)

    working = worker(store, send=answer)
    await until_quiet(working)
    ended = await sql.fetch(
        "SELECT run_id, event FROM meshhook.run_events WHERE type IN ('run.completed', 'run.failed')"
    )
    broken = [row["event"] for row in ended if json.loads(row["event"]).get("error", {}).get("type") == "engine"]
    assert not broken
    live = await sql.fetch("SELECT id, status FROM meshhook.runs WHERE finished_at IS NULL")
    assert {row["status"] for row in live} <= {"waiting", "running"}
    assert len(ended) + len(live) == 120
    assert len(ended) > 60
    assert working.counts.refused == 0
    assert await unsound_runs(database) == []


async def unsound_runs(dsn: str) -> list[Difference]:
    """Where a run is not what its journal says, or can't be repeated."""
    found: list[Difference] = []
    async with pool(dsn) as opened:
        async for record in census.records(opened):
            found += differences(record)
            definition = await census.definition(opened, record.version_id)
            assert definition is not None
            found += filter(None, [divergence(record, parse(json.loads(definition)))])
    return found


async def until_quiet(working: Worker) -> None:
    """Until nothing is to be done but waiting."""
    idle = 0
    while idle < 3:
        busy = await working._round() or working._calling or working._ended
        idle = 0 if busy else idle + 1
