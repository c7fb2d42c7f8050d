"""A definition with faults is told all of them, each with its JSON path."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from meshhook.definition import NODES_MAX, SCHEMA, parse, parse_text
from meshhook.errors import DefinitionError

GOOD = {"id": "a", "type": "transform", "config": {"expression": "input"}}
EDGE = {"from": "trigger", "to": "a"}


def faults_of(document: Any) -> list[tuple[str, str]]:
    with pytest.raises(DefinitionError) as caught:
        parse(document)
    return [(fault.path, fault.code) for fault in caught.value.faults]


def document(*nodes: Any, edges: Any = (EDGE,)) -> dict[str, Any]:
    return {"nodes": list(nodes), "edges": list(edges)}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        (None, [("$", "wrong-value")]),
        ([], [("$", "wrong-value")]),
        ({}, [("$", "missing"), ("$", "missing")]),
        (document(), [("$.nodes", "wrong-value"), ("$.edges[0].to", "dangling-edge")]),
        (document(GOOD, edges=[]), [("$.edges", "wrong-value")]),
        (document(GOOD | {"type": "nope"}), [("$.nodes[0].type", "unknown-node-type")]),
        (document(GOOD | {"id": "1a"}, GOOD), [("$.nodes[0].id", "wrong-value")]),
        (document(GOOD, GOOD | {"id": "trigger"}), [("$.nodes[1].id", "reserved-id")]),
        (document(GOOD | {"colour": "red"}), [("$.nodes[0]", "unknown-field")]),
        (document({"id": "a", "type": "transform"}), [("$.nodes[0]", "missing")]),
        (document(GOOD | {"config": {"expression": "a", "template": 1}}), [("$.nodes[0].config", "wrong-value")]),
        (document(GOOD | {"config": {"expression": "a("}}), [("$.nodes[0].config.expression", "bad-expression")]),
        (document(GOOD | {"config": {"expression": "nope(@)"}}), [("$.nodes[0].config.expression", "bad-expression")]),
        (document(GOOD | {"config": {"expression": "[&a]"}}), [("$.nodes[0].config.expression", "bad-expression")]),
        (document(GOOD | {"config": {"expression": "`1e999`"}}), [("$.nodes[0].config.expression", "bad-expression")]),
        (
            document(GOOD | {"config": {"template": {"x": ["{{ a( }}", "{{ open"]}}}),
            [
                ("$.nodes[0].config.template.x[0]", "bad-expression"),
                ("$.nodes[0].config.template.x[1]", "bad-expression"),
            ],
        ),
        (document(GOOD, GOOD), [("$.nodes[1].id", "duplicate-id")]),
        (
            document(GOOD, edges=[EDGE, {"from": "x", "to": "y"}]),
            [("$.edges[1].from", "dangling-edge"), ("$.edges[1].to", "dangling-edge")],
        ),
        (document(GOOD, edges=[EDGE, {"from": "a", "to": "trigger"}]), [("$.edges[1].to", "bad-target")]),
        (document(GOOD, edges=[EDGE, EDGE]), [("$.edges[1]", "duplicate-edge")]),
        (
            document(GOOD, GOOD | {"id": "b"}, edges=[EDGE, {"from": "a", "port": "left", "to": "b"}]),
            [("$.edges[1].port", "bad-port")],
        ),
        (
            document({"id": "a", "type": "terminate"}, GOOD | {"id": "b"}, edges=[EDGE, {"from": "a", "to": "b"}]),
            [("$.edges[1].port", "bad-port")],
        ),
        (document(GOOD, GOOD | {"id": "b"}), [("$.nodes[1]", "unreachable-node")]),
        (
            document(GOOD, GOOD | {"id": "b"}, edges=[EDGE, {"from": "a", "to": "b"}, {"from": "b", "to": "a"}]),
            [("$.nodes[0]", "cycle")],
        ),
        (document(GOOD, edges=[EDGE, {"from": "a", "to": "a"}]), [("$.nodes[0]", "cycle")]),
        (
            document(*[GOOD | {"id": f"n{i}"} for i in range(NODES_MAX + 1)], edges=[EDGE]),
            [("$.nodes", "wrong-value")],
        ),
    ],
)
def test_a_fault_is_told_with_its_path(wrong: Any, expected: list[tuple[str, str]]) -> None:
    assert faults_of(wrong) == expected


def test_every_fault_is_told_at_once() -> None:
    wrong = document(
        {"id": "a", "type": "transform", "config": {"expression": "a("}},
        {"id": "a", "type": "nope"},
        {"id": "b", "type": "branch", "config": {"conditions": [{"port": "p", "when": "x("}]}},
        {"id": "lonely", "type": "join"},
        edges=[EDGE, {"from": "a", "port": "q", "to": "b"}, {"from": "b", "port": "p", "to": "ghost"}],
    )
    assert {code for _, code in faults_of(wrong)} == {
        "unknown-node-type", "bad-expression", "bad-port", "dangling-edge", "unreachable-node",
    }  # fmt: skip


def test_text_that_is_no_json_or_too_large_is_a_fault() -> None:
    for text in (b"{", b"\xff", b"[" * 100_000, b" " * 2_000_000, b'{"nodes": NaN}'):
        with pytest.raises(DefinitionError):
            parse_text(text)


def test_the_example_in_the_docs_is_valid_and_the_schema_is_a_schema() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "definition.md"
    example = re.search(r"```json\n(.*?)```", page.read_text(), re.DOTALL)
    assert example is not None
    assert set(parse(json.loads(example[1])).nodes) == {"totals", "size", "gift", "plain", "both"}
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
