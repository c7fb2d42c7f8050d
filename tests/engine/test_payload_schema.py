"""JSON Schemas of endpoints: faults with their paths, nothing fetched, and never longer than may be."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from meshhook.errors import Refusal
from meshhook.payload_schema import PayloadSchema, TooSlow, faults_of_schema, within

ORDER = {
    "type": "object",
    "required": ["id", "lines"],
    "properties": {
        "id": {"type": "string", "pattern": "^[A-Z]-[0-9]+$"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}, "minItems": 1},
    },
    "$defs": {"line": {"type": "object", "required": ["sku"], "properties": {"count": {"type": "integer"}}}},
}


def refusal(schema: Any, payload: Any, check_s: float = 5.0) -> Refusal | None:
    assert faults_of_schema(schema) == []
    try:
        PayloadSchema(schema).check(payload, check_s=check_s)
    except Refusal as found:
        return found
    return None


def test_what_fits_passes() -> None:
    assert refusal(ORDER, {"id": "A-1", "lines": [{"sku": "x", "count": 2}]}) is None


def test_every_fault_is_told_with_its_path() -> None:
    found = refusal(ORDER, {"id": "a", "lines": [{"sku": "x"}, {"count": "two"}]})
    assert found is not None
    assert (found.status, found.problem) == (422, "invalid-payload")
    faults = {(fault["path"], fault["code"]) for fault in found.extra["errors"]}  # type: ignore[attr-defined]
    assert faults == {("$.id", "pattern"), ("$.lines[1]", "required"), ("$.lines[1].count", "type")}


def test_neither_the_number_of_faults_nor_their_length_grows_with_the_payload() -> None:
    found = refusal({"items": {"type": "string"}}, [["x" * 100_000]] * 1_000)
    assert found is not None
    errors: Any = found.extra["errors"]
    assert len(errors) == 20
    assert sum(len(fault["message"]) for fault in errors) <= 20 * 200
    assert len(found.detail) < 400


@pytest.mark.parametrize(
    ("schema", "path", "code"),
    [
        (7, "$", "wrong-value"),
        ({"type": "text"}, "$.type", "wrong-value"),
        ({"properties": {"a b": {"minimum": "1"}}}, "$.properties['a b'].minimum", "wrong-value"),
        ({"$ref": "https://example.com/other.json"}, "$.$ref", "remote-reference"),
        ({"properties": {"a": {"$ref": "other.json#/x"}}}, "$.properties.a.$ref", "remote-reference"),
        ({"allOf": [{"$ref": "#/$defs/gone"}]}, "$.allOf[0].$ref", "dangling-reference"),
        ({"$id": "https://example.com/this"}, "$.$id", "unsupported"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "$.$schema", "unsupported"),
        ({"pattern": "("}, "$.pattern", "bad-pattern"),
        ({"patternProperties": {"[": True}}, "$.patternProperties", "bad-pattern"),
        ({"$ref": "#"}, "$", "too-complex"),
        ({"description": "x" * 70_000}, "$", "too-large"),
    ],
)
def test_a_schema_that_can_not_be_used_is_refused_with_the_place(schema: Any, path: str, code: str) -> None:
    faults = faults_of_schema(schema)
    assert (faults[0].path, faults[0].code) == (path, code)


def test_a_schema_that_is_too_deep() -> None:
    schema: dict[str, Any] = {}
    for _ in range(50):
        schema = {"not": schema}
    assert faults_of_schema(schema)[0].code == "too-deep"


def test_data_in_a_schema_is_not_taken_for_a_schema() -> None:
    assert faults_of_schema({"const": {"$ref": "elsewhere"}, "enum": [{"pattern": "("}]}) == []


DOUBLING = {
    "$ref": "#/$defs/a0",
    "$defs": {f"a{n}": {"items": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2}} for n in range(30)} | {"a30": True},
}
nested: Any = []
for _ in range(40):
    nested = [nested]


@pytest.mark.parametrize(
    ("schema", "payload"),
    [
        ({"pattern": "^(a+)+$"}, "a" * 60 + "!"),
        ({"patternProperties": {"^(a|aa)+$": False}}, {"a" * 80 + "!": 1}),
        ({"additionalProperties": False, "patternProperties": {"^(x*)*$": True}}, {"x" * 60 + "!": 1}),
        (DOUBLING, nested),
        ({"uniqueItems": True}, [{"a": number, "b": [number]} for number in range(20_000)]),
        ({"items": {"anyOf": [*[{"type": "string"}] * 200, True]}}, list(range(20_000))),
    ],
)
def test_no_schema_and_no_payload_takes_longer_than_may_be(schema: Any, payload: Any) -> None:
    began = time.process_time()
    found = refusal(schema, payload, check_s=0.05)
    assert found is not None
    assert (found.status, found.problem) == (422, "payload-too-complex")
    assert time.process_time() - began < 4.0  # unbounded, each of these takes from half a minute to ages


def test_the_bound_leaves_nothing_behind() -> None:
    before = signal.getsignal(signal.SIGVTALRM)
    with pytest.raises(TooSlow):
        within(0.01, lambda: [None for _ in iter(int, 1)])
    with pytest.raises(TooSlow):
        within(-1.0, lambda: 7)
    assert within(5.0, lambda: 7) == 7
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGVTALRM) == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text("ab$#", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)
keywords = [
    "type",
    "properties",
    "items",
    "required",
    "minimum",
    "maxLength",
    "enum",
    "$ref",
    "pattern",
    "anyOf",
    "not",
    "$defs",
]
kinds = st.sampled_from(["string", "object", "#", "#/$defs/a", "^a+$", "(", "number"])
schemas = st.recursive(
    st.booleans() | json_values | kinds,
    lambda inner: st.dictionaries(st.sampled_from([*keywords, "a"]), inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)


@given(schemas, json_values)
def test_whatever_schema_comes_is_refused_or_judges(schema: Any, payload: Any) -> None:
    if faults_of_schema(schema) == []:
        found = None
        try:
            PayloadSchema(schema).check(payload, check_s=5.0)
        except Refusal as caught:
            found = caught.problem
        assert found in (None, "invalid-payload")
        assert (found is None) == Draft202012Validator(schema).is_valid(payload)
