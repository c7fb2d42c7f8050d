"""Pinned definitions: valid whenever the definition was, and the pinned nodes give what they were pinned to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from meshhook.definition import parse
from meshhook.errors import DefinitionError
from meshhook.execution import Execution
from meshhook.machine import fold
from meshhook.model import Wants
from meshhook.pinning import Pin, pinned, without_limits

BODY = {
    "nodes": [{"id": "x", "type": "http_call", "config": {"url": "http://x.example/"}}],
    "edges": [{"from": "trigger", "to": "x"}],
}
SHOP: dict[str, Any] = {
    "nodes": [
        {
            "id": "charge",
            "type": "http_call",
            "name": "Charge",
            "config": {"url": "http://x.example/"},
            "on_error": "port",
        },
        {"id": "size", "type": "branch", "config": {"conditions": [{"port": "big", "when": "input.n > `1`"}]}},
        {"id": "big", "type": "transform", "config": {"template": "big {{ input.n }}"}},
        {"id": "small", "type": "transform", "config": {"template": "small {{ steps.charge.n }}"}},
        {"id": "sorry", "type": "transform", "config": {"template": "sorry"}},
        {"id": "each", "type": "loop", "config": {"items": "`[1, 2]`", "body": BODY}},
    ],
    "edges": [
        {"from": "trigger", "to": "charge"},
        {"from": "charge", "to": "size"},
        {"from": "charge", "port": "error", "to": "sorry"},
        {"from": "size", "port": "big", "to": "big"},
        {"from": "size", "port": "default", "to": "small"},
        {"from": "small", "to": "each"},
    ],
    "settings": {
        "concurrency": {"limit": 1, "strategy": "cancel-oldest"},
        "rate": {"limit": 1, "per_s": 5},
        "timeout_s": 9,
    },
}


def outputs(document: Any) -> dict[str, Any]:
    """What each step of a run gave."""
    accepted = {"type": "run.accepted", "workflow": "w", "version": None, "version_id": 1, "trigger": {"body": None}}
    execution = Execution(parse(document), fold([accepted]), "r")
    events = [event.body for batch in execution.advance(datetime(2026, 1, 1, tzinfo=UTC), Wants()) for event in batch]
    return {event["node"]: event["output"] for event in events if event["type"] == "step.completed"}


def test_a_pinned_node_gives_its_output_and_the_ways_it_does_not_take_are_skipped() -> None:
    done = outputs(pinned(SHOP, {"charge": Pin(output={"n": 5})}))
    assert done == {"charge": {"n": 5}, "size": {"n": 5}, "big": "big 5"}


def test_a_pin_chooses_the_port() -> None:
    assert outputs(pinned(SHOP, {"charge": Pin(output="no", port="error")})) == {"charge": "no", "sorry": "sorry"}
    pins = {"charge": Pin(output={"n": 5}), "size": Pin(output=0, port="default"), "each": Pin(output=[])}
    assert outputs(pinned(SHOP, pins)) == {"charge": {"n": 5}, "size": 0, "small": "small 5", "each": []}


def test_a_node_in_a_loop_is_pinned_for_each_item() -> None:
    pins = {"charge": Pin(output={"n": 0}), "each.x": Pin(output={"paid": True})}
    assert outputs(pinned(SHOP, pins))["each"] == [{"paid": True}] * 2


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        1e308,
        2**70,
        "",
        "{{",
        "{{ input }}",
        "a {{{{ b }} {{{ c",
        "}} {{",
        {"{{ k }}": ["{{ x", {"y": "{{ 1 }}"}]},
    ],
)
def test_an_output_is_taken_as_it_stands(value: Any) -> None:
    assert outputs(pinned(SHOP, {"charge": Pin(output=value)}))["charge"] == value


@pytest.mark.parametrize(
    ("id", "pin", "code"),
    [
        ("nobody", Pin(output=1), "unknown-node"),
        ("each.nobody", Pin(output=1), "unknown-node"),
        ("charge.x", Pin(output=1), "unknown-node"),
        ("each.x.y", Pin(output=1), "unknown-node"),
        ("trigger", Pin(output=1), "unknown-node"),
        ("size", Pin(output=1), "bad-port"),
        ("big", Pin(output=1, port="error"), "bad-port"),
        ("end", Pin(output=1), "bad-pin"),
    ],
)
def test_pins_that_make_no_sense_are_told(id: str, pin: Pin, code: str) -> None:
    nodes = [*SHOP["nodes"], {"id": "end", "type": "terminate"}]
    document = {**SHOP, "nodes": nodes, "edges": [*SHOP["edges"], {"from": "big", "to": "end"}]}
    with pytest.raises(DefinitionError) as refused:
        pinned(document, {id: pin})
    (fault,) = refused.value.faults
    assert (fault.code, fault.path.startswith(f"$.pins.{id}")) == (code, True)


def test_nothing_is_changed_but_what_is_pinned_and_limits() -> None:
    assert pinned(SHOP, {}) is SHOP
    assert without_limits(SHOP)["settings"] == {"timeout_s": 9}
    assert without_limits(BODY) is BODY
    changed = pinned(SHOP, {"charge": Pin(output=1)})
    assert changed["nodes"][1:] == SHOP["nodes"][1:]
    assert changed["nodes"][0]["name"] == "Charge"
