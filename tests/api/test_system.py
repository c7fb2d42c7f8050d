"""Runs over HTTP, probes, metrics, problem pages, the OpenAPI document, and a database that goes away."""

from __future__ import annotations

import ast
import asyncio
import importlib
import json
import pkgutil
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
from tests.api.conftest import Api, Server, transform, until
from tests.conftest import execute
from tests.engine.processes import Running

import meshhook.api
from meshhook.api.pages import sections

SOURCE = Path(__file__).parents[2] / "src" / "meshhook"


@pytest.fixture
def worked(api: Api, api_dsn: str) -> Any:
    """Deliver to a new endpoint, let a worker finish the run, and give its id."""

    def deliver(name: str, definition: dict[str, Any], body: Any, **headers: str) -> str:
        api.publish(name, definition)
        api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
        run_id = api("POST", f"/hooks/{name}", body, headers=headers).json()["run_id"]

        async def work() -> None:
            async with Running("work", api_dsn):
                await asyncio.to_thread(until, lambda: api("GET", f"/api/v1/runs/{run_id}").json()["finished_at"])

        asyncio.run(work())
        return run_id

    return deliver


def test_a_run_from_delivery_to_output(api: Api, name: str, worked: Any) -> None:
    run_id = worked(
        name,
        transform("input.items[].price | sum(@)"),
        {"items": [{"price": 2}, {"price": 3.5}]},
        **{"webhook-id": "m1"},
    )
    run = api("GET", f"/api/v1/runs/{run_id}").json()
    assert run["status"] == "completed"
    assert (run["output"], run["error"]) == (5.5, None)
    assert (run["workflow"], run["version"], run["endpoint"], run["delivery_key"], run["epoch"]) == (
        name,
        1,
        name,
        "m1",
        1,
    )
    assert run["trigger"]["body"] == {"items": [{"price": 2}, {"price": 3.5}]}
    assert run["accepted_at"] <= run["finished_at"]
    events = api("GET", f"/api/v1/runs/{run_id}/events").json()
    assert [event["type"] for event in events["items"]] == ["run.accepted", "step.completed", "run.completed"]
    assert [event["seq"] for event in events["items"]] == [1, 2, 3]
    assert [event["epoch"] for event in events["items"]] == [0, 1, 1]
    assert events["items"][2]["at"] == run["finished_at"]
    assert events["next"] is None
    assert run_id in [
        item["id"] for item in api("GET", f"/api/v1/runs?workflow={name}&status=completed").json()["items"]
    ]


def test_a_failed_run_says_why(api: Api, name: str, worked: Any) -> None:
    run_id = worked(name, transform("sum(input)"), {"no": "list"})
    run = api("GET", f"/api/v1/runs/{run_id}").json()
    assert (run["status"], run["output"]) == ("failed", None)
    assert run["error"]["type"] == "expression"
    assert (run["error"]["node"], run["error"]["expression"]) == ("only", "sum(input)")


def test_a_live_run_has_no_output_yet(api: Api, name: str) -> None:
    api.publish(name, transform())
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    text = 'a "\\u0000" b'
    run_id = api("POST", f"/hooks/{name}", text).json()["run_id"]
    run = api("GET", f"/api/v1/runs/{run_id}").json()
    assert (run["status"], run["output"], run["error"], run["finished_at"]) == ("queued", None, None, None)
    assert run["trigger"]["body"] == text


