"""What an editor asks while somebody types: definitions checked, expressions evaluated, nothing saved, nobody held up."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from tests.api.conftest import Api, Server, transform

from meshhook.errors import Refusal
from meshhook.side_process import SideProcess

VALIDATE = "/api/v1/definitions/validate"
EVALUATE = "/api/v1/expressions/evaluate"


def chain(count: int) -> dict[str, Any]:
    nodes = [{"id": f"n{i}", "type": "transform", "config": {"expression": "input"}} for i in range(count)]
    edges = [{"from": "trigger", "to": "n0"}] + [{"from": f"n{i}", "to": f"n{i + 1}"} for i in range(count - 1)]
    return {"nodes": nodes, "edges": edges}


def evaluated(api: Api, *expressions: Any, **context: Any) -> list[Any]:
    answer = api("POST", EVALUATE, {"expressions": list(expressions), "context": context})
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items


def test_a_definition_is_checked_as_saving_would_and_not_saved(api: Api, name: str) -> None:
    broken = {**transform("input."), "edges": [{"from": "trigger", "to": "nowhere"}]}
    said = api("POST", VALIDATE, broken).json()
    refused = api("PUT", f"/api/v1/workflows/{name}", broken).json()
    assert (said["valid"], said["errors"], said["warnings"]) == (False, refused["errors"], [])
    assert api("POST", VALIDATE, transform()).json() == {"valid": True, "errors": [], "warnings": []}
    assert api("GET", f"/api/v1/workflows/{name}").status_code == 404


def test_warnings_tell_of_what_lies_around_when_the_workflow_is_named(api: Api, name: str) -> None:
    child = {"id": "c", "type": "sub_workflow", "config": {"workflow": "nobody-has-this-name"}}
    definition = {"nodes": [child], "edges": [{"from": "trigger", "to": "c"}]}
    assert api("POST", VALIDATE, definition).json()["warnings"] == []
    said = api("POST", f"{VALIDATE}?workflow={name}", definition).json()
    assert [(it["path"], it["code"]) for it in said["warnings"]] == [("$.nodes[0].config.workflow", "unknown-workflow")]
    assert api("POST", f"{VALIDATE}?workflow=%00", definition).json()["warnings"] == []


def test_five_thousand_nodes_are_told_at_once(api: Api) -> None:
    said = api("POST", VALIDATE, chain(5_000)).json()
    assert [(fault["path"], fault["code"]) for fault in said["errors"]] == [("$.nodes", "wrong-value")]
    assert said["errors"][0]["message"].startswith("5,000 nodes; at most 1,000 are allowed.")
    body = {"nodes": [{"id": "l", "type": "loop", "config": {"items": "input", "body": chain(2_000)}}], "edges": []}
    (fault,) = api("POST", VALIDATE, body).json()["errors"]
    assert fault["path"] == "$.nodes[0].config.body.nodes"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "no-json"),
        (b"\xff", "no-json"),
        (b"null", "wrong-value"),
        (b"[" * 500_000, "no-json"),
        (b" " * 1_200_000, "too-large"),
    ],
    ids=["nothing", "not utf-8", "null", "deep", "large"],
)
def test_what_is_no_definition_is_an_answer_too(api: Api, body: bytes, code: str) -> None:
    answer = api("POST", VALIDATE, content=body)
    assert (answer.status_code, answer.json()["valid"]) == (200, False)
    assert (
        code in [fault["code"] for fault in answer.json()["errors"]] or answer.json()["errors"][0]["code"] == "too-deep"
    )


def test_several_expressions_are_evaluated_over_one_context(api: Api) -> None:
    total, name, broken, failed = evaluated(
        api,
        {"kind": "expression", "source": "sum(input.items[].price)"},
        {"kind": "template", "source": {"hello": "Dear {{ trigger.body.name }}", "keep": [1, None]}},
        {"kind": "expression", "source": "input.["},
        {"kind": "expression", "source": "abs(steps.a)"},
        input={"items": [{"price": 12345678901234567890123}, {"price": 1}]},
        trigger={"body": {"name": "<b>\u202eé</b>"}},
        steps={"a": "text"},
    )
    assert (total["ok"], total["result"], total["is_true"]) == (True, 12345678901234567890124, True)
    assert name["result"] == {"hello": "Dear <b>\u202eé</b>", "keep": [1, None]}
    assert (broken["ok"], broken["error"]["code"], broken["error"]["position"]) == (False, "bad-expression", 7)
    assert (failed["error"]["code"], failed["error"]["expression"]) == ("failed", "abs(steps.a)")


def test_what_the_context_leaves_out_is_not_there(api: Api) -> None:
    (said,) = evaluated(api, {"kind": "expression", "source": "@"}, input=None)
    assert said["result"] == {"input": None}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"expressions": []},
        {"expressions": [{"kind": "expression", "source": "x"}] * 201},
        {"expressions": [{"kind": "python", "source": "x"}]},
        {"expressions": [{"kind": "expression"}]},
        {"expressions": [{"kind": "expression", "source": "x"}], "context": {"secrets": {}}},
        {"expressions": [{"kind": "expression", "source": "x"}], "context": {"steps": []}},
    ],
)
def test_what_is_no_question_is_refused(api: Api, body: Any) -> None:
    answer = api("POST", EVALUATE, body)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/invalid-body")


def test_hostile_questions_are_answered(api: Api) -> None:
    deep = b'{"expressions": [{"kind": "template", "source": ' + b"[" * 2_000 + b"]" * 2_000 + b"}]}"
    assert api("POST", EVALUATE, content=deep).status_code in (200, 400)
    sources = ["(" * 5_000, "a[" * 4_000, "x" * 20_000, "`" + "[" * 200 + "]" * 200 + "`", "\u0000", ""]
    said = evaluated(api, *({"kind": "expression", "source": source} for source in sources))
    assert [it["ok"] for it in said] == [False] * len(sources)
    assert evaluated(api, {"kind": "expression", "source": "`1`"})[0]["result"] == 1


def test_the_server_answers_others_while_an_expression_works(api: Api) -> None:
    greedy = {"kind": "expression", "source": "map(&length(to_string(@)), input)"}
    body = json.dumps({"expressions": [greedy] * 20, "context": {"input": ["x" * 1_000] * 1_500}})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(api.raw, "POST", EVALUATE, content=body.encode())
        answered = 0
        while not slow.done():
            assert api.raw("GET", "/healthz").status_code == 200
            answered += 1
    assert slow.result().status_code == 200
    assert answered > 1


def test_saving_publishing_and_trying_cost_the_process_that_takes_webhooks_little(
    api: Api, server: Server, name: str
) -> None:
    long = {"id": "n", "type": "transform", "config": {"template": ["{{ input.a }}"] * 60_000}}
    definition = {"nodes": [long], "edges": [{"from": "trigger", "to": "n"}]}
    assert api("PUT", f"/api/v1/workflows/{name}", transform()).status_code == 200  # so that the other process is there
    taking = psutil.Process(server.process.pid)
    (checking,) = (child for child in taking.children() if "meshhook.side_work" in child.cmdline())
    before = [spent_s(process) for process in (taking, checking)]
    assert api("PUT", f"/api/v1/workflows/{name}", definition).status_code == 200
    assert api("POST", f"/api/v1/workflows/{name}/versions").status_code == 201
    assert api("POST", f"/api/v1/workflows/{name}/test-runs", {"input": 1}).status_code == 202
    took_s, checked_s = (spent_s(process) - was for process, was in zip((taking, checking), before, strict=True))
    assert checked_s > took_s


def spent_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def test_what_takes_too_long_is_given_up_and_the_next_one_answered() -> None:
    side = SideProcess(answer_s_max=0.0)
    try:
        with pytest.raises(Refusal) as refused:
            await side.check("{}")
        assert refused.value.status == 503
    finally:
        await side.close()
    side = SideProcess()
    try:
        assert (await side.check(json.dumps(transform()))).faults == []
        process = side._process
        assert process is not None
        process.kill()
        await process.wait()
        assert (await side.check("{")).faults[0].code == "no-json"
    finally:
        await side.close()


async def test_only_so_many_may_wait() -> None:
    side = SideProcess(waiting_max=2)
    try:
        asked = await asyncio.gather(*(side.check("{}") for _ in range(4)), return_exceptions=True)
    finally:
        await side.close()
    assert [isinstance(it, Refusal) for it in asked] == [False, False, True, True]
