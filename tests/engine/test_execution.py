"""Loops, waits, children, failures and time limits in an execution. All pure: no database, no clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook import machine, replay
from meshhook.definition import parse
from meshhook.errors import DefinitionError
from meshhook.execution import Execution
from meshhook.model import CallError, Definition, Response, State, Wants
from meshhook.verify import Record, Written

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "01890000-0000-7000-8000-000000000001"
OK = Response(200, {}, "ok")
BROKEN = CallError("refused", "may not be reached", "no")


def graph(nodes: dict[str, Any], *edges: str, **settings: Any) -> dict[str, Any]:
    """``nodes`` maps an id to an expression, or to ``(type, config, **of the node)``; an edge is ``"a b"`` or ``"a.port b"``."""
    documents = []
    for id, node in nodes.items():
        if isinstance(node, str):
            documents.append({"id": id, "type": "transform", "config": {"expression": node}})
        else:
            type, config, *more = node
            documents.append({"id": id, "type": type, "config": config} | (more[0] if more else {}))
    parsed = []
    for edge in edges:
        source, target = edge.split()
        source, _, port = source.partition(".")
        parsed.append({"from": source, "to": target} | ({"port": port} if port else {}))
    return {"nodes": documents, "edges": parsed} | ({"settings": settings} if settings else {})


def loop(body: dict[str, Any], **config: Any) -> tuple[str, dict[str, Any]]:
    return "loop", {"items": "input", "body": body} | config


def accepted(body: Any = None, **members: Any) -> dict[str, Any]:
    return {"type": "run.accepted", "workflow": "w", "version": 1, "version_id": 1, "trigger": {"body": body}} | members


class Run:
    """A run in the hands of a worker that forgets all but the journal whenever it is told to."""

    def __init__(self, definition: dict[str, Any], body: Any = None, **members: Any) -> None:
        self.definition: Definition = parse(definition)
        self.journal: list[dict[str, Any]] = [accepted(body, **members)]
        self.now, self.under_way = NOW, set[str]()
        self.restart()

    def restart(self) -> None:
        self.execution = Execution(self.definition, machine.fold(self.journal), RUN)

    @property
    def state(self) -> State:
        return self.execution.state

    def advance(self, steps: int = 10**9) -> Wants:
        self.wants = Wants()
        for events in self.execution.advance(self.now, self.wants, self.under_way):
            self.keep(events)
            steps -= 1
            if steps == 0:
                break
        return self.wants

    def keep(self, events: Any) -> list[str]:
        self.journal += [json.loads(event.json) for event in events]
        return [event.body["type"] for event in events]

    def call(self, answer: Any = OK) -> list[str]:
        """Make the calls it wants, and let them end so. Returns whose calls they were."""
        starts = self.wants.calls
        self.keep(self.execution.begin_calls(self.wants))
        for start in starts:
            self.keep(self.execution.end_call(start, answer, self.now))
        return [start.node for start in starts]

    def receive(self, kind: str, **body: Any) -> list[str]:
        return self.keep(self.execution.receive(kind, body))

    def steps(self) -> list[str]:
        return [event["node"] for event in self.journal if event["type"] == "step.completed"]

    def types(self) -> list[str]:
        return [event["type"] for event in self.journal]

    def check(self) -> None:
        """Whatever happened, a repetition gives the same, and folding gives the same state."""
        assert machine.fold(self.journal) == self.state
        row = Written(1, 1, NOW, NOW, json.dumps(self.journal))
        ended = NOW if self.state.ended else None
        record = Record(0, UUID(RUN), self.state.status, ended, 1, 1, None, [row])
        assert replay.divergence(record, self.definition) is None


CALL = ("http_call", {"url": "http://x.example/{{ input }}"})
EACH = graph({"each": loop(graph({"twice": "[input, loop.index]"}, "trigger twice")), "n": "length(input)"},
             "trigger each", "each n")  # fmt: skip


def test_a_loop_does_its_body_for_each_item_and_collects_in_order() -> None:
    run = Run(EACH, ["a", "b"])
    run.advance()
    assert run.steps() == ["each[0].twice", "each[1].twice", "each", "n"]
    assert run.state.steps["each"].output == [["a", 0], ["b", 1]]
    assert run.state.output == 2
    run.check()


def test_a_loop_over_nothing_is_done() -> None:
    run = Run(EACH, [])
    run.advance()
    assert (run.state.status, run.state.steps["each"].output) == ("completed", [])
    run.check()


@pytest.mark.parametrize("items", [None, "text", {"a": 1}, 3])
def test_only_a_list_can_be_looped_over(items: Any) -> None:
    run = Run(EACH, items)
    run.advance()
    assert run.state.error is not None
    assert "must give a list" in run.state.error["reason"]
    run.check()


def test_a_loop_keeps_to_its_concurrency_and_its_order_whatever_ends_first() -> None:
    run = Run(graph({"each": loop(graph({"c": CALL}, "trigger c"), concurrency=2)}, "trigger each"), [1, 2, 3])
    first, second = run.advance().calls
    assert [first.node, second.node] == ["each[0].c", "each[1].c"]
    run.keep(run.execution.begin_calls(run.wants))
    run.under_way = {"each[0].c", "each[1].c"}
    run.keep(run.execution.end_call(second, Response(200, {}, "second"), NOW))
    run.under_way = {"each[0].c"}
    (third,) = run.advance().calls
    assert third.node == "each[2].c"
    run.keep(run.execution.begin_calls(run.wants))
    run.keep(run.execution.end_call(third, Response(200, {}, "third"), NOW))
    run.keep(run.execution.end_call(first, Response(200, {}, "first"), NOW))
    run.advance()
    assert [answer["body"] for answer in run.state.steps["each"].output] == ["first", "second", "third"]
    run.check()


def test_a_failed_item_stops_the_loop_or_leaves_its_error() -> None:
    body = graph({"pick": "join('', input)"}, "trigger pick")
    stops = Run(graph({"each": loop(body)}, "trigger each"), [["a"], 5, ["b"]])
    stops.advance()
    assert stops.types()[-3:] == ["step.failed", "step.failed", "run.failed"]
    assert stops.state.error is not None
    assert stops.state.error["node"] == "each[1].pick"
    stops.check()
    goes_on = Run(graph({"each": loop(body, on_error="continue")}, "trigger each"), [["a"], 5, ["b"]])
    goes_on.advance()
    first, failed, last = goes_on.state.steps["each"].output
    assert (goes_on.state.status, first, last) == ("completed", "a", "b")
    assert failed["error"]["type"] == "expression"
    goes_on.check()


def test_loops_stand_in_loops_and_see_each_other() -> None:
    inner = loop(graph({"x": "[loop.outer.index, loop.index, input, steps.before]"}, "trigger x"))
    outer = loop(graph({"before": "'seen'", "in": "input", "rows": inner}, "trigger before", "trigger in", "in rows"))
    run = Run(graph({"each": outer}, "trigger each"), [["a", "b"], ["c"]])
    run.advance()
    rows = [item["rows"] for item in run.state.steps["each"].output]
    assert rows == [[[0, 0, "a", None], [0, 1, "b", None]], [[1, 0, "c", None]]]  # `before` leads to no step in there
    run.check()


def test_a_step_sees_those_that_led_to_it_and_no_other() -> None:
    """What runs beside it may be done or not: what a step is made of must not depend on that."""
    beside = graph({"slow": CALL, "quick": "'q'", "after": ("http_call", {"url": "http://x/{{ steps.slow.status }}"})},
                   "trigger slow", "trigger quick", "quick after")  # fmt: skip
    run = Run(beside, 1)
    before = {start.node: start.call.request.url for start in run.advance().calls}
    slow = next(start for start in run.wants.calls if start.node == "slow")
    run.keep(run.execution.begin_calls(run.wants))
    run.keep(run.execution.end_call(slow, OK, NOW))
    run.restart()  # the worker dies: the other call is made again, by one that knows the first answer
    run.now = run.advance().wake_at or NOW
    run.advance()
    assert [start.call.request.url for start in run.wants.calls] == [before["after"]] == ["http://x/"]
    run.check()


@given(st.data())
def test_a_run_may_be_left_after_any_step_and_taken_up_elsewhere(data: st.DataObject) -> None:
    inner = loop(graph({"c": CALL, "t": "input.body"}, "trigger c", "c t"), concurrency=data.draw(st.integers(1, 3)))
    definition = graph({"each": loop(graph({"in": "input", "deep": inner}, "trigger in", "in deep"),
                                     concurrency=data.draw(st.integers(1, 3)), on_error="continue"),
                        "pause": ("delay", {"seconds": 1}), "end": ("join", {})},
                       "trigger each", "trigger pause", "each end", "pause end")  # fmt: skip
    items = data.draw(st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=3))
    run = Run(definition, items)
    for turn in range(500):
        if run.state.ended:
            break
        if data.draw(st.booleans()):
            run.restart()
        wants = run.advance(data.draw(st.integers(1, 5)))
        run.now += timedelta(seconds=1)
        if wants.calls and (turn > 20 or data.draw(st.booleans())):  # a worker that never calls ends nothing
            run.call(data.draw(st.sampled_from([OK, BROKEN])))
    assert run.state.ended == "completed"
    assert len(run.state.output["each"]) == len(items)
    run.check()


# -- Waiting for others ---------------------------------------------------------------------------------------------------

WAIT = graph({"wait": ("wait_event", {"event": "order.paid", "key": "{{ input.order }}", "timeout_s": 60}),
              "late": "'late'", "paid": "input.amount"},
             "trigger wait", "wait paid", "wait.timeout late")  # fmt: skip


def test_an_event_ends_a_wait_and_is_its_output() -> None:
    run = Run(WAIT, {"order": 7})
    assert run.advance().wake_at == NOW + timedelta(seconds=60)
    assert run.state.status == "waiting"
    assert (run.state.waits["wait"].name, run.state.waits["wait"].key) == ("order.paid", "7")
    assert run.receive("event", node="wait", id="e1", number=5, payload={"amount": 9}) == ["event.received"]
    assert run.receive("event", node="wait", id="e2", number=6, payload={"amount": 1}) == []  # one is enough
    run.restart()
    run.advance()
    assert (run.state.status, run.state.output) == ("completed", 9)
    assert run.state.consumed == {("order.paid", "7"): 5}
    run.check()


def test_a_wait_that_is_over_goes_by_its_port_or_fails() -> None:
    run = Run(WAIT, {"order": 7})
    run.advance()
    run.now += timedelta(seconds=60)
    run.advance()
    assert run.state.output == "late"
    run.check()
    alone = Run(graph({"wait": ("wait_event", {"event": "x", "timeout_s": 1})}, "trigger wait"))
    alone.advance()
    alone.now += timedelta(seconds=1)
    alone.advance()
    assert alone.state.error is not None
    assert alone.state.error["type"] == "timeout"
    alone.check()


CHILD = graph({"sub": ("sub_workflow", {"workflow": "other", "input": "{{ input }}"}), "end": "input"},
              "trigger sub", "sub end")  # fmt: skip


def test_a_child_is_waited_for_and_its_output_goes_on() -> None:
    run = Run(CHILD, {"a": 1})
    assert run.advance().wake_at is None
    (started,) = [event for event in run.journal if event["type"] == "child.started"]
    assert (started["workflow"], started["input"], started["depth"]) == ("other", {"a": 1}, 1)
    assert run.receive("child", node="sub", run_id="another", status="completed", output=1) == []
    assert run.receive("child", node="sub", run_id=started["run_id"], status="completed", output=5) == ["child.ended"]
    run.restart()
    run.advance()
    assert run.state.output == 5
    run.check()


def test_a_failed_child_fails_its_step() -> None:
    run = Run(CHILD)
    run.advance()
    error = {"type": "call", "reason": "answered 500"}
    run.receive("child", node="sub", run_id=run.state.children["sub"], status="failed", error=error)
    run.advance()
    assert run.state.error is not None
    assert (run.state.error["type"], "answered 500" in run.state.error["reason"]) == ("child", True)
    run.check()


def test_a_child_nobody_waits_for() -> None:
    forget = graph({"sub": ("sub_workflow", {"workflow": "other", "wait": False})}, "trigger sub")
    run = Run(forget, 1)
    run.advance()
    (started,) = [event for event in run.journal if event["type"] == "child.started"]
    assert run.state.output == {"run_id": started["run_id"]}
    run.check()


def test_children_do_not_call_each_other_without_end() -> None:
    run = Run(CHILD, parent={"run_id": RUN, "node": "sub", "depth": 10, "waits": True})
    run.advance()
    assert run.state.error is not None
    assert run.state.error["type"] == "limit"
    run.check()


def test_the_first_answer_is_the_answer() -> None:
    answers = graph({"a": ("respond", {"status": 201, "headers": {"X-Id": "{{ input }}"}, "body": {"got": "{{ input }}"}}),
                     "b": ("respond", {"status": 500})}, "trigger a", "a b")  # fmt: skip
    run = Run(answers, 3)
    run.advance()
    said = [event for event in run.journal if event["type"] == "run.responded"]
    assert said == [{"type": "run.responded", "node": "a", "status": 201, "headers": {"x-id": "3"}, "body": {"got": 3}}]
    assert run.state.output == 3
    run.check()


# -- Being told what to do ------------------------------------------------------------------------------------------------


def test_a_paused_run_does_nothing_until_it_is_resumed() -> None:
    run = Run(EACH, [1])
    assert run.receive("pause", by="me") == ["run.paused"]
    assert run.receive("pause", by="me") == []
    run.restart()
    assert (run.advance(), run.state.status, run.types()) == (Wants(), "paused", ["run.accepted", "run.paused"])
    assert run.receive("resume", by="me") == ["run.resumed"]
    run.advance()
    assert run.state.status == "completed"
    run.check()


@pytest.mark.parametrize("definition", [WAIT, CHILD, EACH, graph({"c": CALL}, "trigger c")])
def test_a_run_is_cancelled_whatever_it_does(definition: dict[str, Any]) -> None:
    run = Run(definition, [1, 2] if definition is EACH else {"order": 1})
    run.advance(1)
    assert run.receive("cancel", by="me", reason="not needed") == ["run.cancelled"]
    assert run.receive("cancel", by="me") == []
    assert (run.state.status, run.advance()) == ("cancelled", Wants())
    run.check()


# -- Failing, and running out of time -------------------------------------------------------------------------------------


def test_a_failed_step_may_go_on() -> None:
    wrong = {"expression": "sum(input)"}
    port = Run(graph({"t": ("transform", wrong, {"on_error": "port"}), "ok": "'ok'", "bad": "input.error.reason"},
                     "trigger t", "t ok", "t.error bad"), "x")  # fmt: skip
    port.advance()
    assert port.steps() == ["t", "bad"]
    assert (port.state.status, isinstance(port.state.output, str)) == ("completed", True)
    port.check()
    on = Run(graph({"t": ("transform", wrong, {"on_error": "continue"})}, "trigger t"), "x")
    on.advance()
    assert on.state.output["error"]["node"] == "t"
    on.check()


def test_a_call_that_failed_for_good_may_go_on() -> None:
    run = Run(graph({"c": (*CALL, {"on_error": "port"}), "bad": "input.error.type"}, "trigger c", "c.error bad"), 1)
    run.advance()
    run.call(BROKEN)
    run.restart()
    run.advance()
    assert run.state.output == "call"
    run.check()


@pytest.mark.parametrize("config", [{"output": "{{ abs(body) }}"}, {"success": "abs(body)"}])
@pytest.mark.parametrize("on_error", ["fail", "continue"])
def test_a_step_that_fails_over_its_response_is_repeated_so(config: dict[str, Any], on_error: str) -> None:
    call = ("http_call", {"url": "http://x.example/", "retry": {"backoff_s": 0}} | config, {"on_error": on_error})
    alone = graph({"c": call}, "trigger c")
    for definition, body in ((alone, None), (graph({"each": loop(alone)}, "trigger each"), [1, 2])):
        for first in ([], [CallError("connect", "no connection", "no")]):
            run = Run(definition, body)
            for answer in [*first, OK]:
                run.advance()
                run.call(answer)
            run.advance()
            assert run.state.ended == ("failed" if on_error == "fail" else "completed")
            assert "step.failed" in run.types()
            run.check()


def test_the_port_of_an_error_is_there_only_where_it_is_asked_for() -> None:
    with pytest.raises(DefinitionError, match="has no port 'error'"):
        parse(graph({"c": CALL, "bad": "input"}, "trigger c", "c.error bad"))


def test_a_step_is_given_up_when_its_time_is_over() -> None:
    slow = graph({"c": (*CALL, {"timeout_s": 5, "on_error": "port"}), "bad": "input.error.type"},
                 "trigger c", "c.error bad")  # fmt: skip
    run = Run(slow, 1)
    assert run.advance().wake_at == NOW + timedelta(seconds=5)
    (start,) = run.wants.calls
    run.keep(run.execution.begin_calls(run.wants))
    run.under_way = {"c"}
    run.now += timedelta(seconds=5)
    run.advance()
    assert run.state.output == "timeout"
    assert run.execution.end_call(start, OK, run.now) == []  # too late
    run.check()


def test_a_loop_is_given_up_when_its_time_is_over_with_all_that_is_in_it() -> None:
    body = graph({"d": ("delay", {"seconds": 60})}, "trigger d")
    run = Run(graph({"each": (*loop(body), {"timeout_s": 5, "on_error": "continue"})}, "trigger each"), [1, 2])
    run.advance()
    run.now += timedelta(seconds=5)
    run.advance()
    assert run.state.output["error"]["type"] == "timeout"
    assert run.state.timers == {}
    run.check()


def test_a_run_has_its_time_and_its_steps() -> None:
    run = Run(graph({"d": ("delay", {"seconds": 60})}, "trigger d", timeout_s=5))
    assert run.advance().wake_at == NOW + timedelta(seconds=5)
    run.restart()
    run.now += timedelta(seconds=5)
    run.advance()
    assert run.state.error == {"type": "timeout", "reason": "the run took longer than 5 s"}
    run.check()
    many = Run({**EACH, "settings": {"steps_max": 2}}, [1, 2, 3])
    many.advance()
    assert many.state.error is not None
    assert many.state.error["type"] == "limit"
    many.check()


def test_faults_in_the_body_of_a_loop_are_told_where_they_are() -> None:
    broken = graph({"x": "input..", "y": "input"}, "trigger x", "x nowhere")
    with pytest.raises(DefinitionError) as caught:
        parse(graph({"each": loop(broken)}, "trigger each"))
    faults = {(fault.path, fault.code) for fault in caught.value.faults}
    assert ("$.nodes[0].config.body.nodes[0].config.expression", "bad-expression") in faults
    assert ("$.nodes[0].config.body.edges[1].to", "dangling-edge") in faults
    assert ("$.nodes[0].config.body.nodes[1]", "unreachable-node") in faults
    deep = graph({"x": "input"}, "trigger x")
    for _ in range(6):
        deep = graph({"each": loop(deep)}, "trigger each")
    with pytest.raises(DefinitionError, match="loops can stand in each other"):
        parse(deep)
