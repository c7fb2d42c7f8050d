"""A journal told step by step agrees with the machine and the frontier, whatever happened. Pure."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from tests.engine.test_execution import BROKEN, CALL, EACH, NOW, OK, Run, graph, loop
from tests.engine.test_fuzz_definitions import ANSWERS, BODIES, Maker

from meshhook.execution import Execution
from meshhook.model import split_path
from meshhook.story import Entry, Moment, Payload, Step, Story, View, decode_row, payload

SECOND = timedelta(seconds=1)
WHOLE = View("")


def story_of(run: Run, view: View = WHOLE) -> Story:
    """Each event is written a second after the one before, and was begun half a second before that."""
    story = Story(run.definition, view)
    for number, entry in enumerate(decode_row(json.dumps(run.journal))):
        story.take(entry, Moment(NOW + number * SECOND, NOW + (number - 0.5) * SECOND, number == 0))
    return story


def told(run: Run, view: View = WHOLE) -> dict[str, Step]:
    return {step.path: step for step in story_of(run, view).steps()}


def value(part: Payload | None) -> Any:
    assert part is not None
    return msgspec.json.decode(msgspec.json.encode(part.value))


def at(seconds: float) -> Any:
    return NOW + seconds * SECOND


def test_a_step_has_begin_end_input_and_output() -> None:
    run = Run(
        graph({"a": "input.n", "b": "[input, `1`]", "both": ("join", {})}, "trigger a", "a b", "a both", "b both"),
        {"n": 5},
    )
    run.advance()
    steps = told(run)
    assert [(it.status, it.input_from, value(it.input), value(it.output)) for it in steps.values()] == [
        ("completed", ["trigger"], {"n": 5}, 5),
        ("completed", ["a"], 5, [5, 1]),
        ("completed", ["a", "b"], {"a": 5, "b": [5, 1]}, {"a": 5, "b": [5, 1]}),
    ]
    assert (steps["b"].started_at, steps["b"].ended_at) == (at(1.5), at(2))
    assert steps["b"].type == "transform"


def test_branches_that_were_not_taken_are_skipped_and_the_rest_is_pending() -> None:
    choice = ("branch", {"conditions": [{"port": "big", "when": "input > `10`"}], "default": "small"})
    definition = graph({"size": choice, "big": "input", "after": "input", "small": ("delay", {"seconds": 9}), "end": "input"},
                       "trigger size", "size.big big", "big after", "size.small small", "small end")  # fmt: skip
    run = Run(definition, 5)
    run.advance()
    assert {step.node: step.status for step in told(run).values()} == {
        "size": "completed",
        "big": "skipped",
        "after": "skipped",
        "small": "waiting",
        "end": "pending",
    }
    [wait] = told(run)["small"].waits
    assert (wait.kind, wait.since, wait.until, wait.ended_at) == ("timer", at(2), NOW + 9 * SECOND, None)
    run.receive("cancel", by="me", reason="why not")
    assert {step.node: step.status for step in told(run).values()} | {"small": "cancelled"} == {
        step.node: step.status for step in told(run).values()
    }
    assert told(run)["end"].status == "pending"


def test_attempts_are_told_one_by_one() -> None:
    run = Run(graph({"c": ("http_call", {"url": "http://x/", "retry": {"attempts": 3, "backoff_s": 1}})}, "trigger c"))
    run.advance()
    run.keep(run.execution.begin_calls(run.wants))
    assert told(run)["c"].status == "running"
    [start] = run.wants.calls
    run.keep(run.execution.end_call(start, ANSWERS[2], run.now))  # 500
    step = told(run)["c"]
    assert (step.status, [it.outcome for it in step.attempts]) == ("waiting", ["failed"])
    assert step.attempts[0].retry_at is not None
    run.now += 60 * SECOND
    run.advance()
    run.call(OK)
    first, second = told(run)["c"].attempts
    assert (first.number, first.started_at, first.ended_at, first.sent) == (1, at(1), at(2), "yes")
    assert msgspec.json.decode(first.error)["status"] == 500
    assert (second.outcome, second.started_at, second.ended_at) == ("succeeded", at(3), at(4))


def test_a_call_that_nobody_knows_the_end_of() -> None:
    run = Run(graph({"c": CALL}, "trigger c"))
    run.advance()
    run.keep(run.execution.begin_calls(run.wants))
    run.receive("cancel", by="me")
    step = told(run)["c"]
    assert (step.status, step.attempts[0].outcome, step.attempts[0].ended_at) == ("cancelled", "unknown", None)


def test_a_failure_that_goes_on_is_an_error_of_a_completed_step() -> None:
    run = Run(graph({"x": ("transform", {"expression": "sum(input)"}, {"on_error": "port"}), "y": "input.error.type", "n": "input"},
                    "trigger x", "x.error y", "x n"), "text")  # fmt: skip
    run.advance()
    steps = told(run)
    assert (steps["x"].status, steps["x"].port, steps["n"].status) == ("completed", "error", "skipped")
    assert msgspec.json.decode(steps["x"].error)["type"] == value(steps["y"].output) == "expression"


def test_what_a_run_took_over_is_told_as_such() -> None:
    run = Run(graph({"a": "input", "b": "input"}, "trigger a", "a b"), 1)
    run.journal.append({"type": "step.completed", "node": "a", "output": 1})
    story = Story(run.definition, View(""))
    for entry in decode_row(json.dumps(run.journal)):
        story.take(entry, Moment(NOW, NOW, is_acceptance=True))
    a, b = story.steps()
    assert (a.taken_over, a.status, b.taken_over, b.status) == (True, "completed", False, "pending")


def test_a_wait_for_a_run_and_for_an_event() -> None:
    nodes = {
        "sub": ("sub_workflow", {"workflow": "w", "input": "{{ input }}"}),
        "wait": ("wait_event", {"event": "paid", "key": "k", "timeout_s": 60}),
    }
    run = Run(graph(nodes, "trigger sub", "sub wait"))
    run.advance()
    [child] = told(run)["sub"].waits
    assert (child.kind, child.workflow, child.ended_at) == ("run", "w", None)
    run.receive("child", node="sub", run_id=child.run_id, status="completed", output=7)
    run.advance()
    [child], [wait] = told(run)["sub"].waits, told(run)["wait"].waits
    assert (child.run_status, child.ended_at) == ("completed", at(2))
    assert (wait.kind, wait.event, wait.key, wait.until) == ("event", "paid", "k", NOW + 60 * SECOND)
    assert told(run)["wait"].status == "waiting"
    run.receive("event", node="wait", id="e", number=1, payload={"amount": 3})
    run.advance()
    assert value(told(run)["wait"].output) == {"amount": 3}


def test_a_large_payload_is_told_by_its_beginning() -> None:
    small, large = payload(msgspec.Raw(b'"x"'), 3), payload(msgspec.Raw('"é'.encode() + b"x" * 9_000 + b'"'), 100)
    assert (small.bytes, small.truncated, bytes(small.value)) == (3, False, b'"x"')
    assert (large.bytes, large.truncated, large.value, large.beginning) == (9_004, True, None, '"é' + "x" * 498)
    assert payload(msgspec.Raw(b'"' + "é".encode() * 9_000 + b'"'), 100).beginning == '"' + "é" * 499


# -- Loops ----------------------------------------------------------------------------------------------------------------

SHOP = graph({"each": loop(graph({"c": CALL, "t": "input.body"}, "trigger c", "c t"), concurrency=2, on_error="continue")},
             "trigger each")  # fmt: skip


def test_a_loop_is_counted_while_its_items_are_under_way() -> None:
    run = Run(SHOP, list(range(5)))
    run.advance()
    run.call(OK)
    progress = told(run)["each"].loop
    assert progress is not None
    assert (progress.count, progress.begun, progress.done, progress.failed) == (5, 2, 0, 0)
    run.advance()
    run.call(BROKEN)
    run.advance()
    progress = told(run)["each"].loop
    assert progress is not None
    assert (progress.count, progress.begun, progress.done, progress.failed) == (5, 4, 4, 2)
    assert told(run)["each"].status == "running"
    run.call(OK)
    run.advance()
    step = told(run)["each"]
    assert step.loop is not None
    assert (step.status, step.loop.begun, step.loop.done, step.loop.failed) == ("completed", 5, 5, 2)


def test_items_of_a_loop_are_told_by_pages() -> None:
    run = Run(SHOP, list(range(5)))
    for answer in (OK, BROKEN):
        run.advance()
        run.call(answer)
    run.advance()
    story = story_of(run, View("each", range(1, 9)))
    assert (story.count, story.failed_items) == (5, [2, 3])
    assert [(it.index, it.status) for it in story.iterations()] == [
        (1, "completed"),
        (2, "failed"),
        (3, "failed"),
        (4, "pending"),  # nothing of it is in the journal yet
    ]
    steps = {step.path: step for step in story.steps()}
    assert list(steps)[:3] == ["each[1].c", "each[1].t", "each[2].c"]
    assert [step.status for step in steps.values()] == [
        *["completed"] * 2,
        *["failed", "pending"] * 2,
        "pending",
        "pending",
    ]
    assert (value(steps["each[1].t"].output), value(steps["each[1].t"].input)["status"]) == ("ok", 200)
    assert (steps["each[1].c"].input_from, steps["each[1].c"].input) == (["trigger"], None)  # the item is in no journal
    assert story_of(run, View("each", frozenset())).failed_items == [2, 3]
    assert [it.index for it in story_of(run, View("each", frozenset({3}))).iterations()] == [3]


def test_what_was_open_when_its_loop_ended_was_given_up() -> None:
    run = Run(graph({"each": loop(graph({"c": CALL}, "trigger c"), concurrency=2)}, "trigger each"), [1, 2, 3])
    run.advance()
    run.keep(run.execution.begin_calls(run.wants))
    run.keep(run.execution.end_call(run.wants.calls[0], BROKEN, run.now))
    run.advance()
    assert run.state.ended == "failed"
    story = story_of(run, View("each", range(3)))
    assert [(it.status, it.ended_at is None) for it in story.iterations()] == [
        ("failed", False),
        ("cancelled", False),
        ("pending", True),
    ]
    assert [step.status for step in story.steps()] == ["failed", "cancelled", "pending"]
    assert story.steps()[1].attempts[0].outcome == "unknown"


def test_loops_in_loops_are_told_where_they_are() -> None:
    inner = loop(graph({"x": "[input, loop.outer.index]"}, "trigger x"))
    run = Run(graph({"each": loop(graph({"in": inner}, "trigger in"))}, "trigger each"), [[1, 2], [3]])
    run.advance()
    steps = told(run, View("each", range(2)))
    assert list(steps) == ["each[0].in", "each[1].in"]
    assert [step.loop.done for step in steps.values() if step.loop] == [2, 1]
    assert [value(it.output) for it in told(run, View("each[0].in", range(9))).values()] == [[1, 0], [2, 0]]
    assert [value(it.output) for it in told(run, View("each[1].in[0]")).values()] == [[3, 1]]


def test_a_place_that_is_none() -> None:
    run = Run(EACH, [1])
    for view in (View("n", range(1)), View("no", range(1)), View("each[0].no[0]"), View("n[0]")):
        with pytest.raises(KeyError):
            Story(run.definition, view)


# -- Whatever happens -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
def test_a_story_agrees_with_the_machine(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of definitions drawn by chance, after each thing that happens: states, outputs, and inputs as expressions saw them."""
    seen: dict[str, Any] = {}
    context = Execution._context

    def spy(self: Execution, scope: Any, id: str, input: Any) -> Any:
        seen[scope.path_of(id)] = input
        return context(self, scope, id, input)

    monkeypatch.setattr(Execution, "_context", spy)
    maker, luck = Maker(seed), random.Random(seed)
    run = Run(maker.definition(), luck.choice(BODIES))
    for _ in range(6):
        run.advance()
        agree(run, seen)
        if run.state.ended:
            break
        happens(run, luck)
        agree(run, seen)
        run.now += luck.choice([1, 100_000]) * SECOND


