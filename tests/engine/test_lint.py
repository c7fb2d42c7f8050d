"""Advice on definitions: each code by one that has the mistake and one that has not, and as it is told around a database."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.engine.conftest import Connection, chain, pool, publish
from tests.engine.test_worker import accept, until_idle, worker

from meshhook import lint as module
from meshhook.definition import parse
from meshhook.lint import Around, lint
from meshhook.linting import advice
from meshhook.store import Store


def flow(*nodes: dict[str, Any], edges: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """Nodes in a row behind the trigger, or as the edges say."""
    named = [{"id": f"n{number}", **node} for number, node in enumerate(nodes)]
    row = ["trigger", *(node["id"] for node in named)]
    made = edges if edges is not None else [{"from": a, "to": b} for a, b in itertools.pairwise(row)]
    definition = {"nodes": named, "edges": made, **more}
    parse(definition)  # advice is for what is valid
    return definition


def loop(*nodes: dict[str, Any], **config: Any) -> dict[str, Any]:
    body = {name: part for name, part in flow(*nodes).items() if name in ("nodes", "edges")}
    return {"type": "loop", "config": {"items": "input", "body": body, **config}}


PURE = {"type": "transform", "config": {"expression": "input"}}
GET = {"type": "http_call", "config": {"url": "https://x.example/"}}
BRANCH = {"type": "branch", "config": {"conditions": [{"port": "yes", "when": "input"}], "default": "no"}}


def post(url: str = "https://x.example/", **retry: Any) -> dict[str, Any]:
    return {"type": "http_call", "config": {"url": url, "method": "POST", "retry": {"attempts": 1} | retry}}


def child(workflow: str = "self", **config: Any) -> dict[str, Any]:
    return {"type": "sub_workflow", "config": {"workflow": workflow, **config}}


def guarded(node: dict[str, Any]) -> dict[str, Any]:
    edges = [{"from": "trigger", "to": "n0"}, {"from": "n0", "port": "yes", "to": "n1"}]
    return flow(BRANCH, node, edges=edges)


def told(definition: dict[str, Any], around: Around | None = None) -> list[tuple[str, str]]:
    return [(it.code, it.path) for it in lint(definition, around)]


def codes(definition: dict[str, Any], around: Around | None = None) -> list[str]:
    return [it.code for it in lint(definition, around)]


def test_loops_without_a_cap() -> None:
    assert told(flow(loop(PURE))) == [("loop-without-cap", "$.nodes[0].config")]
    assert told(flow(loop(GET))) == [("unbounded-fan-out", "$.nodes[0].config")]
    assert codes(flow(loop(child("other")))) == ["unbounded-fan-out"]
    assert codes(flow(loop(GET, items_max=10_000))) == []


def test_loops_in_each_other() -> None:
    inner = "$.nodes[0].config.body.nodes[0].config"
    assert told(flow(loop(loop(GET, items_max=1_000), items_max=11))) == [("nested-fan-out", inner)]
    assert codes(flow(loop(loop(GET, items_max=1_000), items_max=10))) == []
    assert codes(flow(loop(loop(PURE, items_max=1_000), items_max=1_000))) == []
    assert told(flow(loop(loop(GET)))) == [
        ("unbounded-fan-out", "$.nodes[0].config"), ("unbounded-fan-out", inner), ("nested-fan-out", inner),
    ]  # fmt: skip


def test_a_post_that_may_be_sent_twice() -> None:
    assert told(flow(post(attempts=3))) == [("unsafe-retry", "$.nodes[0].config")]
    assert codes(flow(post(attempts=3, on_unknown="retry"))) == []
    assert codes(flow(post(attempts=3, on_unknown="fail"))) == []
    assert codes(flow(post())) == []
    assert codes(flow(GET)) == []


def test_a_wait_whose_timeout_leads_nowhere() -> None:
    wait = {"type": "wait_event", "config": {"event": "paid"}}
    assert told(flow(wait)) == [("timeout-leads-nowhere", "$.nodes[0]")]
    assert codes(flow(wait | {"on_error": "continue"})) == []
    edges = [{"from": "trigger", "to": "n0"}, {"from": "n0", "to": "n1"}, {"from": "n0", "port": "timeout", "to": "n1"}]
    assert codes(flow(wait, PURE, edges=edges)) == []


def test_an_answer_nobody_hears() -> None:
    answering = flow({"type": "respond"})
    assert told(answering, Around("self", {"in": False})) == [("nobody-listens", "$.nodes[0]")]
    assert codes(answering, Around("self", {"in": False, "sync": True})) == []
    assert codes(answering) == []  # nothing is known of its endpoints


def test_calls_to_itself_over_its_endpoint() -> None:
    own = post("https://hooks.example/hooks/shop/in?x=1")
    limited = {"settings": {"concurrency": {"limit": 2}}}
    sync, later = Around("self", {"shop/in": True}), Around("self", {"shop/in": False})
    assert told(flow(own, **limited), sync) == [("waits-for-itself", "$.nodes[0].config.url")]
    assert codes(guarded(own) | limited, sync) == ["waits-for-itself"]
    assert codes(flow(own), sync) == ["endless-calls"]
    assert codes(flow(own, **limited), later) == ["endless-calls"]
    assert codes(guarded(own), later) == []
    assert codes(flow(own), Around("self", {"shop": True})) == []


def test_children_that_are_the_workflow_itself() -> None:
    direct = flow(child())
    assert told(direct, Around("self", workflows={"self": direct})) == [("endless-calls", "$.nodes[0].config.workflow")]
    assert codes(guarded(child()), Around("self", workflows={"self": guarded(child())})) == []
    through = {"self": flow(child("b")), "b": flow(child("c")), "c": flow(child())}
    (found,) = lint(flow(child("b")), Around("self", workflows=through))
    assert (found.code, "self → b → c → self" in found.message) == ("endless-calls", True)
    assert codes(flow(child("b")), Around("self", workflows=through | {"c": guarded(child())})) == []
    assert codes(flow(loop(child(), items_max=5)), Around("self", workflows={})) == []


@pytest.mark.parametrize(("strategy", "says"), [("cancel-oldest", "cancels its own parent"), ("reject", "is rejected")])
def test_children_that_meet_their_parent_in_a_lane(strategy: str, says: str) -> None:
    definition = guarded(child()) | {"settings": {"concurrency": {"limit": 1, "strategy": strategy}}}
    (found,) = lint(definition, Around("self", workflows={"self": definition}))
    assert (found.code, says in found.message) == ("waits-for-itself", True)
    queued = guarded(child()) | {"settings": {"concurrency": {"limit": 1}}}  # a parent that waits has no slot
    assert codes(queued, Around("self", workflows={"self": queued})) == []


def test_children_that_are_not_there() -> None:
    assert codes(flow(child("b")), Around("self", workflows={"b": None})) == ["unknown-workflow"]
    assert codes(flow(child("b")), Around("self", workflows={"b": flow(PURE)})) == []


def test_limits_below_what_comes() -> None:
    busy = Around("self", arrivals_per_s=10.0, hold_s=0.5)

    def found(**settings: Any) -> list[tuple[str, str]]:
        return told(flow(PURE, settings=settings), busy)

    assert found(concurrency={"limit": 4}) == [("limit-below-arrivals", "$.settings.concurrency")]
    assert found(rate={"limit": 540, "per_s": 60}) == [("limit-below-arrivals", "$.settings.rate")]
    assert found(concurrency={"limit": 5}) == found(rate={"limit": 600, "per_s": 60}) == []
    assert (
        found(concurrency={"limit": 1, "key": "input"}) == found(rate={"limit": 1, "per_s": 60, "key": "input"}) == []
    )


def test_advice_is_bounded() -> None:
    assert len(lint(flow(*[post(attempts=2)] * 150))) == module.ADVICE_MAX


def test_every_code_is_told_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/definition.md").read_text()
    text = Path(module.__file__).read_text().split("def lint(", 1)[1]
    known = set(re.findall(r'^ +"([a-z]+(?:-[a-z]+)+)",$', text, re.MULTILINE))
    assert len(known) >= 9
    assert [code for code in known if f"| `{code}` |" not in page] == []


async def test_what_lies_around_a_workflow_is_read(database: str, sql: Connection, store: Store) -> None:
    definition = flow({"type": "respond"}, child("other"), settings={"rate": {"limit": 1, "per_s": 3600}})
    async with pool(database) as opened:
        await publish(sql, definition, "self", "in")
        found = [it.code for it in await advice(opened, 0, "self", json.dumps(definition))]
        assert found == ["nobody-listens", "unknown-workflow"]
        await publish(sql, flow(child("self")), "other")
        await sql.execute("""UPDATE meshhook.endpoints SET config = '{"mode": "sync"}' WHERE path = 'in'""")
        assert [it.code for it in await advice(opened, 0, "self")] == ["endless-calls"]  # of the draft
        assert await advice(opened, 0, "nowhere") == []


async def test_the_traffic_of_the_last_hour_is_measured(database: str, sql: Connection, store: Store) -> None:
    await accept(sql, store, chain("input"), *range(50))
    await until_idle(worker(store))
    limited = json.dumps(chain("input") | {"settings": {"rate": {"limit": 40, "per_s": 3600}}})
    enough = json.dumps(chain("input") | {"settings": {"rate": {"limit": 60, "per_s": 3600}}})
    async with pool(database) as opened:
        assert [it.code for it in await advice(opened, 0, "work", limited)] == ["limit-below-arrivals"]
        assert await advice(opened, 0, "work", enough) == []
