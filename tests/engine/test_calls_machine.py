"""Calls and delays in the state machine: what a run asks for, and what follows from how that ends. All pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook import machine
from meshhook.attempts import backoff_s
from meshhook.definition import parse
from meshhook.execution import Execution
from meshhook.model import Call, CallError, Definition, Response, Retry, State, Wants

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BROKEN = CallError("broken", "the connection broke", "unknown")


def workflow(config: dict[str, Any], kind: str = "http_call") -> Definition:
    return parse(
        {
            "nodes": [
                {"id": "out", "type": kind, "config": config},
                {"id": "after", "type": "transform", "config": {"expression": "input"}},
            ],
            "edges": [{"from": "trigger", "to": "out"}, {"from": "out", "to": "after"}],
        }
    )


def accepted(body: Any = None) -> State:
    event = {"type": "run.accepted", "workflow": "w", "version": 1, "version_id": 1, "trigger": {"body": body}}
    return machine.fold([event])


def advance(definition: Definition, state: State, now: datetime = NOW, under_way: Any = ()) -> tuple[list[str], Wants]:
    wants = Wants()
    types = [
        event.body["type"]
        for events in Execution(definition, state, "r").advance(now, wants, under_way)
        for event in events
    ]
    return types, wants


def call_of(config: dict[str, Any], body: Any = None) -> Call:
    _, wants = advance(workflow(config), accepted(body))
    (start,) = wants.calls
    return start.call


def test_a_call_is_asked_for_and_its_response_goes_on() -> None:
    definition, state = workflow({"url": "http://x.example/"}), accepted()
    types, wants = advance(definition, state)
    assert (types, state.status) == ([], "queued")
    (start,) = wants.calls
    assert [event.body for event in Execution(definition, state, "r").begin_calls(wants)] == [
        {"type": "call.started", "node": "out", "attempt": 1}
    ]
    assert advance(definition, state, under_way={"out"}) == ([], Wants())
    (done,) = Execution(definition, state, "r").end_call(start, Response(200, {"a": "b"}, [1]), NOW)
    assert done.body["output"] == {"status": 200, "headers": {"a": "b"}, "body": [1]}
    assert advance(definition, state)[0] == ["step.completed", "run.completed"]


def test_a_request_is_made_of_templates() -> None:
    config = {
        "method": "POST",
        "url": "http://x.example/{{ input.id }}?a=1",
        "query": {"q": "{{ input.text }}"},
        "headers": {"X-Name": "{{ input.text }}"},
        "json": {"id": "{{ input.id }}"},
    }
    request = call_of(config, {"id": 7, "text": "a b"}).request
    assert (request.method, request.url) == ("POST", "http://x.example/7?a=1&q=a+b")
    assert request.headers == {"content-type": "application/json", "x-name": "a b"}
    assert request.body == b'{"id":7}'
    assert call_of({"url": "http://x", "form": {"a": "{{ input }}"}}, "ü&").request.body == b"a=%C3%BC%26"
    assert call_of({"url": "http://x", "text": "n={{ input }}"}, 1).request.body == b"n=1"


@pytest.mark.parametrize(
    "url", ["ftp://x", "//x", "x", "http://", "http://u:p@x/", "http://x\r\ny", "http://a b/", None]
)
def test_a_url_that_is_none_fails_the_step(url: Any) -> None:
    types, wants = advance(workflow({"url": "{{ input }}"}), accepted(url))
    assert (types, wants.calls) == (["step.failed", "run.failed"], [])


def test_a_header_can_not_smuggle_another() -> None:
    types, _ = advance(workflow({"url": "http://x", "headers": {"a": "{{ input }}"}}), accepted("1\r\nhost: y"))
    assert types == ["step.failed", "run.failed"]


def attempts(config: dict[str, Any], *results: Response | CallError) -> list[dict[str, Any]]:
    """What is journaled when the attempts of a call end like this, each made when it is due."""
    definition, state, now = workflow({"url": "http://x"} | config), accepted(), NOW
    journal: list[dict[str, Any]] = []
    for result in results:
        types, wants = advance(definition, state, now)
        assert types == []
        if wants.wake_at is not None:
            now = wants.wake_at
            _, wants = advance(definition, state, now)
        journal += [event.body for event in Execution(definition, state, "r").begin_calls(wants)]
        journal += [event.body for event in Execution(definition, state, "r").end_call(wants.calls[0], result, now)]
    for events in Execution(definition, state, "r").advance(now, Wants()):
        journal += [event.body for event in events if event.body.get("error")]
    return [json.loads(json.dumps(event)) for event in journal]


def test_what_may_pass_is_tried_again_and_what_may_not_is_final() -> None:
    definition, state = workflow({"url": "http://x"}), accepted()
    _, wants = advance(definition, state)
    Execution(definition, state, "r").begin_calls(wants)
    Execution(definition, state, "r").end_call(wants.calls[0], Response(404, {}, None), NOW)
    assert advance(definition, state) == (["step.failed", "run.failed"], Wants())
    assert advance(definition, state) == ([], Wants())  # what has ended asks for nothing more
    types = [event["type"] for event in attempts({}, Response(503, {}, None), BROKEN, Response(200, {}, None))]
    assert types == ["call.started", "call.failed", "call.started", "call.failed", "call.started", "step.completed"]
    for final in (Response(404, {}, None), CallError("refused", "private", "no"), CallError("too-large", "big", "yes")):
        types = [event["type"] for event in attempts({}, final)]
        assert types == ["call.started", "call.failed", "step.failed", "run.failed"]


def test_attempts_are_counted_and_bounded() -> None:
    journal = attempts({"retry": {"attempts": 3}}, BROKEN, BROKEN, BROKEN)
    assert [event["attempt"] for event in journal if event["type"] == "call.started"] == [1, 2, 3]
    assert journal[-1]["type"] == "run.failed"
    assert "attempt 3 of 3" in journal[-1]["error"]["reason"]


def test_a_condition_decides_what_success_is() -> None:
    ok = {"success": "status == `404` || body.ok"}
    assert attempts(ok, Response(404, {}, None))[-1]["type"] == "step.completed"
    assert attempts(ok, Response(200, {}, {"ok": False}))[-1]["type"] == "run.failed"
    assert attempts({"success": "sum(body)"}, Response(200, {}, "x"))[-1]["error"]["type"] == "expression"


@pytest.mark.parametrize(("policy", "goes_on"), [("retry", True), ("fail", False)])
def test_a_call_nobody_knows_the_end_of_is_called_unknown(policy: str, goes_on: bool) -> None:
    definition, state = workflow({"url": "http://x", "retry": {"on_unknown": policy}}), accepted()
    _, wants = advance(definition, state)
    Execution(definition, state, "r").begin_calls(wants)
    types, wants = advance(definition, state)  # by another worker, which has no call under way
    assert types == (["call.failed"] if goes_on else ["call.failed", "step.failed", "run.failed"])
    assert (wants.wake_at is not None) == goes_on
    assert (state.status == "waiting") == goes_on


@given(
    st.integers(1, 60), st.floats(0, 100), st.floats(0, 1000), st.text(max_size=5), st.none() | st.integers(0, 10_000)
)
def test_backoff_is_bounded_repeatable_and_hears_retry_after(
    attempt: int, base: float, most: float, salt: str, asked: int | None
) -> None:
    retry = Retry(99, base, most, frozenset(), "retry")
    response = None if asked is None else Response(503, {"retry-after": str(asked)}, None)
    pause = backoff_s(retry, attempt, salt, response)
    assert pause == backoff_s(retry, attempt, salt, response)
    assert min(asked or 0, most) <= pause <= most


def test_a_delay_ends_when_its_time_has_come_and_not_before() -> None:
    definition, state = workflow({"seconds": "{{ input }}"}, "delay"), accepted(90)
    types, wants = advance(definition, state)
    assert (types, wants.wake_at, state.status) == (["timer.set"], NOW + timedelta(seconds=90), "waiting")
    almost = NOW + timedelta(seconds=89.999)
    assert advance(definition, state, almost) == ([], Wants(wake_at=NOW + timedelta(seconds=90)))
    assert advance(definition, state, NOW + timedelta(seconds=90))[0] == [
        "step.completed", "step.completed", "run.completed",
    ]  # fmt: skip
    assert state.output == 90


def test_a_moment_that_is_past_is_no_wait() -> None:
    definition = workflow({"until": "{{ input }}"}, "delay")
    for moment in ("2025-12-31T23:00:00Z", "2026-01-01T00:00:00+00:00", 1_600_000_000):
        assert advance(definition, accepted(moment))[0][-1] == "run.completed"


@pytest.mark.parametrize("value", [-1, "soon", None, True, 10**12, [1]])
def test_a_delay_that_is_none_fails_the_step(value: Any) -> None:
    assert advance(workflow({"seconds": "{{ input }}"}, "delay"), accepted(value))[0] == ["step.failed", "run.failed"]
    assert advance(workflow({"until": "{{ input }}"}, "delay"), accepted("2026-01-01T00:00:00"))[0][0] == "step.failed"


def test_branches_go_on_beside_a_call_and_a_delay() -> None:
    definition = parse(
        {
            "nodes": [
                {"id": "call", "type": "http_call", "config": {"url": "http://x"}},
                {"id": "wait", "type": "delay", "config": {"seconds": 5}},
                {"id": "pure", "type": "transform", "config": {"expression": "'p'"}},
                {"id": "all", "type": "join"},
            ],
            "edges": [{"from": "trigger", "to": id} for id in ("call", "wait", "pure")]
            + [{"from": id, "to": "all"} for id in ("call", "wait", "pure")],
        }
    )
    state = accepted(1)
    types, wants = advance(definition, state)
    assert types == ["timer.set", "step.completed"]
    Execution(definition, state, "r").begin_calls(wants)
    later = NOW + timedelta(seconds=5)
    assert advance(definition, state, later, under_way={"call"})[0] == ["step.completed"]
    Execution(definition, state, "r").end_call(wants.calls[0], Response(200, {}, "c"), later)
    assert advance(definition, state, later)[0] == ["step.completed", "run.completed"]
    assert state.output == {"wait": 1, "pure": "p", "call": {"status": 200, "headers": {}, "body": "c"}}
