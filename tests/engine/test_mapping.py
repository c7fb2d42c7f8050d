"""Expressions and templates: what a node makes of the data of its run."""

from __future__ import annotations

import json
from typing import Any

import jmespath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshhook.errors import ExpressionError
from meshhook.mapping import Expression, Faults, compile_template, is_true

CONTEXT = {"input": {"items": [{"price": 3}, {"price": 4.5}], "none": None, "text": "é<", "deep": {"a": {"b": 1}}}}


def render(template: Any) -> Any:
    faults: Faults = []
    result = compile_template(template, "", faults)
    assert faults == []
    return result(CONTEXT)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (7, 7),
        ("plain", "plain"),
        ("{{ input.items[].price }}", [3, 4.5]),
        (" {{ input.none }} ", None),
        ("sum {{ sum(input.items[].price) }}!", "sum 7.5!"),
        ("{{input.none}}|{{input.text}}|{{input.deep}}", '|é<|{"a":{"b":1}}'),
        ("{{ {a: {b: input.deep.a}} }}", {"a": {"b": {"b": 1}}}),
        ({"k": ["{{ input.text }}", {"n": "{{ input.none }}"}]}, {"k": ["é<", {"n": None}]}),
        ("{{ '}}' }}", "}}"),
    ],
)
def test_a_template_becomes_its_value(template: Any, expected: Any) -> None:
    assert render(template) == expected


@pytest.mark.parametrize(
    "source",
    [
        "sum(input.text)",
        "sum(input.items)",
        "abs('x')",
        "sum([`1e308`, `1e308`])",
        "avg([`1e308`, `1e308`])",
        "join(',', input.items)",
    ],
)
def test_an_expression_that_fails_says_why(source: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(source).search(CONTEXT)
    assert caught.value.expression == source
    assert caught.value.reason


@pytest.mark.parametrize("source", ["to_number('1e999')", "to_number('nan')", "to_number('-inf')"])
def test_no_number_leaves_json(source: str) -> None:
    assert Expression(source).search(CONTEXT) is None


@pytest.mark.parametrize(
    "source",
    ["a(", "nope(@)", "&a", "not_null(&a)", "`NaN`", '`"\\ud800"`', "x" * 10_001, "[" * 5_000, "a|" * 4_900 + "a"],
)
def test_what_can_only_fail_does_not_compile(source: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(source)


def test_a_template_made_to_keep_the_compiler_busy_is_soon_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    parse = jmespath.compile
    monkeypatch.setattr(jmespath, "compile", lambda source: compiled.append(source) or parse(source))
    for template in ("{{ " + "}}" * 10_000, "{{ a. }}" * 10_000, "{{ a" + " " * 20_000 + "}}" * 100):
        faults: Faults = []
        compile_template(template, "", faults)
        assert len(faults) == 1
    assert len(compiled) <= 60


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e100, 1e100) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
ATOMS = [
    "a",
    "b",
    "@",
    "`1`",
    "`0`",
    "'a'",
    "`null`",
    "`[1, 2]`",
    "a.b",
    "a[0]",
    "a[-2]",
    "a[1:]",
    "a[*]",
    "b[]",
    "*",
    "@[*]",
]
WRAPS = [
    "{0}.b", "{0}[0]", "{0}[*].a", "{0}[].b", "{0} || {1}", "{0} && {1}", "!({0})", "{{x: {0}, y: {1}}}", "[{0}, {1}]",
    "{0} == {1}", "{0} != {1}", "{0} < {1}", "{0} >= {1}", "({0}) | {1}", "{0}.*", "{0}[?b == {1}]", "{0}[?a > {1}].b",
    "length({0})", "sum({0})", "keys({0})", "type({0})", "not_null({0}, {1})", "contains({0}, {1})", "to_array({0})",
    "sort_by({0}, &a)", "map(&b, {0})", "map(&{1}, {0})", "max_by({0}, &a)", "min_by({0}, &{1})", "{0}[::-1]",
    "{0}.*.b", "sort({0})", "reverse({0})", "to_number({0})", "values({0})",
    "max({0})", "to_string({0})", "merge({0}, {1})", "join(',', {0})", "avg({0})",
]  # fmt: skip
sources = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.builds(lambda wrap, one, two: wrap.format(one, two), st.sampled_from(WRAPS), inner, inner),
    max_leaves=4,
)


@settings(max_examples=1_000)
@given(json_values, sources)
def test_an_expression_means_what_the_reference_says(value: Any, source: str) -> None:
    try:
        expected = jmespath.search(source, value)
    except (jmespath.exceptions.JMESPathError, TypeError, ValueError, ArithmeticError):
        with pytest.raises(ExpressionError):
            Expression(source).search(value)
    else:
        assert json.dumps(Expression(source).search(value)) == json.dumps(expected)  # 1, 1.0 and true are not the same


@given(json_values)
def test_truth_is_that_of_jmespath(value: Any) -> None:
    assert is_true(value) == (jmespath.search("!@", value) is False)