@pytest.mark.parametrize(
    "id",
    [
        "x",
        "0",
        "00000000-0000-4000-8000-000000000000",
        "01a20849-0000-7fff-bfff-000000000000",
        "%00",
        "é",
        "{01a20849-0000-7fff-bfff-000000000000}",
    ],
)
def test_runs_that_are_not_there(api: Api, id: str) -> None:
    for path in (f"/api/v1/runs/{id}", f"/api/v1/runs/{id}/events", f"/api/v1/runs/{id}/steps"):
        answer = api("GET", path)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-run")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("limit=0", "bad-request"),
        ("limit=501", "bad-request"),
        ("limit=x", "bad-request"),
        ("limit=" + "9" * 5_000, "bad-request"),
        ("status=done", "bad-request"),
        ("status=%00", "bad-request"),
        ("cursor=x", "bad-cursor"),
        ("cursor=%FF", "bad-cursor"),
        ("cursor=" + "A" * 28, "bad-cursor"),
        ("workflow=never-heard-of", "unknown-workflow"),
        ("workflow=%00", "unknown-workflow"),
        ("workflow=" + "x" * 5_000, "unknown-workflow"),
        ("&".join("workflow=x" for _ in range(51)), "bad-request"),
        ("endpoint=never-heard-of", "unknown-endpoint"),
        ("since=yesterday", "bad-request"),
        ("until=0001-01-01T00:00:00Z", "bad-request"),
        ("q=" + "x" * 201, "bad-request"),
        ("q=a%00b", "bad-request"),
    ],
)
def test_questions_that_make_no_sense(api: Api, query: str, problem: str) -> None:
    answer = api("GET", f"/api/v1/runs?{query}")
    assert answer.json()["type"] == f"/problems/{problem}", answer.text


def test_runs_are_filtered_over_http(api: Api, name: str) -> None:
    for one in (name, f"{name}-2"):
        api.publish(one, transform())
        api("PUT", f"/api/v1/endpoints/{one}", {"workflow": one})
    first = api("POST", f"/hooks/{name}", 1, headers={"idempotency-key": f"key-of-{name}"}).json()["run_id"]
    second = api("POST", f"/hooks/{name}-2", {"said": f"something of {name}"}).json()["run_id"]

    def found(query: str) -> list[str]:
        return [run["id"] for run in api("GET", f"/api/v1/runs?{query}").json()["items"]]

    assert found(f"workflow={name}&workflow={name}-2&status=queued&status=completed") == [second, first]
    assert found(f"endpoint={name}-2") == [second]
    assert found(f"q={first}") == found(f"q=key-of-{name}") == [first]
    assert found(f"q=Something+of+{name}") == [second]
    assert found(f"workflow={name}-2&since=2100-01-01T00:00:00Z") == []
    assert found(f"workflow={name}-2&until=2100-01-01T00:00:00Z&since=2020-01-01T00:00:00%2B01:00") == [second]


def test_steps_over_http(api: Api, name: str, worked: Any) -> None:
    each = {"id": "each", "type": "loop", "config": {"items": "input", "body": transform("abs(input)", id="x")}}
    run_id = worked(name, {"nodes": [each], "edges": [{"from": "trigger", "to": "each"}]}, [-1, -2, -3])
    steps = api("GET", f"/api/v1/runs/{run_id}/steps").json()
    assert [(it["path"], it["type"], it["status"], it["output"]["value"]) for it in steps["items"]] == [
        ("each", "loop", "completed", [1, 2, 3])
    ]
    assert steps["items"][0]["loop"] == {"count": 3, "begun": 3, "done": 3, "failed": 0}
    items = api("GET", f"/api/v1/runs/{run_id}/steps?within=each&limit=2").json()
    assert ([it["path"] for it in items["items"]], items["next"]) == (["each[0].x", "each[1].x"], 2)
    path = quote("each[2].x", safe="")
    assert api("GET", f"/api/v1/runs/{run_id}/steps/{path}").json()["step"]["output"]["value"] == 3
    for wrong in ("/nobody", "?within=nobody", "?within=each[0].x", "/each%5B0%5D"):
        answer = api("GET", f"/api/v1/runs/{run_id}/steps{wrong}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-step"), wrong


def test_statistics_over_http(api: Api, name: str) -> None:
    api.publish(name, transform())
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    for number in range(3):
        api("POST", f"/hooks/{name}", number)
    told = api("GET", f"/api/v1/statistics?workflow={name}&buckets=4").json()
    assert (told["total"]["accepted"], told["total"]["p50_s"], told["share"], len(told["buckets"])) == (3, None, 1, 4)
    [of] = [it for it in api("GET", "/api/v1/statistics/workflows?hours=2").json()["items"] if it["workflow"] == name]
    assert (of["accepted"], sum(of["accepted_by_bucket"]), sum(of["failed_by_bucket"])) == (3, 3, 0)
    wrong = {"workflow=nobody": "unknown-workflow", "until=2020-01-01&since=2021-01-01T00:00:00Z": "bad-request"}
    for query, problem in wrong.items():
        assert api("GET", f"/api/v1/statistics?{query}").json()["type"] == f"/problems/{problem}"


