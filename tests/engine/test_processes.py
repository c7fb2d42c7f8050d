"""The engine as processes: what SIGTERM, SIGKILL and a database that goes away do to webhooks that were acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from tests.engine.conftest import Connection, chain, publish
from tests.engine.processes import Running

from meshhook.db.embedded import EmbeddedPostgres
from meshhook.db.migrate import migrate

SUM = chain("{total: sum(input.items)}")


class Senders:
    """Clients that send webhooks, each with a key of its own, until told to stop; they remember what they were told."""

    def __init__(self, serve: Running, count: int = 20) -> None:
        self.url = f"{serve.url}/hooks/work"
        self.log = lambda: serve.log.decode()[-5_000:]
        self.acknowledged: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        self.unknown: set[str] = set()
        self._numbers = itertools.count()
        self._stopping = False
        self._count = count

    async def __aenter__(self) -> Senders:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        self._tasks = [asyncio.create_task(self._send()) for _ in range(self._count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)
        await self._session.close()

    async def until(self, count: int) -> None:
        """Wait until ``count`` more webhooks are acknowledged."""
        goal = len(self.acknowledged) + count
        async with asyncio.timeout(30):
            while len(self.acknowledged) < goal:
                await asyncio.sleep(0.005)

    async def _send(self) -> None:
        while not self._stopping:
            number = next(self._numbers)
            key = f"key-{number}"
            try:
                async with self._session.post(
                    self.url, json={"items": [number, 1]}, headers={"idempotency-key": key}
                ) as answer:
                    await self._note(key, answer)
            except aiohttp.ClientConnectorError:
                self.refused["connection refused"] += 1
                await asyncio.sleep(0.01)
            except (aiohttp.ClientError, TimeoutError):
                self.unknown.add(key)

    async def _note(self, key: str, answer: aiohttp.ClientResponse) -> None:
        document = await answer.json(content_type=None)
        if answer.status == 202:
            self.acknowledged[key] = document["run_id"]
        elif answer.status == 503:
            assert "retry-after" in answer.headers
            self.refused[document["type"]] += 1
            if document["type"] == "/problems/shutting-down":
                self._stopping = True  # it said when to come back, and that is later than the test lasts
            await asyncio.sleep(0.01)
        else:
            if answer.status != 504:
                await asyncio.sleep(0.5)  # on the way to a failure only: let the server's log arrive, to be shown
            assert answer.status == 504, (document, self.log())
            self.unknown.add(key)


async def until_done(sql: Connection) -> None:
    async with asyncio.timeout(60):
        while await sql.fetchval("SELECT count(*) FROM meshhook.tasks"):
            await asyncio.sleep(0.02)


async def check(sql: Connection, senders: Senders) -> None:
    """Every acknowledged webhook is exactly one completed run with the right output; nothing refused became one."""
    rows = await sql.fetch(
        "SELECT r.delivery_key, r.id, r.status::text, e.event FROM meshhook.runs r "
        "JOIN meshhook.run_events e ON e.run_id = r.id AND e.type = 'run.completed'"
    )
    stored = {row["delivery_key"]: row for row in rows}
    assert len(stored) == len(rows) == await sql.fetchval("SELECT count(*) FROM meshhook.runs")
    assert senders.acknowledged.keys() <= stored.keys()
    assert stored.keys() <= senders.acknowledged.keys() | senders.unknown
    for key, row in stored.items():
        assert row["status"] == "completed"
        assert json.loads(row["event"])["output"] == {"total": int(key.removeprefix("key-")) + 1}
    for key, run_id in senders.acknowledged.items():
        assert str(stored[key]["id"]) == run_id


@pytest.fixture
async def worked(database: str, sql: Connection) -> str:
    await publish(sql, SUM)
    return database


async def test_sigterm_answers_what_was_taken_and_loses_nothing(worked: str, sql: Connection) -> None:
    async with Running("work", worked), Running("serve", worked) as serve:
        async with Senders(serve) as senders:
            await senders.until(300)
            serve.terminate()
            assert await serve.ended() == 0
        await until_done(sql)
        assert not senders.unknown
        await check(sql, senders)


async def test_sigterm_lets_a_worker_finish_its_turn(worked: str, sql: Connection) -> None:
    async with Running("serve", worked) as serve, Senders(serve) as senders:
        for _ in range(3):
            async with Running("work", worked) as work:
                await senders.until(100)
                work.terminate()
                assert await work.ended() == 0
    async with Running("work", worked):
        await until_done(sql)
    await check(sql, senders)


async def test_sigkill_at_any_instant_loses_nothing_that_was_acknowledged(worked: str, sql: Connection) -> None:
    async with Running("work", worked) as work, Running("serve", worked) as serve:
        async with Senders(serve) as senders:
            for _ in range(3):
                await senders.until(150)
                serve.kill()
                await serve.ended()
                await serve.start()
                await senders.until(150)
                work.kill()
                await work.ended()
                await work.start()
        await until_done(sql)
        await check(sql, senders)


async def test_a_worker_alone_works_off_what_two_dead_ones_left(worked: str, sql: Connection) -> None:
    async with Running("serve", worked) as serve, Senders(serve) as senders:
        async with Running("work", worked) as one, Running("work", worked) as two:
            await senders.until(200)
            one.kill()
            two.kill()
        await senders.until(200)
    async with Running("work", worked):
        await until_done(sql)
    await check(sql, senders)


@pytest.fixture
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """A folder for a Postgres of the test's own, to stop and start."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="meshhook-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


