"""Events, cancel, pause and resume over HTTP; a real worker takes them to the runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.api.conftest import Api, Server
from tests.engine.conftest import pool
from tests.engine.test_worker import worker

from meshhook.store import Store

WAITING = {
    "nodes": [{"id": "wait", "type": "wait_event", "config": {"event": "paid", "key": "{{ input.order }}"}}],
    "edges": [{"from": "trigger", "to": "wait"}],
}


def start(api: Api, name: str, order: str) -> str:
    assert api.publish(name, WAITING).status_code == 201
    answer = api("POST", f"/api/v1/workflows/{name}/runs", {"order": order})
    return str(answer.json()["run_id"])


def status_after_work(server: Server, api: Api, run_id: str) -> str:
    """Where a run stands once a worker has done all there is to do."""

    async def work() -> None:
        async with pool(server.dsn) as opened:
            working = worker(Store(opened))
            while await working._round():
                pass

    asyncio.run(work())
    return str(api("GET", f"/api/v1/runs/{run_id}").json()["status"])


def test_an_event_ends_the_wait_of_a_run(api: Api, server: Server, name: str) -> None:
    run_id = start(api, name, name)
    assert status_after_work(server, api, run_id) == "waiting"
    event = {"name": "paid", "key": name, "payload": {"amount": 1.50}, "id": f"e-{name}"}
    sent = api("POST", "/api/v1/events", event)
    assert (sent.status_code, sent.json()) == (202, {"id": f"e-{name}", "runs": [run_id]})
    assert api("POST", "/api/v1/events", event).json()["runs"] == []
    assert status_after_work(server, api, run_id) == "completed"
    assert api("GET", f"/api/v1/runs/{run_id}").json()["output"] == {"amount": 1.5}


def test_an_event_may_be_for_one_run(api: Api, server: Server, name: str) -> None:
    run_id = start(api, name, name)
    assert status_after_work(server, api, run_id) == "waiting"
    sent = api("POST", f"/api/v1/runs/{run_id}/signals", {"name": "paid", "payload": 7})
    assert sent.json()["runs"] == [run_id]
    assert status_after_work(server, api, run_id) == "completed"


def test_a_run_is_paused_resumed_and_cancelled(api: Api, server: Server, name: str) -> None:
    run_id = start(api, name, name)
    assert api("POST", f"/api/v1/runs/{run_id}/pause").json() == {"run_id": run_id, "told": "pause"}
    assert status_after_work(server, api, run_id) == "paused"
    assert api("POST", f"/api/v1/runs/{run_id}/resume").status_code == 202
    assert status_after_work(server, api, run_id) == "waiting"
    assert api("POST", f"/api/v1/runs/{run_id}/cancel", {"reason": "wrong order"}).status_code == 202
    assert status_after_work(server, api, run_id) == "cancelled"
    last = api("GET", f"/api/v1/runs/{run_id}/events").json()["items"][-1]
    assert (last["type"], last["by"], last["reason"]) == ("run.cancelled", "local", "wrong order")
    for wish in ("cancel", "pause", "resume"):
        refused = api("POST", f"/api/v1/runs/{run_id}/{wish}")
        assert (refused.status_code, refused.json()["type"].rpartition("/")[2]) == (409, "run-finished")
    done = [entry["action"] for entry in api("GET", f"/api/v1/audit?subject={run_id}").json()["items"]]
    assert done == ["run.cancel", "run.resume", "run.pause"]


UNKNOWN = "01890000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"/api/v1/runs/{UNKNOWN}/cancel", None, 404),
        (f"/api/v1/runs/{UNKNOWN}/signals", {"name": "paid"}, 404),
        ("/api/v1/runs/no-id/pause", None, 404),
        ("/api/v1/events", {"name": "no good"}, 400),
        ("/api/v1/events", {"name": "paid", "key": "k" * 501}, 400),
        ("/api/v1/events", {"name": "paid", "key": "\0"}, 400),
        ("/api/v1/events", {"name": "paid", "id": ""}, 400),
        ("/api/v1/events", {"name": "paid", "other": 1}, 400),
        ("/api/v1/events", {"key": "k"}, 400),
        ("/api/v1/events", {"name": "paid", "payload": "x" * (1024 * 1024 + 1)}, 413),
    ],
)
def test_what_can_not_be_done_is_refused(api: Api, path: str, body: Any, status: int) -> None:
    assert api("POST", path, body).status_code == status


def test_a_payload_holds_whatever_json_holds(api: Api, server: Server, name: str) -> None:
    run_id = start(api, name, name)
    body = (
        b'{"name": "paid", "key": "%s", "payload": {"nul": "\\u0000", "big": 12345678901234567890123}}' % name.encode()
    )
    headers = {"content-type": "application/json"}
    assert api.raw("POST", "/api/v1/events", content=body, headers=headers).status_code == 202
    assert status_after_work(server, api, run_id) == "completed"
    answer = api.raw("GET", f"/api/v1/runs/{run_id}").text
    assert '"output":{"nul":"\\u0000","big":12345678901234567890123}' in answer


def test_a_finished_run_is_begun_again(api: Api, server: Server, name: str) -> None:
    run_id = start(api, name, name)
    assert api("POST", f"/api/v1/runs/{run_id}/replay").status_code == 409
    api("POST", f"/api/v1/runs/{run_id}/cancel")
    assert status_after_work(server, api, run_id) == "cancelled"
    keyed = {"headers": {"idempotency-key": "once"}}
    begun = api("POST", f"/api/v1/runs/{run_id}/replay", {"version": "same"}, **keyed)
    assert (begun.status_code, begun.json()["replay_of"]) == (202, run_id)
    assert api("POST", f"/api/v1/runs/{run_id}/replay", {"version": "same"}, **keyed).json() == begun.json()
    assert api("POST", f"/api/v1/runs/{run_id}/replay", {"version": "published"}, **keyed).status_code == 422
    assert api("POST", f"/api/v1/runs/{run_id}/resume-from", {"step": "nowhere"}).status_code == 404
    resumed = api("POST", f"/api/v1/runs/{run_id}/resume-from", {"step": "wait"})
    assert status_after_work(server, api, resumed.json()["run_id"]) == "waiting"
    assert api("POST", f"/api/v1/runs/{UNKNOWN}/replay").status_code == 404
    assert api("POST", f"/api/v1/runs/{run_id}/replay", {"version": "old"}).status_code == 400
