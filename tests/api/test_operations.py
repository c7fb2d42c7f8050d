"""Dead letters and operations over HTTP; real workers make the dead letters, and work off the operations."""

from __future__ import annotations

import asyncio

import pytest
from tests.api.conftest import Api, Server, transform
from tests.engine.conftest import pool
from tests.engine.test_worker import until_idle, worker

from meshhook import operations
from meshhook.store import Store


def failed(api: Api, server: Server, name: str, count: int) -> list[str]:
    api.publish(name, transform("sum(input)"))
    run_ids = [api("POST", f"/api/v1/workflows/{name}/runs", {"no": "list"}).json()["run_id"] for _ in range(count)]

    async def work() -> None:
        async with pool(server.dsn) as opened:
            store = Store(opened)
            await until_idle(worker(store, shards=await store.shards()))

    asyncio.run(work())
    return sorted(run_ids)


def operate(server: Server) -> None:
    async def work() -> None:
        async with pool(server.dsn) as opened:
            while await operations.take_batch(opened, await Store(opened).shards()):
                pass

    asyncio.run(work())


def test_dead_letters_are_read_and_discarded(api: Api, server: Server, name: str) -> None:
    run_ids = failed(api, server, name, 3)
    query = f"/api/v1/dead-letters?workflow={name}&error_type=expression&node=only&since=2024-01-01T00:00:00Z"
    page = api("GET", f"{query}&limit=2").json()
    rest = api("GET", f"{query}&limit=2&cursor={page['next']}").json()
    assert [it["run_id"] for it in page["items"] + rest["items"]] == run_ids[::-1]
    assert rest["next"] is None
    letter = api("GET", f"/api/v1/dead-letters/{run_ids[0]}").json()
    assert (letter["node"], letter["last_step"], letter["error"]["expression"]) == ("only", None, "sum(input)")
    assert api("DELETE", f"/api/v1/dead-letters/{run_ids[0]}").status_code == 204
    for method in ("GET", "DELETE"):
        answer = api(method, f"/api/v1/dead-letters/{run_ids[0]}")
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-dead-letter")
    entry = api("GET", f"/api/v1/audit?subject={run_ids[0]}").json()["items"][0]
    assert (entry["action"], entry["detail"]["node"]) == ("dead-letter.discard", "only")


def test_an_operation_from_its_count_to_its_end(api: Api, server: Server, name: str) -> None:
    run_ids = failed(api, server, name, 3)
    wanted = {"kind": "replay", "filter": {"workflow": name}}
    dry = api("POST", "/api/v1/operations", wanted | {"dry_run": True})
    assert (dry.status_code, dry.json()["matched"], dry.json()["runs"]) == (200, 3, run_ids)
    begun = api("POST", "/api/v1/operations", wanted)
    assert (begun.status_code, begun.json()["state"], begun.json()["expected"]) == (202, "working", 3)
    operate(server)
    path = f"/api/v1/operations/{begun.json()['id']}"
    found = api("GET", path).json()
    assert (found["state"], found["matched"], found["done"], found["filter"]) == ("done", 3, 3, {"workflow": name})
    assert api("DELETE", path).json()["state"] == "done"
    assert found["id"] in [it["id"] for it in api("GET", "/api/v1/operations?limit=5").json()["items"]]
    runs = api("GET", f"/api/v1/runs?workflow={name}").json()["items"]
    assert [run["status"] for run in runs].count("queued") == 3


def test_an_operation_is_stopped(api: Api, name: str) -> None:
    api.publish(name, transform())
    begun = api("POST", "/api/v1/operations", {"kind": "discard", "filter": {"workflow": name}}).json()
    assert api("DELETE", f"/api/v1/operations/{begun['id']}").json()["state"] == "stopped"


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({}, 400, "invalid-body"),
        ({"kind": "kill"}, 400, "invalid-body"),
        ({"kind": "replay", "filter": {"color": "red"}}, 400, "invalid-body"),
        ({"kind": "replay", "filter": {"since": "yesterday"}}, 400, "invalid-body"),
        ({"kind": "replay", "filter": {"since": "0001-01-01T00:00:00+14:00"}}, 400, "bad-request"),
        ({"kind": "replay", "filter": {"until": "9999-12-31T23:59:59-14:00"}}, 400, "bad-request"),
        ({"kind": "cancel", "filter": {"node": "x"}}, 400, "bad-request"),
        ({"kind": "discard", "filter": {"node": "\0"}}, 400, "bad-request"),
        ({"kind": "discard", "filter": {"workflow": "nowhere"}}, 404, "unknown-workflow"),
    ],
)
def test_operations_that_make_no_sense(api: Api, body: object, status: int, problem: str) -> None:
    answer = api("POST", "/api/v1/operations", body)
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{problem}")


def test_operations_that_are_not_there(api: Api) -> None:
    for id in ("x", "01a20849-0000-7000-8000-000000000000"):
        for method in ("GET", "DELETE"):
            answer = api(method, f"/api/v1/operations/{id}")
            assert (answer.status_code, answer.json()["type"]) == (404, "/problems/unknown-operation")


def test_why_a_run_is_not_running(api: Api, server: Server, name: str) -> None:
    (run_id,) = failed(api, server, name, 1)
    finished = api("GET", f"/api/v1/runs/{run_id}/why").json()
    assert (finished["status"], [it["kind"] for it in finished["reasons"]]) == ("failed", ["finished"])
    waiting = api("POST", f"/api/v1/workflows/{name}/runs", {}).json()["run_id"]
    found = api("GET", f"/api/v1/runs/{waiting}/why").json()
    assert found["reasons"][-1]["kind"] == "queued"
    assert api("GET", "/api/v1/runs/x/why").json()["type"] == "/problems/unknown-run"