def test_pages_of_runs_over_http(api: Api, name: str) -> None:
    api.publish(name, transform())
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    made = [api("POST", f"/hooks/{name}", number).json()["run_id"] for number in range(7)]
    found, cursor = [], ""
    pages = 0
    while True:
        pages += 1
        page = api("GET", f"/api/v1/runs?workflow={name}&limit=3{cursor}").json()
        found += [run["id"] for run in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert (sorted(found), pages) == (sorted(made), 3)
    assert found == sorted(found, reverse=True)


def test_what_no_call_answers_is_a_problem_too(api: Api) -> None:
    for path in (
        "/",
        "/nothing",
        "/api/v1",
        "/api/v1/workflows/a/b/c",
        "/openapi.json/x",
        "/%ff",
        "/%00",
        "//healthz",
        "/healthz/",
    ):
        answer = api.raw("GET", path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), path
        assert answer.json()["type"] == "/problems/not-found"
    for method, path in (
        ("DELETE", "/api/v1/runs"),
        ("POST", "/healthz"),
        ("PATCH", "/api/v1/workflows/x"),
        ("PUT", "/metrics"),
    ):
        answer = api.raw(method, path, content=b"{}")
        assert (answer.status_code, answer.json()["type"]) == (405, "/problems/method-not-allowed"), (method, path)
        assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["%00", "a%00b", "%ff", "é", "a//b", "..", "x" * 5_000])
def test_no_path_of_a_hook_is_an_error_of_ours(api: Api, path: str) -> None:
    answer = api.raw("POST", f"/hooks/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_metrics_tell_of_the_door_and_of_the_queue(api: Api, name: str) -> None:
    api.publish(name, transform())
    api("PUT", f"/api/v1/endpoints/{name}", {"workflow": name})
    api("POST", f"/hooks/{name}", {})
    text = api("GET", "/metrics").text
    for metric in (
        "meshhook_accepted_total",
        "meshhook_backlog_runs",
        "meshhook_lag_seconds",
        "meshhook_workers",
        "meshhook_accept_waiting",
    ):
        assert re.search(rf"^{metric} [0-9.e+]+$", text, re.MULTILINE), metric
    assert "\nmeshhook_database_up 1.0\n" in text


def test_the_openapi_document_is_whole(api: Api) -> None:
    document = api.document
    assert document is not None
    assert document["openapi"].startswith("3.1")
    assert set(re.findall(r'"#/components/schemas/([\w/$]+)"', json.dumps(document))) <= {
        *document["components"]["schemas"],
        *definition_parts(document),
    }
    told = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    assert told == {
        ("POST", "/hooks/{path}"),
        ("GET", "/api/v1/runs/{id}/stream"),
        ("GET", "/api/v1/stream"),
        ("GET", "/api/v1/lab/tests/{id}/stream"),
        *handled(),
    }
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["description"], path
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, status)
            if path.startswith("/api/"):
                assert {"401", "503", "504"} <= operation["responses"].keys(), path
            if "requestBody" in operation and path.startswith("/api/"):
                assert "required" in operation["requestBody"], path


def handled() -> set[tuple[str, str]]:
    """Every operation some module of the API has a handler for."""
    modules = [importlib.import_module(f"meshhook.api.{it.name}") for it in pkgutil.iter_modules(meshhook.api.__path__)]
    return {
        (str(method), re.sub(r":\w+\}", "}", path))
        for module in modules
        for handler in getattr(module, "HANDLERS", [])
        for path in handler.paths
        for method in handler.http_methods
        if handler.include_in_schema is not False
    }


