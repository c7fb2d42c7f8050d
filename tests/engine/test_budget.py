"""What one step may do is bounded, whatever the expression and the data are, and bounded the same way every time."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.test_mapping import sources

from meshhook import budget
from meshhook.budget import WORK_MAX, OverBudgetError, charge, one_budget, weigh
from meshhook.errors import ExpressionError
from meshhook.mapping import Expression, Faults, compile_expression, compile_template

PROCESSOR_SECONDS_MAX = 10
"""An order of magnitude above what the budget takes here; without it, each of these would take hours or all of the memory."""

DATA: dict[str, Any] = {
    "n": list(range(400_000)),
    "texts": ["x" * 1_000 + str(number) for number in range(4_000)],
    "objects": [{"k": "p" * 200 + str(number), "v": number} for number in range(20_000)],
    "members": {f"k{number}": number for number in range(100_000)},
    "long": "a" * 4_000_000,
}
DOUBLED = "n[0]" + "|[@,@]" * 40
HOSTILE = {
    "a value that holds itself over and over": DOUBLED,
    "the same, as objects": "n[0]" + "|{a: @, b: @}" * 40,
    "the same, compared": f"[{DOUBLED}, {DOUBLED}] | [0] == [1]",
    "the same, as text": f"to_string({DOUBLED})",
    "the same, searched for": f"contains([{DOUBLED}], [{DOUBLED}])",
    "lists put together": "[n]" + "|[@,@][]" * 40,
    "text put together": "join('', texts)" + "|join('', [@,@,@,@])" * 40,
    "text written as text of text": "to_string(['\"'])" + "|to_string([@])" * 60,
    "products by map": "map(&map(&map(&[@,@], [@,@,@]), [@,@,@]), n)",
    "wildcards of wildcards": "[n,n,n,n,n,n,n,n,n,n][*][*].[@,@]",
    "values of values": "[members]" + "|[@,@][]" * 10 + "|[*].*.{a: @, b: @}",
    "filters of filters": "n" + "|[?@ >= `0`]" * 40,
    "sorting again and again": "sort_by(objects, &k)" + "|sort_by(@, &k)" * 40,
    "sorting long texts that begin alike": "[texts][]" + "|[@,@][]" * 9 + "|sort(@)",
    "searching long texts": "n[*].contains('" + "a" * 9_000 + "', 'aaab')",
    "slices of slices": "n" + "|[::-1]" * 40,
    "a literal for each element": "n[*].{a: '" + "x" * 9_000 + "'}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_expression_fails_soon(name: str) -> None:
    faults: Faults = []
    search = compile_expression(HOSTILE[name], "", faults)
    assert faults == []
    began = time.process_time()
    with pytest.raises(ExpressionError, match=r"more work than one step may do|larger than") as caught:
        search(DATA)
    assert time.process_time() - began < PROCESSOR_SECONDS_MAX
    assert len(str(caught.value)) < 20_000


def test_what_goes_over_large_data_a_few_times_is_no_attack() -> None:
    for source in ("sort(n)", "n[?@ > `1000`] | length(@)", "sum(n)", "objects[*].{k: k, v: v}", "n[::-1]"):
        faults: Faults = []
        assert compile_expression(source, "", faults)(DATA)
        assert faults == []


def test_a_template_that_repeats_large_values_is_refused_before_it_is_written() -> None:
    for template in (["{{ long }}"] * 50, {f"k{n}": "{{ texts }}" for n in range(50)}, "{{ texts }}" * 50):
        faults: Faults = []
        render = compile_template(template, "", faults)
        with pytest.raises(ExpressionError, match=r"more work|larger than"):
            render(DATA)


def test_an_error_does_not_carry_the_value_it_is_about() -> None:
    with pytest.raises(ExpressionError) as caught:
        Expression(f"abs({DOUBLED})").search(DATA)
    assert len(caught.value.reason) < 300
    with pytest.raises(ExpressionError) as caught:
        Expression("abs(long)").search(DATA)
    assert len(caught.value.reason) < 300


def test_depth_is_bounded_when_an_expression_compiles_and_when_it_is_evaluated() -> None:
    for source in ("(" * 101 + "a" + ")" * 101, "!" * 101 + "a", "a|" * 101 + "a", "`" + "[" * 101 + "]" * 101 + "`"):
        with pytest.raises(ExpressionError):
            Expression(source)
    faults: Faults = []
    deep = compile_expression("n[0]" + "|[[[[[[@]]]]]]" * 50, "", faults)
    assert faults == []
    with pytest.raises(ExpressionError, match="nested deeper than 200"):
        deep(DATA)


def test_numbers_do_not_grow_until_they_cannot_be_written() -> None:
    with pytest.raises(ExpressionError, match="too large"):
        Expression("to_number('" + "9" * 4_000 + "')" + "|sum([@,@,@,@])" * 30).search(None)


def test_each_step_has_its_own_budget_and_its_parts_share_it() -> None:
    half = WORK_MAX // 2 + 1
    spend = one_budget(charge)
    for _ in range(3):
        spend(half)
    with pytest.raises(OverBudgetError):
        one_budget(lambda _: [spend(half), spend(half)])(None)
    spend(half)  # what failed leaves nothing behind


def test_what_is_weighed_is_what_would_be_written() -> None:
    shared = [1, "two", None]
    assert weigh({"a": shared, "b": [shared, shared]}) == 1 + 2 + 3 + 2 + 6
    with pytest.raises(OverBudgetError, match="larger than"):
        one_budget(weigh)(["x" * 1024**2] * 17)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 100) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=20,
)


@settings(max_examples=300)
@given(json_values, sources, st.integers(0, 60))
def test_the_same_work_costs_the_same_and_stops_at_the_same_place(value: Any, source: str, left: int) -> None:
    def outcome() -> tuple[str, int]:
        try:
            return json.dumps(expression._search(value)), budget.spent()
        except Exception as error:  # noqa: BLE001 - whatever it is, it must come again
            return repr(error), budget.spent()

    expression = Expression(source)
    outcomes = []
    for _ in range(2):
        budget.meter.left = left
        outcomes.append(outcome())
    assert outcomes[0] == outcomes[1]