async def test_a_database_that_goes_away_and_comes_back(server: Path) -> None:
    """While it is gone the door says 503 and when to come back; then all resumes by itself, and nothing was lost."""
    first = EmbeddedPostgres(server)
    dsn = await asyncio.to_thread(first.start)
    try:
        await migrate(dsn)
        sql = await asyncpg.connect(dsn)
        await publish(sql, SUM)
        await sql.close()
        async with Running("work", dsn) as work, Running("serve", dsn) as serve, Senders(serve) as senders:
            await senders.until(200)
            socket_folder = first._sockets
            await asyncio.to_thread(first.stop)
            async with asyncio.timeout(30):
                while senders.refused["/problems/database-unavailable"] < 50:
                    await asyncio.sleep(0.01)
            second = EmbeddedPostgres(server, {"unix_socket_directories": str(remake(socket_folder, server))})
            await asyncio.to_thread(second.start)
            try:
                await senders.until(200)
                senders._stopping = True
                sql = await asyncpg.connect(dsn)
                await until_done(sql)
                assert work.process.returncode is None
                await asyncio.gather(*senders._tasks)
                await until_done(sql)
                await check(sql, senders)
                await sql.close()
            finally:
                await asyncio.to_thread(second.stop)
    finally:
        first.stop()


def remake(sockets: Path | None, like: Path) -> Path:
    """The folder of the first server's socket, which it removed when it stopped, for the second to use."""
    import os

    assert sockets is not None
    sockets.mkdir(mode=0o700)
    owner = (like / "cluster").stat()
    os.chown(sockets, owner.st_uid, owner.st_gid)
    return sockets


async def test_ten_processes_may_migrate_at_once(dsn: str) -> None:
    results = await asyncio.gather(*(migrate(dsn) for _ in range(10)))
    assert sum(bool(result.applied) for result in results) == 1
    assert (await migrate(dsn)).applied == []


Answer = tuple[int, Any, dict[str, str]]


@pytest.fixture
async def door(worked: str) -> AsyncIterator[Running]:
    async with Running("serve", worked, body_limit_bytes=10_000) as serve:
        yield serve


async def post(door: Running, path: str, data: Any, method: str = "POST", **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.request(
            method, door.url + path, data=data, headers=names, skip_auto_headers=["content-type"]
        ) as answer,
    ):
        document = await answer.json(content_type=None)
        return answer.status, document, {name.lower(): value for name, value in answer.headers.items()}


async def test_what_the_door_refuses_is_a_problem_document_and_stored_nowhere(door: Running, sql: Connection) -> None:
    await sql.execute("INSERT INTO meshhook.workflows (project_id, name, draft) VALUES (0, 'draft', '{}')")
    await sql.execute(
        "INSERT INTO meshhook.endpoints (project_id, path, workflow_id) SELECT 0, 'draft', max(id) FROM meshhook.workflows"
    )
    cases: list[tuple[Answer, int, str]] = [
        (await post(door, "/hooks/nope", b""), 404, "unknown-endpoint"),
        (await post(door, "/hooks/", b""), 404, "unknown-endpoint"),
        (await post(door, "/hooks/work", b"", method="PUT"), 405, "method-not-allowed"),
        (await post(door, "/hooks/draft", b""), 409, "not-published"),
        (await post(door, "/hooks/work", b"{", content_type="application/json"), 400, "invalid-json"),
        (await post(door, "/hooks/work", b"", idempotency_key="two words"), 400, "invalid-key"),
        (await post(door, "/hooks/work", b"x" * 10_001), 413, "body-too-large"),
        (await post(door, "/hooks/work", chunked(b"x" * 1_000, 20)), 413, "body-too-large"),
    ]
    for (status, document, headers), expected, problem in cases:
        assert (status, document["type"]) == (expected, f"/problems/{problem}")
        assert headers["content-type"] == "application/problem+json"
        assert document["status"] == expected
        assert document["instance"].startswith("/hooks/")
        assert document["title"]
        assert document["detail"]
    assert cases[2][0][2]["allow"] == "POST"
    for table in ("runs", "journal", "tasks", "dedupe"):
        assert await sql.fetchval(f"SELECT count(*) FROM meshhook.{table}") == 0