def definition_parts(document: dict[str, Any]) -> list[str]:
    return [f"Definition/$defs/{name}" for name in document["components"]["schemas"]["Definition"]["$defs"]]


def test_every_refusal_has_its_page_and_every_page_its_refusal() -> None:
    raised = {problem for file in SOURCE.rglob("*.py") for problem in problems_in(ast.parse(file.read_text()))}
    assert raised == sections().keys()


def problems_in(tree: ast.AST) -> set[str]:
    """The second argument of every ``Refusal(…)``; where that is a parameter, what the function around it is called with."""
    found: set[str] = set()
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
        parameters = [argument.arg for argument in function.args.args]
        for problem in [call.args[1] for call in calls_of(function, "Refusal")]:
            match problem:
                case ast.Constant(value=str(name)):
                    found.add(name)
                case ast.Name(id=name) if name in parameters:
                    given = [call.args[parameters.index(name)] for call in calls_of(tree, function.name)]
                    assert all(isinstance(it, ast.Constant) for it in given), f"line {function.lineno}: write it out"
                    found |= {it.value for it in given if isinstance(it, ast.Constant)}
                case ast.Attribute(attr="problem"):
                    pass  # an error that was raised elsewhere goes on
                case _:
                    raise AssertionError(f"line {problem.lineno}: write the problem out, so that it can be found")
    return found


def calls_of(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def test_problem_pages_are_plain_html_and_load_nothing(api: Api) -> None:
    listed = re.findall(r'href="(/problems/[\w-]+)"', api("GET", "/problems").text)
    assert listed == [f"/problems/{name}" for name in sections()]
    for path in listed:
        page = api("GET", path)
        assert page.headers["content-type"].startswith("text/html")
        assert "<h2>" in page.text
        assert not re.search(
            r"<script|src=|https?:|url\(|@import",
            page.text.replace("http://127.0.0.1:8080", "").replace("http://localhost:8080", ""),
        )
    assert api("GET", "/problems/never").status_code == 404


def test_a_database_that_goes_away_is_told_and_comes_back(database: str, api_of: Callable[..., Api]) -> None:
    address = urlsplit(database)
    [sockets] = parse_qs(address.query)["host"]
    with tempfile.TemporaryDirectory() as folder:
        way = Path(folder) / "way"
        way.symlink_to(sockets)
        running = Server(database.replace(quote(sockets, safe="/"), str(way)))
        try:
            check_outage(api_of(running), database, way, sockets)
        finally:
            running.end()


def check_outage(api: Api, dsn: str, way: Path, sockets: str) -> None:
    api.publish("work", transform())
    way.unlink()
    name = urlsplit(dsn).path.removeprefix("/")
    asyncio.run(
        execute(
            dsn,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()",
        )
    )
    until(lambda: api.raw("GET", "/readyz").status_code == 503)
    for method, path, body in (
        ("GET", "/api/v1/runs", None),
        ("GET", "/api/v1/runs/01a20849-0000-7000-8000-000000000000", None),
        ("GET", "/api/v1/workflows/work", None),
        ("PUT", "/api/v1/workflows/work", transform()),
        ("POST", "/api/v1/workflows/work/versions", None),
        ("PUT", "/api/v1/endpoints/work", {"workflow": "work"}),
        ("GET", "/readyz", None),
    ):
        answer = api(method, path, body)
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/database-unavailable"), (
            path,
            answer.text,
        )
        assert int(answer.headers["retry-after"]) > 0
    assert api("GET", "/healthz").status_code == 200
    assert "\nmeshhook_database_up 0.0\n" in api("GET", "/metrics").text
    way.symlink_to(sockets)
    until(lambda: api.raw("GET", "/readyz").status_code == 200)
    assert api("GET", "/api/v1/workflows/work").status_code == 200


def test_a_server_that_stops_is_not_ready(database: str) -> None:
    """And exits with 0."""
    running = Server(database)
    try:
        with httpx.Client(base_url=running.url) as http:
            assert http.get("/readyz").status_code == 200
            running.process.terminate()
        assert running.process.wait(20) == 0
    finally:
        running.end()