def happens(run: Run, luck: random.Random) -> None:
    if run.wants.calls:
        run.call(luck.choice(ANSWERS))
    for node in list(run.state.waits):
        run.receive("event", node=node, id="e", number=1, payload=luck.choice(BODIES))
    for node, child in list(run.state.children.items()):
        run.receive("child", node=node, run_id=child, status="completed", output=luck.choice(BODIES))
    if luck.random() < 0.1:
        run.receive("cancel", by="me")


def agree(run: Run, seen: dict[str, Any]) -> None:
    state = run.state
    story = story_of(run)
    assert story.status == state.ended
    steps = {step.path: step for step in story.steps()}
    for scope in state.scopes:
        if scope:
            steps |= {step.path: step for step in told(run, View(scope)).values()}
    for path, step in steps.items():
        scope, id = split_path(path)
        done = state.scopes.get(scope, {}).get(id)
        assert (step.status == "completed") == (done is not None), path
        if done is not None and step.output is not None and not step.output.truncated:
            assert (value(step.output), step.port) == (normal(done.output), done.port)
        failed = state.failures.get(scope, {}).get(id)
        assert (step.status == "failed") == (failed is not None), path
        unanswered = (state.waits.keys() - state.received.keys()) | (state.children.keys() - state.child_ends.keys())
        waits = path in state.timers or path in unanswered
        if waits and not state.ended and not failed:
            assert step.status == "waiting", path
        if step.input is not None and not step.input.truncated and path in seen:
            assert value(step.input) == normal(seen[path]), path


def normal(data: Any) -> Any:
    return json.loads(json.dumps(data))


def test_every_event_can_be_read() -> None:
    [entry] = decode_row('[{"type":"run.responded","node":"r","status":201,"headers":{},"body":null,"unknown":1}]')
    assert entry == Entry("run.responded", "r", status=201)