async def chunked(chunk: bytes, times: int) -> AsyncIterator[bytes]:
    for _ in range(times):
        yield chunk


@pytest.mark.parametrize(
    "framing",
    [
        b"transfer-encoding: chunked\r\n\r\n5\r\nhal",
        b"transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"transfer-encoding: chunked\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"content-length: 10\r\n\r\nhalf",
    ],
)
async def test_half_a_body_is_no_delivery(door: Running, sql: Connection, framing: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"POST /hooks/work HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\n" + framing)
    writer.write_eof()
    await reader.read()
    writer.close()
    status, _, _ = await post(door, "/hooks/work", b"whole", content_type="text/plain")
    assert status == 202
    rows = await sql.fetch("SELECT event FROM meshhook.run_events")
    assert [json.loads(row["event"])["trigger"]["body"] for row in rows] == ["whole"]
    assert b'"error"' not in door.log


async def test_a_repeated_key_gives_the_first_run_and_another_body_is_refused(door: Running, sql: Connection) -> None:
    status, first, _ = await post(door, "/hooks/work", b"one", idempotency_key="k")
    assert (status, first["duplicate"]) == (202, False)
    assert first["status_url"] == f"/api/v1/runs/{first['run_id']}"
    together = await asyncio.gather(*(post(door, "/hooks/work", b"one", webhook_id="k") for _ in range(5)))
    assert {(status, again["run_id"], again["duplicate"]) for status, again, _ in together} == {
        (202, first["run_id"], True)
    }
    status, problem, _ = await post(door, "/hooks/work", b"two", idempotency_key='"k"')
    assert (status, problem["type"], problem["run_id"]) == (422, "/problems/key-reused", first["run_id"])
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs") == 1


async def test_the_same_new_key_at_the_same_moment_makes_one_run(door: Running, sql: Connection) -> None:
    answers = await asyncio.gather(
        *(post(door, "/hooks/work", f"body {n % 2}".encode(), webhook_id="new") for n in range(20))
    )
    statuses = Counter(status for status, _, _ in answers)
    assert statuses == {202: 10, 422: 10}
    assert len({document["run_id"] for _, document, _ in answers}) == 1
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs") == 1


async def test_bodies_of_any_kind_arrive(door: Running, sql: Connection) -> None:
    for body, content_type in (
        (b"\x00\xff", "image/png"),
        (b"a=1", "application/x-www-form-urlencoded"),
        (b"", "text/plain"),
    ):
        status, _, _ = await post(door, "/hooks/work?q=1", body, content_type=content_type)
        assert status == 202
    status, _, _ = await post(door, "/hooks/work", chunked(b"12", 3), content_type="application/json")
    assert status == 202
    bodies = [
        json.loads(row["event"])["trigger"]["body"]
        for row in await sql.fetch("SELECT event FROM meshhook.run_events ORDER BY run_id")
    ]
    assert bodies == [{"base64": "AP8="}, {"a": "1"}, None, 121212]


async def test_a_full_buffer_says_when_to_come_back(worked: str) -> None:
    async with (
        Running("serve", worked, accept_buffer_max=1, accept_batch_max=1) as serve,
        Senders(serve, 50) as senders,
    ):
        await senders.until(100)
    assert senders.refused["/problems/overloaded"] > 0


async def test_processes_refuse_a_database_that_was_not_migrated(dsn: str) -> None:
    for command in ("serve", "work"):
        subject = Running(command, dsn)
        with pytest.raises(AssertionError, match="meshhook migrate"):
            await subject.start()
        assert await subject.ended() == 1
