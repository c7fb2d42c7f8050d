"""Expressions evaluated for whoever writes them give what a step gives, and no more work than one call may do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from meshhook.definition import parse
from meshhook.evaluating import (
    SHOWN_BYTES_MAX,
    Evaluated,
    EvaluateWanted,
    ExpressionContext,
    ExpressionWanted,
    evaluate,
)
from meshhook.execution import Execution
from meshhook.machine import fold
from meshhook.model import Wants


def one(kind: Any, source: Any, secrets: bool = False, **context: Any) -> Evaluated:
    expression = ExpressionWanted(kind=kind, source=source, secrets=secrets)
    return evaluate(EvaluateWanted(expressions=[expression], context=ExpressionContext(**context)))[0]


@pytest.mark.parametrize(
    ("kind", "source", "input"),
    [
        ("expression", "input.items[?price > `10`].name", {"items": [{"price": 11, "name": "a"}, {"price": 1}]}),
        ("expression", "sum(input[].n)", [{"n": 1}, {"n": 2.5}]),
        ("expression", "keys(@)", None),
        ("expression", "length(input)", 7),
        ("expression", "to_number('1e999')", None),
        ("expression", "[input,input,input,input,input,input,input,input,input][][][]", [["x" * 100] * 200] * 100),
        ("expression", "map(&@, input)", list(range(50))),
        ("template", {"a": "{{ input.a }}", "b": ["x {{ input.b }} y", 3, None]}, {"a": {"z": 1}, "b": [1, 2]}),
        ("template", "{{ sum(input) }}", "text"),
        ("template", "{{ steps }}", None),
    ],
)
def test_it_never_disagrees_with_a_step(kind: str, source: Any, input: Any) -> None:
    """The same node run by the engine ends with the same output, or the same reason."""
    definition = parse(
        {
            "nodes": [{"id": "only", "type": "transform", "config": {kind: source}}],
            "edges": [{"from": "trigger", "to": "only"}],
        }
    )
    trigger = {"body": input}
    accepted = {"type": "run.accepted", "workflow": "w", "version": 1, "version_id": 1, "trigger": trigger}
    execution = Execution(definition, fold([accepted]), "run")
    events = [event.body for batch in execution.advance(datetime(2026, 1, 1, tzinfo=UTC), Wants()) for event in batch]
    run = {"id": "run", "workflow": "w", "version": 1}
    said = one(kind, source, input=input, trigger=trigger, steps={}, run=run)
    if said.ok:
        assert [event["output"] for event in events if event["type"] == "step.completed"] == [said.result]
    else:
        assert said.error is not None
        (reason,) = [event["error"]["reason"] for event in events if event["type"] == "run.failed"]
        assert said.error.message in reason


def test_what_does_not_compile_is_told_with_its_place() -> None:
    error = one("expression", "input.items[").error
    assert error is not None
    assert (error.code, error.expression, error.position) == ("bad-expression", "input.items[", 12)
    error = one("expression", "input ! x").error
    assert error is not None
    assert (error.code, error.position) == ("bad-expression", 6)
    error = one("template", {"a": [1, "{{ nothing() }}"]}).error
    assert error is not None
    assert (error.code, error.path, error.expression) == ("bad-expression", "$.a[1]", "nothing()")
    error = one("expression", 7).error
    assert error is not None
    assert error.message == "an expression is text"


def test_what_fails_over_this_context_alone_is_told_so() -> None:
    error = one("expression", "sum(input)", input="text").error
    assert error is not None
    assert error.code == "failed"
    assert one("expression", "sum(input)", input=[1, 2]).result == 3


def test_truth_is_that_of_a_condition() -> None:
    sources = ["`0`", "`[]`", '`""`', "`false`", "`null`", "'x'"]
    truths = [one("expression", source).is_true for source in sources]
    assert truths == [True, False, False, False, False, True]


def test_a_response_is_seen_where_there_is_one_and_a_secret_stays_a_name() -> None:
    assert one("expression", "status == `201`", status=201).result is True
    assert one("template", "Bearer {{ secrets.TOKEN }}", secrets=True).result == "Bearer {{ secrets.TOKEN }}"
    refused = one("template", "Bearer {{ secrets.TOKEN }}").error
    assert refused is not None
    assert refused.code == "bad-expression"


def test_a_large_result_is_told_by_its_size() -> None:
    said = one("expression", "input", input="x" * (SHOWN_BYTES_MAX + 1))
    assert (said.ok, said.result, said.left_out, said.size_bytes) == (True, None, True, SHOWN_BYTES_MAX + 3)


def test_all_of_a_call_has_one_bound_of_work() -> None:
    greedy = ExpressionWanted(kind="expression", source="map(&length(to_string(@)), input)")
    cheap = ExpressionWanted(kind="expression", source="'x'")
    wanted = EvaluateWanted(
        expressions=[cheap] + [greedy] * 10 + [cheap], context=ExpressionContext(input=["x" * 10_000] * 3_000)
    )
    said = evaluate(wanted)
    codes = [None if it.error is None else it.error.code for it in said]
    assert codes[0] is None
    assert codes[-1] == "not-evaluated"
    assert "failed" not in codes
