"""Drafts, versions and endpoints over HTTP."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.api.conftest import Api, transform

from meshhook.definition import SCHEMA


def test_a_draft_is_saved_published_and_read_back(api: Api, name: str) -> None:
    saved = api("PUT", f"/api/v1/workflows/{name}", transform())
    assert (saved.status_code, saved.json()["published"]) == (200, None)
    made = api("POST", f"/api/v1/workflows/{name}/versions")
    assert made.status_code == 201
    assert {key: made.json()[key] for key in ("name", "version")} == {"name": name, "version": 1}
    detail = api("GET", f"/api/v1/workflows/{name}").json()
    assert (detail["published"], detail["draft"], detail["changed"]) == (1, transform(), False)
    version = api("GET", f"/api/v1/workflows/{name}/versions/1").json()
    assert (version["version_id"], version["definition"]) == (made.json()["version_id"], transform())
    assert name in [workflow["name"] for workflow in api("GET", "/api/v1/workflows").json()["items"]]


def test_publishing_what_is_published_returns_that_version(api: Api, name: str) -> None:
    first = api.publish(name, transform())
    again = api("POST", f"/api/v1/workflows/{name}/versions")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    same = json.dumps(transform(), indent=3).encode()
    api("PUT", f"/api/v1/workflows/{name}", content=same)
    assert api("POST", f"/api/v1/workflows/{name}/versions").status_code == 200, "white space is no change"


def test_a_changed_draft_becomes_the_next_version_and_the_old_one_stays(api: Api, name: str) -> None:
    api.publish(name, transform("input.a"))
    assert api.publish(name, transform("input.b")).json()["version"] == 2
    assert api("GET", f"/api/v1/workflows/{name}/versions/1").json()["definition"] == transform("input.a")
    api("PUT", f"/api/v1/workflows/{name}", transform("input.c"))
    assert api("GET", f"/api/v1/workflows/{name}").json()["changed"]
    listed = api("GET", f"/api/v1/workflows/{name}/versions").json()["items"]
    assert [version["version"] for version in listed] == [2, 1]


def test_true_is_not_one(api: Api, name: str) -> None:
    """Two drafts that Python calls equal are two versions."""
    api.publish(name, {**transform(), "nodes": [{"id": "only", "type": "transform", "config": {"template": True}}]})
    other = {**transform(), "nodes": [{"id": "only", "type": "transform", "config": {"template": 1}}]}
    assert api.publish(name, other).json()["version"] == 2


def test_parallel_publishes_of_one_draft_make_one_version(api: Api, name: str) -> None:
    api("PUT", f"/api/v1/workflows/{name}", transform())
    answers = in_parallel(20, lambda _: api.raw("POST", f"/api/v1/workflows/{name}/versions"))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert {answer.json()["version"] for answer in answers} == {1}


def test_parallel_saves_and_publishes_number_versions_without_a_gap(api: Api, name: str) -> None:
    api.publish(name, transform())

    def save_and_publish(number: int) -> Any:
        saved = api.raw("PUT", f"/api/v1/workflows/{name}", json=transform(f"input.n{number}"))
        assert saved.status_code == 200, saved.text
        return api.raw("POST", f"/api/v1/workflows/{name}/versions")

    answers = in_parallel(20, save_and_publish)
    assert {answer.status_code for answer in answers} <= {200, 201}
    made = sorted(answer.json()["version"] for answer in answers if answer.status_code == 201)
    assert made == list(range(2, 2 + len(made)))
    versions = api("GET", f"/api/v1/workflows/{name}/versions").json()["items"]
    assert [version["version"] for version in versions] == list(range(1 + len(made), 0, -1))
    assert not api("GET", f"/api/v1/workflows/{name}").json()["changed"], (
        "the last save was published by its own publish"
    )


def test_every_fault_of_a_definition_is_told_with_its_place(api: Api, name: str) -> None:
    broken = {
        "nodes": [{"id": "a", "type": "transform", "config": {"expression": "input."}}, {"id": "b", "type": "magic"}],
        "edges": [{"from": "trigger", "to": "a"}, {"from": "a", "to": "nowhere"}],
    }
    answer = api("PUT", f"/api/v1/workflows/{name}", broken)
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/invalid-definition"
    faults = {(fault["path"], fault["code"]) for fault in answer.json()["errors"]}
    assert {
        ("$.nodes[0].config.expression", "bad-expression"),
        ("$.nodes[1].type", "unknown-node-type"),
        ("$.edges[1].to", "dangling-edge"),
    } <= faults
    assert api("GET", f"/api/v1/workflows/{name}").status_code == 404, "nothing was saved"


HOSTILE = {
    "empty": b"",
    "no json": b"{",
    "not utf-8": b'{"nodes": "\xff\xfe"}',
    "utf-16": '{"nodes": []}'.encode("utf-16"),
    "deep arrays": b"[" * 500_000,
    "deep objects": b'{"nodes":' * 100_000,
    "deep and closed": b"[" * 100_000 + b"]" * 100_000,
    "null": b"null",
    "a list": b"[]",
    "a number": b"1e400",
    "a huge integer": b"1" * 5_000,
    "lone surrogate": rb'{"nodes": "\ud800"}',
    "NUL": b'{"nodes": [{"id": "\\u0000", "type": "transform"}], "edges": [{"from": "\\u0000", "to": "\\u0000"}]}',
    "wrong types": b'{"nodes": {"id": 1}, "edges": 7}',
    "nodes of no object": b'{"nodes": [1, null, "x", []], "edges": [[], 3]}',
    "many faults": json.dumps({"nodes": [{}] * 900, "edges": [{}] * 4_000}).encode(),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_definition_is_refused_never_an_error_of_ours(api: Api, name: str, body: bytes) -> None:
    answer = api("PUT", f"/api/v1/workflows/{name}", content=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


def test_a_body_has_a_limit_and_a_length(api: Api, name: str) -> None:
    too_long = api("PUT", f"/api/v1/workflows/{name}", content=b" " * (2 * 1024 * 1024 + 1))
    assert (too_long.status_code, too_long.json()["type"]) == (413, "/problems/body-too-large")
    large = api("PUT", f"/api/v1/workflows/{name}", content=b" " * 1_500_000)
    assert (large.status_code, large.json()["errors"][0]["code"]) == (422, "too-large")
    in_chunks = api("PUT", f"/api/v1/workflows/{name}", content=iter([b"{}"]))
    assert (in_chunks.status_code, in_chunks.json()["type"]) == (411, "/problems/length-required")


def test_a_definition_of_a_mebibyte_is_taken(api: Api, name: str) -> None:
    definition = {
        **transform(),
        "nodes": [{"id": "only", "type": "transform", "config": {"template": "x" * 1_000_000}}],
    }
    assert api.publish(name, definition).status_code == 201


@pytest.mark.parametrize("bad", ["-x", "a b", "a" * 101, "%00", "a%00b", "%ff", "é", "..", "a%2Fb"])
def test_names_and_paths_that_are_not_allowed(api: Api, bad: str) -> None:
    saved = api("PUT", f"/api/v1/workflows/{bad}", transform())
    assert saved.status_code in (400, 404, 405), saved.text
    assert api("GET", f"/api/v1/workflows/{bad}").status_code in (400, 404, 405)
    assert api("POST", f"/api/v1/workflows/{bad}/versions").status_code in (400, 404, 405)


@pytest.mark.parametrize("number", ["0", "-1", "2", "2147483648", "9" * 30, "9" * 5000, "x", "1.0"])
def test_versions_that_are_not_there(api: Api, name: str, number: str) -> None:
    api.publish(name, transform())
    answer = api("GET", f"/api/v1/workflows/{name}/versions/{number}")
    assert answer.status_code in (400, 404), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_an_endpoint_leads_deliveries_to_its_workflow(api: Api, name: str) -> None:
    path = f"{name}/with/parts"
    api.publish(name, transform())
    made = api("PUT", f"/api/v1/endpoints/{path}", {"workflow": name, "methods": ["post", "PUT", "POST"]})
    assert made.status_code == 200
    assert made.json()["methods"] == ["POST", "PUT"]
    assert path in [endpoint["path"] for endpoint in api("GET", "/api/v1/endpoints").json()["items"]]
    assert api("POST", f"/hooks/{path}", {"a": 1}).status_code == 202
    assert api.raw("GET", f"/hooks/{path}").status_code == 405


def test_a_change_counts_for_the_next_delivery(api: Api, name: str) -> None:
    path = f"/hooks/{name}"
    assert api("POST", path, {}).status_code == 404, "and that is remembered for a while"
    api("PUT", f"/api/v1/workflows/{name}", transform())
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    assert api("POST", path, {}).json()["type"] == "/problems/not-published"
    api("POST", f"/api/v1/workflows/{name}/versions")
    assert api("POST", path, {}).status_code == 202
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name, "methods": ["PUT"]})
    assert api("POST", path, {}).status_code == 405


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "invalid-json"),
        (b"\xff", "invalid-json"),
        (b"[" * 200_000, "invalid-body"),
        (b"[]", "invalid-body"),
        (b'{"methods": ["POST"]}', "invalid-body"),
        (b'{"workflow": 3}', "invalid-body"),
        (b'{"workflow": "NAME", "method": ["POST"]}', "invalid-body"),
        (b'{"workflow": "NAME", "methods": []}', "bad-method"),
        (b'{"workflow": "NAME", "methods": ["FETCH"]}', "bad-method"),
        (b'{"workflow": "nowhere"}', "unknown-workflow"),
        (b'{"workflow": "\\u0000"}', "unknown-workflow"),
    ],
)
def test_endpoints_that_are_refused(api: Api, name: str, body: bytes, problem: str) -> None:
    api("PUT", f"/api/v1/workflows/{name}", transform())
    answer = api("PUT", f"/api/v1/endpoints/{name}", content=body.replace(b"NAME", name.encode()))
    assert answer.json()["type"] == f"/problems/{problem}"


@pytest.mark.parametrize("path", ["a//b", ".hidden", "a%2F..%2Fb", "a%20b", "%00", "x" * 201, "a/"])
def test_paths_that_are_refused(api: Api, name: str, path: str) -> None:
    api("PUT", f"/api/v1/workflows/{name}", transform())
    answer = api.raw("PUT", f"/api/v1/endpoints/{path}", json={"workflow": name})
    assert answer.status_code in (400, 404), f"{answer.status_code} {answer.text}"


def test_the_schema_of_definitions_is_served(api: Api) -> None:
    answer = api("GET", "/api/v1/schemas/definition.json")
    assert answer.headers["content-type"].startswith("application/schema+json")
    assert answer.json() == json.loads(json.dumps(SCHEMA))


def in_parallel(count: int, call: Any) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


def test_the_server_is_free_while_a_large_definition_is_checked(api: Api, name: str) -> None:
    nodes = [{"id": f"n{i}", "type": "transform", "config": {"template": {"a": "{{ input.a }}"}}} for i in range(1_000)]
    edges = [{"from": "trigger", "to": "n0"}] + [{"from": f"n{i}", "to": f"n{i + 1}"} for i in range(999)]
    edges += [{"from": f"n{i}", "to": f"n{j}"} for i in range(4) for j in range(i + 2, 1_000)]
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(api.raw, "PUT", f"/api/v1/workflows/{name}", json={"nodes": nodes, "edges": edges})
        answered = 0
        while not slow.done():
            assert api.raw("GET", "/healthz").status_code == 200
            answered += 1
    assert slow.result().status_code == 200, slow.result().text
    assert answered > 1


def test_what_may_be_a_mistake_is_told_with_the_answer(api: Api, name: str) -> None:
    call = {"id": "pay", "type": "http_call", "config": {"url": "https://x.example/", "method": "POST"}}
    definition = {"nodes": [call], "edges": [{"from": "trigger", "to": "pay"}]}
    saved = api("PUT", f"/api/v1/workflows/{name}", definition)
    assert [(it["path"], it["code"]) for it in saved.json()["warnings"]] == [("$.nodes[0].config", "unsafe-retry")]
    published = api("POST", f"/api/v1/workflows/{name}/versions")
    assert (published.status_code, published.json()["warnings"]) == (201, saved.json()["warnings"])
    assert api.publish(f"{name}-plain", transform()).json()["warnings"] == []


def test_a_draft_is_tried_before_it_is_published(api: Api, name: str) -> None:
    assert api("POST", f"/api/v1/workflows/{name}/test-runs").status_code == 404
    api("PUT", f"/api/v1/workflows/{name}", transform("input.a"))
    begun = api("POST", f"/api/v1/workflows/{name}/test-runs", {"input": {"a": 1}, "pins": {"only": {"output": 2}}})
    assert begun.status_code == 202
    run = api("GET", begun.json()["status_url"]).json()
    assert (run["test"], run["version"], run["pinned"]) == (True, None, ["only"])
    ran = api("GET", f"{begun.json()['status_url']}/definition").json()
    assert (ran["workflow"], ran["definition"]["nodes"][0]["config"]) == (name, {"template": 2})
    again = api("POST", f"/api/v1/workflows/{name}/test-runs", {"run_id": run["id"]})
    assert api("GET", again.json()["status_url"]).json()["trigger"] == run["trigger"]
    listed = api("GET", f"/api/v1/runs?workflow={name}&test=true").json()["items"]
    assert sorted(it["id"] for it in listed) == sorted([run["id"], again.json()["run_id"]])
    assert api("GET", f"/api/v1/runs?workflow={name}&test=false").json()["items"] == []
    bad = api("POST", f"/api/v1/workflows/{name}/test-runs", {"pins": {"nobody": {"output": 1}}})
    assert (bad.status_code, bad.json()["errors"][0]["path"]) == (422, "$.pins.nobody")
    for wrong in ({"input": 1, "run_id": "x"}, {"inputs": 1}, {"pins": {"only": 1}}):
        assert api("POST", f"/api/v1/workflows/{name}/test-runs", wrong).status_code == 400


def test_another_definition_is_tried_in_place_of_the_draft_and_its_steps_are_told(api: Api, name: str) -> None:
    api("PUT", f"/api/v1/workflows/{name}", transform("input"))
    tried = api("POST", f"/api/v1/workflows/{name}/test-runs", {"input": [1, 2], "definition": transform("sum(input)")})
    assert tried.status_code == 202
    steps = api("GET", f"/api/v1/runs/{tried.json()['run_id']}/steps")
    assert (steps.status_code, [step["path"] for step in steps.json()["items"]]) == (200, ["only"])
    assert api("POST", f"/api/v1/workflows/{name}/test-runs", {"definition": {}}).status_code == 422
