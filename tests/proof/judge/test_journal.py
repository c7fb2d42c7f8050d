"""Journals, on histories of a few events: the rules one by one, then the invariants over whole folders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from story import SECOND, START_US, Story, completed, failed, released, run_id, step, taken

from meshproof import scenarios
from meshproof.judge import Verdict, Verdicts
from meshproof.judge.graph import graph
from meshproof.judge.replay import Mark, Replayed, replay

Judged = Callable[[Story], Verdicts]

CHAIN = graph(
    {
        "nodes": [{"id": "a", "type": "transform"}, {"id": "b", "type": "transform"}],
        "edges": [{"from": "trigger", "to": "a"}, {"from": "a", "to": "b"}],
    }
)

#  trigger ─ pick ─ left ──┐
#               └── right ─┴ both (join)      and  trigger ─ stop (terminate) behind the port "stop"
FORK: dict[str, Any] = {
    "nodes": [
        {
            "id": "pick",
            "type": "branch",
            "config": {
                "conditions": [
                    {"port": "left", "when": "x"},
                    {"port": "stop", "when": "y"},
                    {"port": "none", "when": "z"},
                ],
                "default": "right",
            },
        },
        {"id": "left", "type": "transform"},
        {"id": "right", "type": "transform"},
        {"id": "both", "type": "join", "config": {"mode": "all"}},
        {"id": "stop", "type": "terminate", "config": {"status": "failed"}},
    ],
    "edges": [
        {"from": "trigger", "to": "pick"},
        {"from": "pick", "port": "left", "to": "left"},
        {"from": "pick", "port": "right", "to": "right"},
        {"from": "pick", "port": "stop", "to": "stop"},
        {"from": "left", "to": "both"},
        {"from": "right", "to": "both"},
    ],
}


def parallel(mode: str) -> Any:
    return graph(
        {
            "nodes": [
                {"id": "a", "type": "transform"},
                {"id": "b", "type": "transform"},
                {"id": "j", "type": "join", "config": {"mode": mode}},
            ],
            "edges": [
                {"from": "trigger", "to": "a"},
                {"from": "trigger", "to": "b"},
                {"from": "a", "to": "j"},
                {"from": "b", "to": "j"},
            ],
        }
    )


CALL = graph(
    {
        "nodes": [
            {"id": "c", "type": "http_call", "config": {"retry": {"attempts": 2}}},
            {"id": "d", "type": "delay", "config": {"seconds": 1}},
        ],
        "edges": [{"from": "trigger", "to": "c"}, {"from": "c", "to": "d"}],
    }
)
ACCEPTED = Mark("run.accepted", 0)
ADDED = Mark("delivery.added", 0)
END = Mark("run.completed", 1)


def done(node: str, epoch: int = 1, port: str = "") -> Mark:
    return Mark("step.completed", epoch, node, port)


def names(replayed: Replayed) -> list[str]:
    return [fault.invariant for fault in replayed.faults]


def began(attempt: int, epoch: int = 1) -> Mark:
    return Mark("call.started", epoch, "c", detail=str(attempt))


def broke(attempt: int, fate: str, epoch: int = 1, error: str = "status") -> Mark:
    return Mark("call.failed", epoch, "c", error_type=error, detail=f"{attempt} {fate}")


#  each (loop, 2 at once): ask (http_call) ─ note (transform); then wait ─ child ─ answer
LONG: dict[str, Any] = {
    "nodes": [
        {
            "id": "each",
            "type": "loop",
            "config": {
                "items": "input",
                "concurrency": 2,
                "on_error": "continue",
                "body": {
                    "nodes": [{"id": "ask", "type": "http_call"}, {"id": "note", "type": "transform"}],
                    "edges": [{"from": "trigger", "to": "ask"}, {"from": "ask", "to": "note"}],
                },
            },
        },
        {"id": "wait", "type": "wait_event", "config": {"event": "paid"}},
        {"id": "child", "type": "sub_workflow", "config": {"workflow": "other"}, "on_error": "port"},
        {"id": "answer", "type": "respond"},
        {"id": "sorry", "type": "transform"},
    ],
    "edges": [
        {"from": "trigger", "to": "each"},
        {"from": "each", "to": "wait"},
        {"from": "wait", "to": "child"},
        {"from": "child", "to": "answer"},
        {"from": "child", "port": "error", "to": "sorry"},
    ],
}


def of(type: str, node: str, detail: str = "", epoch: int = 1) -> Mark:
    return Mark(type, epoch, node, detail=detail)


def item(index: int) -> list[Mark]:
    """One item of the loop, from its call to its note."""
    asked, noted = f"each[{index}].ask", f"each[{index}].note"
    return [of("call.started", asked, "1"), done(asked), done(noted)]


BEGUN = of("loop.begun", "each", "2")
LOOPED = [ACCEPTED, BEGUN, *item(0), *item(1), done("each")]
WAITED = [*LOOPED, of("wait.set", "wait"), of("event.received", "wait"), done("wait")]
CHILD = [*WAITED, of("child.started", "child"), of("child.ended", "child"), done("child")]
FAILED_CHILD = [*WAITED, of("child.started", "child"), of("child.ended", "child")]
CHILD_ERROR = Mark("step.failed", 1, "child", error_type="child")

# The rules -------------------------------------------------------------------------------------------------------------

LEASE = Mark("lease.taken", 1, owner="w1")

LEGAL = {
    "a chain": (CHAIN, [ACCEPTED, done("a"), done("b"), END]),
    "only accepted": (CHAIN, [ACCEPTED]),
    "deliveries added": (CHAIN, [ACCEPTED, ADDED, ADDED, done("a"), done("b"), END]),
    "half done under a lease": (CHAIN, [ACCEPTED, done("a"), LEASE]),
    "the rest under the same lease": (CHAIN, [ACCEPTED, done("a"), LEASE, done("b"), END]),
    "handed back": (
        CHAIN,
        [ACCEPTED, done("a"), LEASE, Mark("lease.released", 1, owner="w1"), done("b", 2), Mark("run.completed", 2)],
    ),
    "taken over": (
        CHAIN,
        [ACCEPTED, done("a"), LEASE, Mark("lease.expired", 2, owner="w1"), done("b", 2), Mark("run.completed", 2)],
    ),
    "a failed step": (
        CHAIN,
        [ACCEPTED, Mark("step.failed", 1, "a"), Mark("run.failed", 1, error_type="expression")],
    ),
    "a fault of the engine": (CHAIN, [ACCEPTED, Mark("run.failed", 1, error_type="engine")]),
    "left": (graph(FORK), [ACCEPTED, done("pick", port="left"), done("left"), done("both"), END]),
    "right": (graph(FORK), [ACCEPTED, done("pick", port="right"), done("right"), done("both"), END]),
    "a port without edges": (graph(FORK), [ACCEPTED, done("pick", port="none"), END]),
    "terminated": (
        graph(FORK),
        [ACCEPTED, done("pick", port="stop"), done("stop"), Mark("run.failed", 1, error_type="terminated")],
    ),
    "a call and a delay": (CALL, [ACCEPTED, began(1), done("c"), Mark("timer.set", 1, "d"), done("d"), END]),
    "a call that is tried again": (CALL, [ACCEPTED, began(1), broke(1, "again"), began(2, 2), done("c", 2)]),
    "a call whose worker is gone": (
        CALL,
        [ACCEPTED, began(1), LEASE, Mark("lease.expired", 2, owner="w1"), broke(1, "again", 2, "unknown"), began(2, 2)],
    ),
    "a call that fails for good": (
        CALL,
        [
            *(ACCEPTED, began(1), broke(1, "again"), began(2), broke(2, "last")),
            *(Mark("step.failed", 1, "c", error_type="call"), Mark("run.failed", 1, error_type="call")),
        ],
    ),
    "an answer its expression cannot read": (
        CALL,
        [
            *(ACCEPTED, began(1), Mark("step.failed", 1, "c", error_type="expression")),
            Mark("run.failed", 1, error_type="expression"),
        ],
    ),
    "a loop, an event, a child, an answer": (
        graph(LONG),
        [*CHILD, of("run.responded", "answer"), done("answer"), END],
    ),
    "items side by side": (
        graph(LONG),
        [ACCEPTED, BEGUN, item(1)[0], item(0)[0], *item(0)[1:], *item(1)[1:], done("each")],
    ),
    "a loop over nothing": (graph(LONG), [ACCEPTED, of("loop.begun", "each", "0"), done("each")]),
    "an item that fails, and the loop goes on": (
        graph(LONG),
        [
            *(ACCEPTED, BEGUN, item(0)[0], Mark("call.failed", 1, "each[0].ask", detail="1 last")),
            *(Mark("step.failed", 1, "each[0].ask", error_type="call"), *item(1), done("each")),
        ],
    ),
    "a child that fails, by the port error": (
        graph(LONG),
        [*FAILED_CHILD, CHILD_ERROR, done("child", port="error"), done("sorry"), END],
    ),
    "paused and resumed": (CHAIN, [ACCEPTED, of("run.paused", ""), of("run.resumed", ""), done("a"), done("b"), END]),
    "cancelled in the middle": (CHAIN, [ACCEPTED, done("a"), of("run.cancelled", "")]),
    "cancelled while paused": (CHAIN, [ACCEPTED, of("run.paused", ""), of("run.cancelled", "")]),
    "a run that took too long": (
        CHAIN,
        [ACCEPTED, of("deadline.set", ""), Mark("run.failed", 1, error_type="timeout")],
    ),
    "all of two": (parallel("all"), [ACCEPTED, done("b"), done("a"), done("j"), END]),
    "any of two": (parallel("any"), [ACCEPTED, done("b"), done("j"), done("a"), END]),
}


@pytest.mark.parametrize("case", LEGAL)
def test_a_legal_journal_breaks_no_rule(case: str) -> None:
    shape, marks = LEGAL[case]
    assert replay(shape, marks).faults == ()


ILLEGAL = {
    "no beginning": (CHAIN, [done("a"), done("b"), END], "journal.first"),
    "begins twice": (CHAIN, [ACCEPTED, ACCEPTED, done("a"), done("b"), END], "journal.first"),
    "begins late": (CHAIN, [LEASE, ACCEPTED, done("a"), done("b"), END], "journal.first"),
    "a delivery added under a claim": (
        CHAIN,
        [ACCEPTED, Mark("delivery.added", 1), done("a"), done("b"), END],
        "journal.legal",
    ),
    "a delivery added to a run that has begun": (CHAIN, [ACCEPTED, done("a"), ADDED, done("b"), END], "journal.legal"),
    "accepted under a claim": (CHAIN, [Mark("run.accepted", 1), done("a"), done("b"), END], "journal.legal"),
    "an event after the end": (CHAIN, [ACCEPTED, done("a"), done("b"), END, LEASE], "journal.ending"),
    "two ends": (CHAIN, [ACCEPTED, done("a"), done("b"), END, END], "journal.ending"),
    "an unknown event": (CHAIN, [ACCEPTED, Mark("run.vanished", 1), done("a"), done("b"), END], "journal.legal"),
    "an unknown node": (CHAIN, [ACCEPTED, done("x"), done("a"), done("b"), END], "journal.legal"),
    "an unknown port": (
        graph(FORK),
        [ACCEPTED, done("pick", port="up"), END],
        "journal.legal",
    ),
    "a branch without a port": (graph(FORK), [ACCEPTED, done("pick"), END], "journal.legal"),
    "a step ends twice": (CHAIN, [ACCEPTED, done("a"), done("a"), done("b"), END], "journal.once"),
    "a step ends and fails": (
        CHAIN,
        [ACCEPTED, done("a"), Mark("step.failed", 1, "a"), Mark("run.failed", 1, error_type="engine")],
        "journal.once",
    ),
    "too early": (CHAIN, [ACCEPTED, done("b"), done("a"), END], "journal.order"),
    "a port that was not chosen": (
        graph(FORK),
        [ACCEPTED, done("pick", port="left"), done("right"), done("left"), done("both"), END],
        "journal.order",
    ),
    "a join of all at the first": (parallel("all"), [ACCEPTED, done("a"), done("j"), done("b"), END], "journal.order"),
    "a join of any before the first": (
        parallel("any"),
        [ACCEPTED, done("j"), done("a"), done("b"), END],
        "journal.order",
    ),
    "a step is left out at the end": (CHAIN, [ACCEPTED, done("a"), END], "journal.complete"),
    "a parallel step is left out": (parallel("any"), [ACCEPTED, done("a"), done("j"), END], "journal.complete"),
    "completes after a failure": (CHAIN, [ACCEPTED, Mark("step.failed", 1, "a"), END], "journal.legal"),
    "goes on after a failure": (
        parallel("all"),
        [ACCEPTED, Mark("step.failed", 1, "a"), done("b"), Mark("run.failed", 1, error_type="expression")],
        "journal.legal",
    ),
    "fails for nothing": (CHAIN, [ACCEPTED, Mark("run.failed", 1, error_type="expression")], "journal.legal"),
    "fails without a reason": (CHAIN, [ACCEPTED, Mark("run.failed", 1)], "journal.legal"),
    "terminated by nobody": (CHAIN, [ACCEPTED, Mark("run.failed", 1, error_type="terminated")], "journal.legal"),
    "terminated the other way": (
        graph(FORK),
        [ACCEPTED, done("pick", port="stop"), done("stop"), END],
        "journal.legal",
    ),
    "two hold a lease": (
        CHAIN,
        [ACCEPTED, LEASE, Mark("lease.taken", 2, owner="w2"), done("a", 2), done("b", 2), Mark("run.completed", 2)],
        "journal.legal",
    ),
    "one writes under the lease of another": (
        CHAIN,
        [ACCEPTED, LEASE, done("a", 2), done("b", 2), END],
        "journal.legal",
    ),
    "released by nobody": (
        CHAIN,
        [ACCEPTED, Mark("lease.released", 1, owner="w1"), done("a"), done("b"), END],
        "journal.legal",
    ),
    "released by another": (
        CHAIN,
        [ACCEPTED, LEASE, Mark("lease.released", 1, owner="w2"), done("a"), done("b"), END],
        "journal.legal",
    ),
    "an answer without an attempt": (CALL, [ACCEPTED, done("c")], "journal.attempts"),
    "two attempts at once": (CALL, [ACCEPTED, began(1), began(2)], "journal.attempts"),
    "the second attempt first": (CALL, [ACCEPTED, began(2)], "journal.attempts"),
    "the same attempt again": (CALL, [ACCEPTED, began(1), broke(1, "again"), began(1)], "journal.attempts"),
    "an attempt after the last": (CALL, [ACCEPTED, began(1), broke(1, "last"), began(2)], "journal.attempts"),
    "an attempt too many": (
        CALL,
        [ACCEPTED, began(1), broke(1, "again"), began(2), broke(2, "again")],
        "journal.attempts",
    ),
    "an attempt fails twice": (CALL, [ACCEPTED, began(1), broke(1, "again"), broke(1, "again")], "journal.attempts"),
    "an attempt fails that was never begun": (CALL, [ACCEPTED, broke(1, "again")], "journal.attempts"),
    "its own worker does not know": (
        CALL,
        [ACCEPTED, began(1), broke(1, "again", error="unknown")],
        "journal.attempts",
    ),
    "another claim knows why it failed": (CALL, [ACCEPTED, began(1), broke(1, "again", 2)], "journal.attempts"),
    "another claim knows the answer": (CALL, [ACCEPTED, began(1), done("c", 2)], "journal.attempts"),
    "it gives up while an attempt is due": (
        CALL,
        [ACCEPTED, began(1), broke(1, "again"), Mark("step.failed", 1, "c", error_type="call")],
        "journal.attempts",
    ),
    "a call of a node that makes none": (CALL, [ACCEPTED, Mark("call.started", 1, "d", detail="1")], "journal.legal"),
    "a call after it was answered": (CALL, [ACCEPTED, began(1), done("c"), began(2)], "journal.once"),
    "a timer too early": (CALL, [ACCEPTED, Mark("timer.set", 1, "d")], "journal.order"),
    "a timer of a node that waits for none": (CALL, [ACCEPTED, Mark("timer.set", 1, "c")], "journal.legal"),
    "a delay without a timer": (CALL, [ACCEPTED, began(1), done("c"), done("d")], "journal.legal"),
    "two timers": (
        CALL,
        [ACCEPTED, began(1), done("c"), Mark("timer.set", 1, "d"), Mark("timer.set", 1, "d")],
        "journal.once",
    ),
    "a run fails for a call that did not": (
        CALL,
        [ACCEPTED, began(1), Mark("run.failed", 1, error_type="call")],
        "journal.legal",
    ),
    "an item of a loop that was not begun": (graph(LONG), [ACCEPTED, *item(0)], "journal.order"),
    "an item too many": (graph(LONG), [ACCEPTED, BEGUN, *item(2)], "journal.order"),
    "more items at once than may be": (
        graph(LONG),
        [ACCEPTED, of("loop.begun", "each", "3"), item(0)[0], item(1)[0], item(2)[0]],
        "journal.order",
    ),
    "a loop ends before its items": (graph(LONG), [ACCEPTED, BEGUN, *item(0), done("each")], "journal.legal"),
    "a loop ends that was not begun": (graph(LONG), [ACCEPTED, done("each")], "journal.legal"),
    "a loop begins twice": (graph(LONG), [ACCEPTED, BEGUN, BEGUN], "journal.once"),
    "a step of an item out of order": (graph(LONG), [ACCEPTED, BEGUN, done("each[0].note")], "journal.order"),
    "a step of an item ends twice": (graph(LONG), [ACCEPTED, BEGUN, *item(0)[:2], done("each[0].ask")], "journal.once"),
    "a step no item has": (graph(LONG), [ACCEPTED, BEGUN, done("each[0].nothing")], "journal.legal"),
    "an item after its loop": (graph(LONG), [*LOOPED, item(0)[0]], "journal.legal"),
    "an item goes on after it failed": (
        graph(LONG),
        [
            ACCEPTED,
            BEGUN,
            item(0)[0],
            Mark("step.failed", 1, "each[0].ask", error_type="expression"),
            done("each[0].note"),
        ],
        "journal.legal",
    ),
    "an event nobody waits for": (graph(LONG), [*LOOPED, of("event.received", "wait")], "journal.legal"),
    "a wait that ends by itself": (graph(LONG), [*LOOPED, of("wait.set", "wait"), done("wait")], "journal.legal"),
    "a time-out though the event came": (
        graph(LONG),
        [*LOOPED, of("wait.set", "wait"), of("event.received", "wait"), done("wait", port="timeout")],
        "journal.legal",
    ),
    "two events for one wait": (
        graph(LONG),
        [*LOOPED, of("wait.set", "wait"), of("event.received", "wait"), of("event.received", "wait")],
        "journal.once",
    ),
    "an output of a child that goes on": (
        graph(LONG),
        [*WAITED, of("child.started", "child"), done("child")],
        "journal.legal",
    ),
    "two children": (
        graph(LONG),
        [*WAITED, of("child.started", "child"), of("child.started", "child")],
        "journal.once",
    ),
    "a failed child by the port of those that did not": (
        graph(LONG),
        [*FAILED_CHILD, CHILD_ERROR, done("child"), done("answer")],
        "journal.legal",
    ),
    "two answers": (
        graph(LONG),
        [*CHILD, of("run.responded", "answer"), of("run.responded", "answer")],
        "journal.once",
    ),
    "a call while paused": (CALL, [ACCEPTED, of("run.paused", ""), began(1)], "journal.legal"),
    "paused twice": (CHAIN, [ACCEPTED, of("run.paused", ""), of("run.paused", "")], "journal.legal"),
    "resumed for nothing": (CHAIN, [ACCEPTED, of("run.resumed", "")], "journal.legal"),
    "an event after it was cancelled": (CHAIN, [ACCEPTED, of("run.cancelled", ""), done("a")], "journal.ending"),
    "expired by its own claim": (
        CHAIN,
        [ACCEPTED, LEASE, Mark("lease.expired", 1, owner="w1"), done("a"), done("b"), END],
        "journal.legal",
    ),
}


@pytest.mark.parametrize("case", ILLEGAL)
def test_an_illegal_journal_is_told_by_the_rule_it_breaks(case: str) -> None:
    shape, marks, invariant = ILLEGAL[case]
    assert invariant in names(replay(shape, marks))


@pytest.mark.parametrize(
    ("marks", "status", "leaves"),
    [
        ([ACCEPTED], "queued", ()),
        ([ACCEPTED, done("pick", port="left"), LEASE], "running", ()),
        ([ACCEPTED, done("pick", port="left"), done("left"), done("both"), END], "completed", ("both",)),
        ([ACCEPTED, done("pick", port="none"), END], "completed", ("pick",)),
        (
            [ACCEPTED, done("pick", port="stop"), done("stop"), Mark("run.failed", 1, error_type="terminated")],
            "failed",
            ("stop",),
        ),
        ([ACCEPTED, Mark("step.failed", 1, "pick"), Mark("run.failed", 1, error_type="expression")], "failed", ()),
    ],
)
def test_folding_tells_the_status_and_whose_outputs_count(
    marks: list[Mark], status: str, leaves: tuple[str, ...]
) -> None:
    replayed = replay(graph(FORK), marks)
    assert (replayed.status, replayed.leaves) == (status, leaves)


@pytest.mark.parametrize(
    ("marks", "status"),
    [
        ([began(1), LEASE], "running"),
        ([began(1), LEASE, broke(1, "again"), Mark("lease.released", 1, owner="w1")], "waiting"),
        ([began(1), done("c"), Mark("timer.set", 1, "d")], "waiting"),
        ([began(1), done("c"), Mark("timer.set", 1, "d"), done("d"), END], "completed"),
        ([began(1), done("c"), Mark("timer.set", 1, "d"), of("run.paused", "")], "paused"),
        ([began(1), of("run.cancelled", "")], "cancelled"),
    ],
)
def test_a_run_without_a_lease_waits_for_its_timers_and_attempts(marks: list[Mark], status: str) -> None:
    assert replay(CALL, [ACCEPTED, *marks]).status == status


def test_several_leaves_make_an_object() -> None:
    shape = graph(
        {
            "nodes": [{"id": "a", "type": "transform"}, {"id": "b", "type": "transform"}],
            "edges": [{"from": "trigger", "to": "a"}, {"from": "trigger", "to": "b"}],
        }
    )
    replayed = replay(shape, [ACCEPTED, done("a"), done("b"), END])
    assert (replayed.leaves, replayed.several) == (("a", "b"), True)


@pytest.mark.parametrize("name", scenarios.names())
def test_the_graph_of_every_scenario_can_be_replayed(name: str) -> None:
    assert replay(graph(scenarios.load(name).definition), [ACCEPTED]).faults == ()


# The invariants --------------------------------------------------------------------------------------------------------


def test_a_sound_journal_breaks_nothing(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.taken_over(2)
    verdicts = judged(story)
    assert [r.name for r in verdicts.results if r.family == "journal" and r.verdict is Verdict.FAIL] == []


def test_present_fails_for_a_run_without_a_journal(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.rows.clear()
    assert judged(story).of("journal.present").verdict is Verdict.FAIL


def test_present_fails_for_a_journal_without_a_run(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.delivered(2)
    story.runs.pop()
    assert judged(story).of("journal.present").count == 1


def test_present_is_unknown_without_events(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.without = {"stored/events.csv"}
    assert judged(story).of("journal.present").verdict is Verdict.UNKNOWN


def renumber(story: Story, seq: int) -> None:
    story.journal(1)[1]["seq"] = seq


def lose_the_beginning(story: Story, _: int) -> None:
    story.rows.remove(story.journal(1)[0])


@pytest.mark.parametrize(
    ("bend", "seq"),
    [(renumber, 3), (renumber, 1), (renumber, 0), (lose_the_beginning, 0)],
    ids=["gap", "twice", "zero", "no 1"],
)
def test_gapless_fails(story: Story, judged: Judged, bend: Callable[[Story, int], None], seq: int) -> None:
    story.delivered(1)
    bend(story, seq)
    assert judged(story).of("journal.gapless").verdict is Verdict.FAIL


def test_ending_fails_for_a_finished_run_without_a_terminal_event(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.rows[-1]["events"].pop()
    verdicts = judged(story)
    assert verdicts.of("journal.ending").verdict is Verdict.FAIL
    assert verdicts.of("journal.fold").verdict is Verdict.FAIL


def test_an_event_lost_out_of_a_batch_is_caught_though_no_number_is_missing(story: Story, judged: Judged) -> None:
    """The numbers are counted from the first of a row, so the events behind the lost one close up."""
    story.delivered(1)
    del story.rows[-1]["events"][0]
    verdicts = judged(story)
    assert verdicts.of("journal.gapless").verdict is Verdict.PASS
    assert verdicts.of("journal.order").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("events", "invariant"),
    [
        ([step("payment", {})] * 2, "journal.once"),
        ([step("receipt", {}), step("payment", {})], "journal.order"),
        ([step("payment", {}), completed({})], "journal.complete"),
        ([step("nowhere", {})], "journal.legal"),
        ([{"type": "run.accepted"}], "journal.first"),
        ([{"type": "step.completed"}], "journal.legal"),
        ([{"no": "type"}], "journal.legal"),
        ([{"type": 5}], "journal.legal"),
        ([{"type": "step.completed", "node": "\x1e\x1f"}], "journal.legal"),
        ([{"type": "step.completed", "node": {"a": 1}}], "journal.legal"),
        ([step("payment", {}), completed({}), completed({})], "journal.ending"),
        ([released("w1")], "journal.legal"),
    ],
)
def test_what_a_shape_breaks_is_said_of_every_run_of_that_shape(
    story: Story, judged: Judged, events: list[dict[str, Any]], invariant: str
) -> None:
    for number in (1, 2, 3):
        story.delivered(number)
        story.journal(number)[1]["events"] = events
    story.delivered(4)
    result = judged(story).of(invariant)
    assert (result.verdict, result.count) == (Verdict.FAIL, 3)
    assert [event["run_id"] for event in result.examples[0].journal][:1] == [run_id(1)]


def test_fold_fails_when_the_status_is_not_the_journals(story: Story, judged: Judged) -> None:
    story.delivered(1)["status"] = "failed"
    assert judged(story).of("journal.fold").verdict is Verdict.FAIL


def test_fold_fails_when_the_output_is_not_that_of_the_leaf(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.rows[-1]["events"][-2]["output"] = {"text": "something else", "paid": True}
    verdicts = judged(story)
    assert verdicts.of("journal.fold").verdict is Verdict.FAIL
    assert verdicts.of("completion.output").verdict is Verdict.PASS


def test_fold_fails_when_a_completed_run_has_no_output(story: Story, judged: Judged) -> None:
    story.delivered(1)
    del story.rows[-1]["events"][-1]["output"]
    assert judged(story).of("journal.fold").verdict is Verdict.FAIL


def test_fold_fails_when_a_failed_run_has_an_output_from_nowhere(story: Story, judged: Judged) -> None:
    story.delivered(1)["status"] = "failed"
    story.rows[-1]["events"] = [{"type": "step.failed", "node": "payment", "error": {}}, failed(output=1)]
    assert judged(story).of("journal.fold").verdict is Verdict.FAIL


def test_prefix_holds_for_what_was_seen_on_the_way(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.sample(1, 1, at_us=START_US)
    story.sample(1, 4, at_us=START_US + SECOND, status="completed", epoch=1)
    assert judged(story).of("journal.prefix").verdict is Verdict.PASS


def test_prefix_fails_when_an_event_was_rewritten(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.sample(1, 2, at_us=START_US)
    story.rows[-1]["events"][0]["output"] = {"some": "other thing"}
    assert judged(story).of("journal.prefix").verdict is Verdict.FAIL


def test_prefix_fails_when_events_are_gone(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.sample(1, 4, at_us=START_US)
    story.rows[-1]["events"].pop()
    result = judged(story).of("journal.prefix")
    assert "now 3 of them are left" in result.examples[0].why


def test_prefix_fails_when_a_journal_shrank_between_two_samples(story: Story, judged: Judged) -> None:
    story.delivered(1)
    story.sample(1, 4, at_us=START_US)
    story.sample(1, 1, at_us=START_US + SECOND)
    assert judged(story).of("journal.prefix").verdict is Verdict.FAIL


@pytest.mark.parametrize(("seq", "status"), [(1, "queued"), (3, "running"), (4, "completed")])
def test_whole_holds_when_a_sample_is_where_its_journal_is(story: Story, judged: Judged, seq: int, status: str) -> None:
    story.delivered(1)
    story.sample(1, seq, at_us=START_US, status=status)
    assert judged(story).of("journal.whole").verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("seq", "status"),
    [(1, "completed"), (1, "running"), (4, "queued"), (4, "running"), (4, "failed"), (3, "completed")],
)
def test_whole_fails_when_run_and_journal_were_not_written_together(
    story: Story, judged: Judged, seq: int, status: str
) -> None:
    story.delivered(1)
    story.sample(1, seq, at_us=START_US, status=status)
    assert judged(story).of("journal.whole").verdict is Verdict.FAIL


def test_whole_is_unknown_when_nothing_was_seen(story: Story, judged: Judged) -> None:
    story.delivered(1)
    assert judged(story).of("journal.whole").verdict is Verdict.UNKNOWN


def test_prefix_is_unknown_when_nothing_was_seen(story: Story, judged: Judged) -> None:
    story.delivered(1)
    assert judged(story).of("journal.prefix").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "name",
    [
        f"journal.{rule}"
        for rule in ("gapless", "first", "ending", "legal", "once", "attempts", "order", "complete", "fold")
    ],
)
def test_they_are_unknown_without_journals(story: Story, judged: Judged, name: str) -> None:
    assert judged(story).of(name).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", ["journal.legal", "journal.order", "journal.fold"])
def test_they_are_unknown_when_the_definition_cannot_be_read(story: Story, judged: Judged, name: str) -> None:
    story.delivered(1)
    del story.plan["scenarios"]["duplicates"]["definition"]["edges"]
    story.delivered(2)
    result = judged(story).of(name)
    assert result.verdict is Verdict.UNKNOWN
    assert "crashed" in result.sentence


def test_a_run_under_a_lease_is_running(story: Story, judged: Judged) -> None:
    run = story.delivered(1)
    run.update(status="running", finished_us=None)
    story.rows[-1]["events"] = [step("payment", {}), taken("w1", START_US + 99 * SECOND)]
    assert judged(story).of("journal.fold").verdict is Verdict.PASS
