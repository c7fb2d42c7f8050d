"""Sync mode, through real processes: the answer of the run, its end, or 202 when it takes longer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
from tests.engine.conftest import Connection, chain, publish
from tests.engine.processes import Running

FAILING = {
    "nodes": [{"id": "end", "type": "terminate", "config": {"status": "failed", "reason": "secret inside"}}],
    "edges": [{"from": "trigger", "to": "end"}],
}
ANSWERING = {
    "nodes": [
        {
            "id": "say",
            "type": "respond",
            "config": {"status": 201, "headers": {"x-n": "{{ input.n }}"}, "body": "made {{ input.n }}"},
        },
        {"id": "sleep", "type": "delay", "config": {"seconds": 3600}},
    ],
    "edges": [{"from": "trigger", "to": "say"}, {"from": "say", "to": "sleep"}],
}
SLEEPING = {
    "nodes": [{"id": "sleep", "type": "delay", "config": {"seconds": 3600}}],
    "edges": [{"from": "trigger", "to": "sleep"}],
}


async def make(sql: Connection, name: str, definition: dict[str, Any], **config: Any) -> None:
    await publish(sql, definition, name)
    await sql.execute(
        "UPDATE meshhook.endpoints SET config = $2 WHERE path = $1", name, json.dumps({"mode": "sync", **config})
    )


async def test_the_caller_gets_what_comes_of_his_run(database: str, sql: Connection) -> None:
    await make(sql, "fine", chain("{twice: [input.n, input.n]}", "input.twice"))
    await make(sql, "failing", FAILING)
    await make(sql, "answering", ANSWERING)
    await make(sql, "sleeping", SLEEPING, wait_s=0.1)
    async with (
        Running("serve", database, poll_ms=60_000) as server,  # so that only NOTIFY can tell it in time
        Running("work", database),
        aiohttp.ClientSession(server.url) as http,
    ):
        for key in ("a", "a"):  # who sends again gets the same again
            async with http.post("/hooks/fine", json={"n": 7}, headers={"idempotency-key": key}) as answer:
                assert (answer.status, await answer.json()) == (200, [7, 7])
                assert answer.headers["meshhook-run-id"]
        async with http.post("/hooks/answering", json={"n": 7}) as answer:  # long before its end
            assert (answer.status, answer.headers["x-n"], await answer.text()) == (201, "7", "made 7")
        async with http.post("/hooks/failing", json={}) as answer:
            problem = await answer.json(content_type="application/problem+json")
            assert (answer.status, problem["type"]) == (502, "/problems/run-failed")
            assert problem["run_id"] == answer.headers["meshhook-run-id"]
            assert "secret inside" not in str(problem)
        async with http.post("/hooks/sleeping", json={}) as answer:
            accepted = await answer.json()
            assert (answer.status, accepted["status_url"]) == (202, f"/api/v1/runs/{accepted['run_id']}")


async def test_without_being_told_and_when_stopped(database: str, sql: Connection) -> None:
    """The answer of a run is found by polling, as behind a transaction pooler; at SIGTERM callers are not kept waiting."""
    await make(sql, "sleeping", SLEEPING, wait_s=30)
    async with Running("serve", database) as server, aiohttp.ClientSession(server.url) as http:
        caller = asyncio.create_task(_post(http, 1))
        run_id = await _run_id(sql, server)
        await sql.execute(
            "INSERT INTO meshhook.journal (shard, run_id, seq, epoch, at, events) VALUES (0, $1, 2, 1, now(), $2)",
            run_id,
            '[{"type":"run.responded","node":"r","status":418,"headers":{"x-tea":"yes"},"body":"short and stout"}]',
        )
        status, headers, body = await caller
        assert (status, headers["x-tea"], body) == (418, "yes", "short and stout")
        assert headers["content-type"] == "text/plain; charset=utf-8"

        gone = asyncio.create_task(_post(http, 2))
        await server.until(lambda: _waiting(http, 1))
        gone.cancel()
        await server.until(lambda: _waiting(http, 0))  # who goes away is not waited for

        caller = asyncio.create_task(_post(http, 3))
        await server.until(lambda: _waiting(http, 1))
        server.terminate()
        assert (await caller)[0] == 202
        assert await server.ended() == 0


async def _post(http: aiohttp.ClientSession, body: Any) -> tuple[int, Any, str]:
    async with http.post("/hooks/sleeping", json=body) as answer:
        return answer.status, answer.headers, await answer.text()


async def _run_id(sql: Connection, server: Running) -> Any:
    async def found() -> bool:
        return bool(await sql.fetchval("SELECT count(*) FROM meshhook.runs"))

    await server.until(found)
    return await sql.fetchval("SELECT id FROM meshhook.runs")


async def _waiting(http: aiohttp.ClientSession, callers: int) -> bool:
    async with http.get("/metrics") as answer:
        return f"meshhook_sync_waiting {float(callers)}" in await answer.text()
