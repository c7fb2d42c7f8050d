"""Live streams of a real server: resumed without gap or repetition, whatever happens to server and reader."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg
import pytest
from tests.conftest import execute
from tests.engine.conftest import chain, pool, publish
from tests.engine.processes import Running

from meshhook import keys
from meshproof.sse import Event, Parser

BOUND_S = 120.0
Connection = asyncpg.Connection


@pytest.fixture
async def sql(database: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


class Reader:
    """One stream, read until it has what is asked for. ``events`` keeps all of the journal, ``notices`` what else was said."""

    def __init__(self, url: str, path: str, headers: dict[str, str] | None = None) -> None:
        self._url, self._path, self._headers = url, path, headers or {}
        self.parser = Parser()
        self.events: list[dict[str, Any]] = []
        self.notices: list[Event] = []

    async def read(self, enough: Callable[[], bool] | None = None) -> None:
        """Connect, with the cursor of the last time, and read until it is enough or the stream ends."""
        cursor = {"last-event-id": self.parser.last_id} if self.parser.last_id else {}
        async with (
            asyncio.timeout(BOUND_S),
            aiohttp.ClientSession() as session,
            session.get(f"{self._url}{self._path}", headers={**self._headers, **cursor}) as answer,
        ):
            assert (answer.status, answer.content_type) == (200, "text/event-stream"), await answer.text()
            try:
                async for chunk in answer.content.iter_any():
                    self._take(chunk)
                    if enough is not None and enough():
                        return
            except aiohttp.ClientPayloadError:  # the server was killed
                return

    def at(self, url: str) -> None:
        self._url = url

    @property
    def seen(self) -> list[tuple[str, int]]:
        return [(event["run_id"], event["seq"]) for event in self.events]

    def _take(self, chunk: bytes) -> None:
        for event in self.parser.feed(chunk):
            if event.name == "message":
                self.events.append(json.loads(event.data))
            else:
                self.notices.append(event)


async def post(url: str, count: int, path: str = "work", **headers: str) -> list[str]:
    """Deliver webhooks; their run ids."""
    async with aiohttp.ClientSession(url, headers=headers) as session:

        async def one(n: int) -> str:
            async with session.post(f"/hooks/{path}", json={"n": n}) as answer:
                assert answer.status == 202
                return str((await answer.json())["run_id"])

        return list(await asyncio.gather(*(one(n) for n in range(count))))


async def stored(sql: Connection) -> set[tuple[str, int]]:
    return {(str(row["run_id"]), row["seq"]) for row in await sql.fetch("SELECT run_id, seq FROM meshhook.run_events")}


async def until_finished(sql: Connection, count: int) -> None:
    async with asyncio.timeout(BOUND_S):
        while await sql.fetchval("SELECT count(*) FROM meshhook.runs WHERE finished_at IS NOT NULL") < count:
            await asyncio.sleep(0.02)


async def status_of(url: str, headers: dict[str, str], method: str = "GET") -> int:
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as answer:
        return answer.status


@asynccontextmanager
async def watching(reader: Reader) -> AsyncIterator[asyncio.Task[None]]:
    """The reader reads beside the block, and has begun to."""
    reading = asyncio.create_task(reader.read())
    try:
        async with asyncio.timeout(BOUND_S):
            while not reader.parser.last_id:
                assert not reading.done(), await reading
                await asyncio.sleep(0.01)
        yield reading
    finally:
        reading.cancel()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(BOUND_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_run_is_watched_to_its_end(database: str, sql: Connection) -> None:
    await publish(sql, chain("input", "input"))
    async with Running("serve", database) as api:
        [run] = await post(api.url, 1)
        reader = Reader(api.url, f"/api/v1/runs/{run}/stream")
        async with watching(reader) as reading, Running("work", database):
            await reading  # the stream ends by itself

        assert [event["seq"] for event in reader.events] == [1, 2, 3, 4]
        assert [event["type"] for event in reader.events][-1] == "run.completed"
        assert [(notice.name, json.loads(notice.data)) for notice in reader.notices] == [
            ("end", {"status": "completed"})
        ]
        async with aiohttp.ClientSession(
            api.url
        ) as session:  # what a browser asks when it connects again: 204 stops it
            answer = await session.get(f"/api/v1/runs/{run}/stream", headers={"last-event-id": "4"})
            assert (answer.status, await answer.text()) == (204, "")
            answer = await session.get(f"/api/v1/runs/{run}/stream?after=2")
            assert (await answer.text()).count("data: {") == 3
            assert (await session.head(f"/api/v1/runs/{run}/stream")).status == 200


async def test_a_project_is_watched_over_kills_and_restarts_of_the_server(database: str, sql: Connection) -> None:
    await publish(sql, chain("input", "input"))
    total = 0
    async with Running("work", database), Running("serve", database) as first:
        reader = Reader(first.url, "/api/v1/stream")
        async with watching(reader) as reading:
            total += len(await post(first.url, 20))
            await until(lambda: len(reader.events) >= 30)
            first.kill()
            await first.ended()
            await reading
        async with Running("serve", database) as second:
            total += len(await post(second.url, 20))  # while nobody watches
            await until_finished(sql, total)
        async with Running("serve", database) as third:
            reader.at(third.url)
            async with watching(reader) as reading:
                total += len(await post(third.url, 20))
                await until(lambda: len(reader.events) >= total * 4)
                third.terminate()
                await reading
            assert await third.ended() == 0
    assert reader.parser.retry_ms is not None
    assert len(reader.seen) == len(set(reader.seen))
    assert set(reader.seen) == await stored(sql)
    assert reader.notices == []


async def test_a_slow_reader_is_told_and_misses_nothing(database: str, sql: Connection) -> None:
    await publish(sql, chain("input", "input"))
    async with Running("serve", database, watcher_buffer_bytes=1024) as api, Running("work", database):
        # A socket that takes little and is not read: what is sent to it stays with the server.
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(slow, ("127.0.0.1", api.port))
        await loop.sock_sendall(slow, b"GET /api/v1/stream HTTP/1.0\r\nhost: localhost\r\n\r\n")
        taken = await loop.sock_recv(slow, 4096)
        while b"id: " not in taken:
            taken += await loop.sock_recv(slow, 4096)

        async def lagged() -> bool:
            await post(api.url, 100)
            async with aiohttp.ClientSession(api.url) as session, session.get("/metrics") as answer:
                return "meshhook_watchers_lagged_total 0.0" not in await answer.text()

        await api.until(lagged)
        runs = await sql.fetchval("SELECT count(*) FROM meshhook.runs")
        await until_finished(sql, runs)

        parser, seen, notices = Parser(), [], []
        taken = taken.partition(b"\r\n\r\n")[2]
        async with asyncio.timeout(BOUND_S):
            while len(seen) < runs * 4:
                for event in parser.feed(taken):
                    if event.name == "message":
                        told = json.loads(event.data)
                        seen.append((told["run_id"], told["seq"]))
                    else:
                        notices.append(event.name)
                taken = await loop.sock_recv(slow, 65536)
        slow.close()

    assert "lagged" in notices
    assert len(seen) == len(set(seen))
    assert set(seen) == await stored(sql)


async def test_a_database_that_drops_every_connection_is_no_gap(database: str, sql: Connection) -> None:
    await publish(sql, chain("input"))
    drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with Running("serve", database, heartbeat_s=0.2) as api, Running("work", database):
        project = Reader(api.url, "/api/v1/stream")
        async with watching(project) as reading:
            await post(api.url, 10)
            await until(lambda: len(project.events) >= 10)
            await sql.fetch(drop)
            await api.until(lambda: delivered(api.url))
            runs = await sql.fetchval("SELECT count(*) FROM meshhook.runs")
            await until_finished(sql, runs)
            await until(lambda: len(project.events) >= runs * 3)
            assert not reading.done()  # it is the same connection as before
    assert len(project.seen) == len(set(project.seen))
    assert set(project.seen) == await stored(sql)


async def delivered(url: str) -> bool:
    """Whether a webhook is taken again."""
    async with aiohttp.ClientSession(url) as session, session.post("/hooks/work", json=1) as answer:
        return answer.status == 202


async def test_filters_and_projects_are_kept_apart(database: str, sql: Connection) -> None:
    for name in ("one", "two"):
        await publish(sql, chain("input"), name=name)
    await publish(sql, chain("length(input.n)"), name="bad")
    other = await sql.fetchval("INSERT INTO meshhook.projects (name) VALUES ('other') RETURNING id")
    async with pool(database) as opened:
        own_key, other_key = [await keys.create_key(opened, id, "k") for id in (0, other)]
    async with Running("serve", database, require_key=True) as api, Running("work", database):
        own, foreign = {"authorization": f"Bearer {own_key}"}, {"authorization": f"Bearer {other_key}"}
        of_one = Reader(api.url, "/api/v1/stream?workflow=one&type=run.completed", own)
        failed = Reader(api.url, "/api/v1/stream?status=failed,waiting", own)
        of_other = Reader(api.url, "/api/v1/stream", foreign)
        async with watching(of_one), watching(failed), watching(of_other):
            for name in ("one", "two", "bad", "one"):
                run = (await post(api.url, 1, name))[0]
            await until(lambda: len(of_one.events) >= 2 and len(failed.events) >= 2)
            # What comes behind a filtered event in the feed has been read by the tailer for all three.
            assert {event["type"] for event in of_one.events} == {"run.completed"}
            assert {event["workflow"] for event in of_one.events} == {"one"}
            assert [event["type"] for event in failed.events] == ["step.failed", "run.failed"]
            assert of_other.events == []
        for path, headers, status in [
            ("/api/v1/stream", {}, 401),
            (f"/api/v1/runs/{run}/stream", foreign, 404),
            ("/api/v1/stream?status=odd", own, 400),
            ("/api/v1/stream?after=odd", own, 400),
        ]:
            assert await status_of(f"{api.url}{path}", headers) == status
        assert await status_of(f"{api.url}/api/v1/stream", own, "POST") == 405


async def test_the_stream_of_a_revoked_key_ends(database: str, sql: Connection) -> None:
    async with pool(database) as opened:
        key = await keys.create_key(opened, 0, "k")
        async with Running("serve", database, require_key=True, heartbeat_s=0.2) as api:
            reader = Reader(api.url, "/api/v1/stream", {"authorization": f"Bearer {key}"})
            async with watching(reader) as reading:
                await until(lambda: reader.parser.comments >= 3)  # signs of life
                await keys.revoke_key(opened, 0, "k")
                await reading


async def test_watchers_are_counted_and_bounded(database: str, sql: Connection) -> None:
    async with Running("serve", database, watchers_max=2) as api, aiohttp.ClientSession(api.url) as session:
        first = await session.get("/api/v1/stream")
        assert first.status == 200
        async with session.get("/api/v1/stream") as second:
            assert second.status == 429  # four fifths of two are one
            assert second.headers["retry-after"]
            assert (await second.json())["type"] == "/problems/too-many-watchers"
        first.close()

        async def gone() -> bool:
            async with session.get("/api/v1/stream") as again:
                return again.status == 200

        await api.until(gone)


async def test_a_cursor_that_is_forgotten_begins_anew_and_says_so(database: str, sql: Connection) -> None:
    await publish(sql, chain("input"))
    async with Running("serve", database) as api, Running("work", database):
        await post(api.url, 3)
        await until_finished(sql, 3)
        await execute(database, "SELECT meshhook.forget_feed(0::smallint, '0', 1000)")
        reader = Reader(api.url, "/api/v1/stream?after=1.1.0")
        async with watching(reader):
            await until(lambda: reader.notices)
            [run] = await post(api.url, 1)
            await until(lambda: len(reader.events) == 3)
    assert [notice.name for notice in reader.notices] == ["reset"]
    assert {of for of, _ in reader.seen} == {run}


async def test_pages_of_other_sites_can_not_watch(database: str) -> None:
    async with Running("serve", database) as api:
        assert await status_of(f"{api.url}/api/v1/stream", {"origin": "http://evil.example"}) == 403
        assert await status_of(f"{api.url}/api/v1/stream", {"origin": api.url}) == 200
