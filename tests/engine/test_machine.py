"""The state machine: folding is total, deterministic and stable over prefixes; advancing may stop anywhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook import machine
from meshhook.definition import parse
from meshhook.errors import JournalError
from meshhook.execution import Execution
from meshhook.model import TERMINAL, Definition, State, Wants

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def accepted(body: Any = None) -> dict[str, Any]:
    return {"type": "run.accepted", "workflow": "w", "version": 1, "version_id": 1, "trigger": {"body": body}}


def run(definition: Definition, journal: list[dict[str, Any]], steps: int | None = None) -> list[dict[str, Any]]:
    """``journal`` advanced by ``steps`` steps, or to the end."""
    state = machine.fold(journal)
    for count, events in enumerate(Execution(definition, state, "r").advance(NOW, Wants()), 1):
        journal = journal + [json.loads(event.json) for event in events]
        if count == steps:
            break
    return journal


def workflow(nodes: dict[str, Any], *edges: str) -> Definition:
    """``nodes`` maps an id to an expression or to ``(type, config)``; an edge is ``"a b"`` or ``"a.port b"``."""
    documents = [
        {"id": id, "type": "transform", "config": {"expression": node}}
        if isinstance(node, str)
        else {"id": id, "type": node[0], "config": node[1]}
        for id, node in nodes.items()
    ]
    parsed = []
    for edge in edges:
        source, target = edge.split()
        source, _, port = source.partition(".")
        parsed.append({"from": source, "to": target} | ({"port": port} if port else {}))
    return parse({"nodes": documents, "edges": parsed})


BRANCH = ("branch", {"conditions": [{"port": "big", "when": "input > `10`"}], "default": "small"})


def outcome(definition: Definition, body: Any) -> tuple[str, Any]:
    state = machine.fold(run(definition, [accepted(body)]))
    return state.status, state.output


def steps(journal: list[dict[str, Any]]) -> list[str]:
    return [event["node"] for event in journal if event["type"] == "step.completed"]


def test_a_chain_hands_each_output_on() -> None:
    assert outcome(workflow({"a": "input.x", "b": "{y: input}"}, "trigger a", "a b"), {"x": 7}) == (
        "completed",
        {"y": 7},
    )


def test_a_skipped_branch_never_blocks_a_join() -> None:
    diamond = workflow(
        {"pick": BRANCH, "l": "'left'", "l2": "input", "r": "'right'", "j": ("join", {})},
        "trigger pick", "pick.big l", "l l2", "l2 j", "pick.small r", "r j",
    )  # fmt: skip
    assert outcome(diamond, 11) == ("completed", {"l2": "left"})
    assert outcome(diamond, 1) == ("completed", {"r": "right"})
    assert steps(run(diamond, [accepted(1)])) == ["pick", "r", "j"]


def test_a_node_with_several_live_predecessors_sees_them_all() -> None:
    both = workflow({"a": "'x'", "b": "'y'", "c": "input"}, "trigger a", "trigger b", "a c", "b c")
    assert outcome(both, None) == ("completed", {"a": "x", "b": "y"})


def test_join_any_starts_at_the_first() -> None:
    race = workflow({"a": "'x'", "b": "'y'", "j": ("join", {"mode": "any"})}, "trigger a", "trigger b", "a j", "b j")
    journal = run(race, [accepted()])
    assert steps(journal) == ["a", "b", "j"]
    assert journal[-1]["output"] == {"b": "y", "j": "x"} or journal[-1]["output"] == "x"


def test_a_path_that_ends_at_a_port_gives_its_input_as_output() -> None:
    assert outcome(workflow({"pick": BRANCH, "l": "'left'"}, "trigger pick", "pick.big l"), 3) == ("completed", 3)


def test_several_leaves_make_an_object() -> None:
    assert outcome(workflow({"a": "'x'", "b": "'y'"}, "trigger a", "trigger b"), 0) == (
        "completed",
        {"a": "x", "b": "y"},
    )


@pytest.mark.parametrize(
    ("config", "expected", "reason"),
    [
        ({}, ("completed", 5), None),
        ({"output": {"v": "{{ input }}"}}, ("completed", {"v": 5}), None),
        ({"status": "failed", "reason": "got {{ input }}"}, ("failed", 5), "got 5"),
    ],
)
def test_terminate_ends_the_run_at_once(config: dict[str, Any], expected: Any, reason: str | None) -> None:
    definition = workflow({"end": ("terminate", config), "never": "sum('x')"}, "trigger end", "trigger never")
    journal = run(definition, [accepted(5)])
    state = machine.fold(journal)
    assert (state.status, state.output) == expected
    assert steps(journal) == ["end"]
    assert (state.error or {}).get("reason") == reason


def test_a_failing_expression_fails_the_run_and_says_where() -> None:
    journal = run(workflow({"a": "input", "b": "sum(input)"}, "trigger a", "a b"), [accepted("no list")])
    assert [event["type"] for event in journal[1:]] == ["step.completed", "step.failed", "run.failed"]
    error = machine.fold(journal).error
    assert error is not None
    assert (error["type"], error["node"], error["expression"]) == ("expression", "b", "sum(input)")
    assert "sum" in error["reason"]


@pytest.mark.parametrize(
    "journal",
    [
        [],
        [{"type": "run.completed", "output": 1}],
        [accepted(), {"type": "run.completed", "output": 1}, {"type": "run.completed", "output": 1}],
        [
            accepted(),
            {"type": "step.completed", "node": "a", "output": 1},
            {"type": "step.completed", "node": "a", "output": 1},
        ],
        [accepted(), {"type": "moon.risen"}],
        [accepted(), {}],
    ],
)
def test_a_journal_that_breaks_the_rules_is_refused(journal: list[dict[str, Any]]) -> None:
    with pytest.raises(JournalError):
        machine.fold(journal)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """Any workflow of up to eight nodes: node i has edges from earlier ones, and some expressions fail."""
    count = draw(st.integers(1, 8))
    nodes: dict[str, Any] = {}
    edges: list[str] = []
    for index in range(count):
        id = f"n{index}"
        kind = draw(st.sampled_from(["transform", "transform", "branch", "join", "any", "terminate"]))
        nodes[id] = {
            "transform": draw(
                st.sampled_from(["input", "{v: input}", "steps", "trigger.body", "run.id", "sum(input)"])
            ),
            "branch": (
                "branch",
                {
                    "conditions": [{"port": "big", "when": draw(st.sampled_from(["input", "`false`"]))}],
                    "default": "small",
                },
            ),
            "join": ("join", {}),
            "any": ("join", {"mode": "any"}),
            "terminate": ("terminate", {"status": draw(st.sampled_from(["completed", "failed"]))}),
        }[kind]
        sources = draw(st.sets(st.integers(-1, index - 1), min_size=1, max_size=3))
        for source in sorted(sources):
            node = nodes.get(f"n{source}")
            if source < 0 or node is None or node[0] == "terminate":
                edges.append(f"trigger {id}")
            elif node[0] == "branch":
                edges.append(f"n{source}.{draw(st.sampled_from(['big', 'small']))} {id}")
            else:
                edges.append(f"n{source} {id}")
    return workflow(nodes, *dict.fromkeys(edges))


bodies = st.none() | st.integers(-20, 20) | st.lists(st.integers(0, 9), max_size=3) | st.text(max_size=3)


@given(definitions(), bodies)
def test_every_run_ends_and_ends_the_same_way_each_time(definition: Definition, body: Any) -> None:
    journal = run(definition, [accepted(body)])
    assert journal == run(definition, [accepted(body)])
    state = machine.fold(journal)
    assert state.status in TERMINAL
    assert state.events == len(journal)
    assert [event["type"] in ("run.completed", "run.failed") for event in journal].count(True) == 1


@given(definitions(), bodies, st.data())
def test_a_run_may_stop_after_any_step_and_go_on_elsewhere(
    definition: Definition, body: Any, data: st.DataObject
) -> None:
    whole = run(definition, [accepted(body)])
    journal = [accepted(body)]
    while machine.fold(journal).status not in TERMINAL:
        journal = run(definition, journal, data.draw(st.integers(1, 3)))
    assert journal == whole


@given(definitions(), bodies, st.data())
def test_folding_a_prefix_and_then_the_rest_is_folding_the_whole(
    definition: Definition, body: Any, data: st.DataObject
) -> None:
    journal = run(definition, [accepted(body)])
    cut = data.draw(st.integers(1, len(journal)))
    state = machine.fold(journal[:cut])
    for event in journal[cut:]:
        machine.apply(state, event)
    assert state == machine.fold(journal)


json_like = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2), max_leaves=3
)
any_event = st.dictionaries(
    st.sampled_from(["type", "node", "output", "error", "owner", "port"]), json_like
) | st.builds(
    lambda kind, rest: {"node": "a", "output": 1, "error": {}, "owner": "w", **rest, "type": kind},
    st.sampled_from(
        [
            "step.completed",
            "step.failed",
            "run.completed",
            "run.failed",
            "lease.taken",
            "lease.expired",
            "lease.released",
        ]
    ),
    st.dictionaries(st.sampled_from(["node", "output"]), st.text(max_size=2)),
)


@given(st.lists(any_event, max_size=6))
def test_folding_is_total(events: list[dict[str, Any]]) -> None:
    """Whatever stands in a journal: a state, or an error that says what is wrong with it; never anything else."""
    try:
        state = machine.fold([accepted(), *events])
    except JournalError:
        return
    assert isinstance(state, State)
    assert state.events == 1 + len(events)
