"""``{{ secrets.NAME }}``: where it may stand, what it becomes, and that nothing else gets at a secret."""

from __future__ import annotations

from typing import Any

import pytest

from meshhook.definition import parse
from meshhook.errors import DefinitionError
from meshhook.model import Call
from meshhook.nodes import http_call

CONTEXT = {"input": {"id": 7, "secrets": "mine"}, "trigger": {}, "steps": {}, "run": {}}


def definition(type: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"nodes": [{"id": "n", "type": type, "config": config}], "edges": [{"from": "trigger", "to": "n"}]}


def call_of(**config: Any) -> Call:
    faults: list[Any] = []
    call = http_call.compile({"url": "https://x.example/"} | config, faults)(CONTEXT)
    assert faults == []
    assert isinstance(call, Call)
    return call


def test_a_call_carries_names_and_is_filled_from_values() -> None:
    call = call_of(
        url="https://x.example/{{ input.id }}",
        method="POST",
        headers={"authorization": "Bearer {{ secrets.TOKEN }}"},
        query={"key": "{{ secrets.KEY }}"},
        json={"deep": [{"password": "{{ secrets.TOKEN }}"}], "id": "{{ input.id }}"},
    )
    assert call.secrets == {"TOKEN", "KEY"}
    assert call.fill is not None
    filled = call.fill({"TOKEN": 'to"ken\\', "KEY": "k&y ü"})
    assert filled.headers["authorization"] == 'Bearer to"ken\\'
    assert filled.url == "https://x.example/7?key=k%26y+%C3%BC"
    assert filled.body == b'{"deep":[{"password":"to\\"ken\\\\"}],"id":7}'
    assert "to" not in str(call.request.headers["authorization"]).removeprefix("Bearer https://secret.invalid/")


@pytest.mark.parametrize(
    "url", ["{{ secrets.URL }}", "https://{{ secrets.URL }}/x", "https://x.example/{{ secrets.URL }}?a=b"]
)
def test_a_secret_may_be_any_part_of_a_url(url: str) -> None:
    call = call_of(url=url)
    value = "https://hooks.example/T0/B0" if url.startswith("{{") else "part.example"
    assert call.fill is not None
    assert call.fill({"URL": value}).url == url.replace("{{ secrets.URL }}", value)


def test_form_and_text_bodies_are_filled() -> None:
    form, text = call_of(form={"a": "{{ secrets.A }}"}), call_of(text="a={{secrets.A}};")
    assert form.fill is not None
    assert text.fill is not None
    assert form.fill({"A": "x&y"}).body == b"a=x%26y"
    assert text.fill({"A": "x&y"}).body == b"a=x&y;"


def test_a_call_without_secrets_carries_none() -> None:
    call = call_of(json={"secrets": "{{ input.secrets }}"})
    assert (call.secrets, call.fill, call.request.body) == (frozenset(), None, b'{"secrets":"mine"}')


def test_expressions_do_not_see_the_secrets_of_their_own_call() -> None:
    call = call_of(method="POST", headers={"a": "{{ secrets.TOKEN }}"}, json={"all": "{{ @ }}", "values": "{{ * }}"})
    assert call.fill is not None
    filled = call.fill({"TOKEN": "the-canary"})
    assert filled.headers["a"] == "the-canary"
    assert b"canary" not in (filled.body or b"")


def test_text_of_a_sender_that_looks_like_a_placeholder_stays_text() -> None:
    faults: list[Any] = []
    make = http_call.compile({"url": "https://x.example/", "text": "{{ input }}{{ secrets.A }}"}, faults)
    call = make(CONTEXT | {"input": "{{ secrets.B }}"})
    assert isinstance(call, Call)
    assert call.fill is not None
    assert (call.secrets, call.fill({"A": "value"}).body) == ({"A"}, b"{{ secrets.B }}value")


@pytest.mark.parametrize(
    ("type", "config", "path"),
    [
        ("transform", {"expression": "secrets.TOKEN"}, "expression"),
        ("transform", {"template": {"a": ["{{ secrets.TOKEN }}"]}}, "template.a[0]"),
        ("transform", {"template": "x {{ @.secrets.TOKEN }}"}, "template"),
        ("transform", {"expression": "@ | secrets"}, "expression"),
        ("transform", {"expression": "[input, secrets]"}, "expression"),
        ("transform", {"expression": "{a: length(secrets.TOKEN)}"}, "expression"),
        ("transform", {"expression": "input || !secrets.a"}, "expression"),
        ("transform", {"expression": "secrets[*].a"}, "expression"),
        ("branch", {"conditions": [{"port": "a", "when": "secrets.TOKEN == 'x'"}]}, "conditions[0].when"),
        ("terminate", {"status": "failed", "reason": "{{ secrets.TOKEN }}"}, "reason"),
        ("delay", {"seconds": "{{ secrets.TOKEN }}"}, "seconds"),
        ("http_call", {"url": "https://x.example", "success": "body == secrets.TOKEN"}, "success"),
        ("http_call", {"url": "https://x.example/{{ length(secrets.TOKEN) }}"}, "url"),
        ("http_call", {"url": "https://x.example", "json": {"a": "{{ [secrets.TOKEN] }}"}}, "json.a"),
        ("http_call", {"url": "https://x.example", "query": {"a": "{{ secrets }}"}}, "query.a"),
        ("http_call", {"url": "https://x.example", "headers": {"a": '{{ secrets."a-b" }}'}}, "headers.a"),
    ],
)
def test_anywhere_else_it_is_a_fault_with_its_path(type: str, config: dict[str, Any], path: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(definition(type, config))
    (fault,) = caught.value.faults
    assert fault.path == f"$.nodes[0].config.{path}"
    assert "a secret stands alone between the braces" in fault.message


@pytest.mark.parametrize(
    "expression",
    ["input.secrets", "steps.a.secrets.b", "input[?secrets == 'x']", "sort_by(input, &secrets)", "input.{a: secrets}",
     "input[*].secrets", "{secrets: input}", "input | secrets", "'secrets'"],
)  # fmt: skip
def test_data_may_be_called_secrets(expression: str) -> None:
    parse(definition("transform", {"expression": expression}))
