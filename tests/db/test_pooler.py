"""The whole engine through a pooler in transaction mode: PgBouncer as Debian ships it, if it is there."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import asyncpg
import pytest
from tests.api.test_stream import Reader, post, stored, until, until_finished, watching
from tests.engine.conftest import chain, publish
from tests.engine.processes import Running, free_port

from meshhook.db.connect import Database, is_pooled
from meshhook.db.migrate import migrate

BOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
BOUND_S = 120.0

NEEDED = "MUST_TEST_POOLER" in os.environ

pytestmark = pytest.mark.skipif(
    BOUNCER is None and not NEEDED,
    reason="pgbouncer is not installed: `apt-get install pgbouncer` (it needs no configuration)",
)


class Bouncer:
    """PgBouncer before the server of ``dsn``: transaction mode, and fewer connections than it has clients."""

    def __init__(self, dsn: str, folder: Path) -> None:
        assert BOUNCER is not None, "pgbouncer is not installed"
        server = parse_qs(urlsplit(dsn).query)
        [sockets], [port], [user] = server["host"], server["port"], server["user"]
        self.port = free_port()
        config = folder / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n* = host={sockets} port={port} user={user}\n[pgbouncer]\npool_mode = transaction\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self.port}\nunix_socket_dir =\nauth_type = any\n"
            "default_pool_size = 4\nmax_client_conn = 200\n"
        )
        config.chmod(0o644)
        folder.chmod(0o755)
        owner = Path(sockets).stat()
        identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        self.process = subprocess.Popen([BOUNCER, "-q", str(config)], stderr=subprocess.PIPE, **identity)

    def dsn(self, dsn: str) -> str:
        """The way to the same database through here."""
        return f"postgresql://anybody@127.0.0.1:{self.port}{urlsplit(dsn).path}?sslmode=disable"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(scope="module")
def bouncer(postgres_dsn: str) -> Iterator[Bouncer]:
    folder = Path(tempfile.mkdtemp(prefix="meshhook-pooler-"))
    running = Bouncer(postgres_dsn, folder)
    yield running
    running.stop()
    shutil.rmtree(folder)


@pytest.fixture
async def pooled(bouncer: Bouncer, database: str) -> str:
    """The way to a migrated database through the pooler. The test's database can only be dropped when nobody uses it."""
    dsn = bouncer.dsn(database)
    async with asyncio.timeout(BOUND_S):
        while True:
            try:
                await (await asyncpg.connect(dsn, statement_cache_size=0)).close()
                break
            except OSError:
                assert bouncer.process.poll() is None
                await asyncio.sleep(0.05)
    return dsn


@pytest.fixture
async def sql(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def test_a_pooler_is_noticed(pooled: str, database: str) -> None:
    assert await is_pooled(pooled)
    assert not await is_pooled(database)


async def test_nothing_is_left_in_a_session(pooled: str) -> None:
    opened = Database(pooled, size=6, name="test")
    await opened.connect()
    try:
        assert opened.pooled

        async def ask(n: int) -> int:
            for _ in range(20):
                [row] = await opened.read(
                    "SELECT $1::int * 2 AS twice, current_setting('statement_timeout') AS bound", n
                )
                assert (row["twice"], row["bound"]) == (n * 2, "30s")
            return n

        assert await asyncio.gather(*(ask(n) for n in range(12))) == list(range(12))
        async with opened.connection() as connection:
            names = await connection.fetch("SELECT name FROM pg_prepared_statements")
            assert names == []
        plain = await asyncpg.connect(pooled, statement_cache_size=0)
        assert await plain.fetchval("SHOW statement_timeout") == "0", "what one leaves behind, another would find"
        await plain.close()
    finally:
        await opened.close()


async def test_migrating_through_it_leaves_no_lock_behind(bouncer: Bouncer, dsn: str) -> None:
    first, second = await asyncio.gather(migrate(bouncer.dsn(dsn)), migrate(bouncer.dsn(dsn)))

    assert sorted([bool(first.applied), bool(second.applied)]) == [False, True]
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    await connection.close()


async def test_the_whole_engine_works_through_it(pooled: str, database: str, sql: asyncpg.Connection) -> None:
    await publish(sql, chain("input", "input.n"))
    async with Running("serve", pooled) as api, Running("work", pooled), Running("work", pooled):
        reader = Reader(api.url, "/api/v1/stream")
        async with watching(reader):
            runs = await post(api.url, 120)
            await until_finished(sql, len(runs))
            await until(lambda: len(reader.events) >= len(runs) * 4)
        async with aiohttp.ClientSession(api.url) as session, session.get(f"/api/v1/runs/{runs[0]}") as answer:
            assert (await answer.json())["status"] == "completed"
        listening = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'"
        assert await sql.fetchval(listening) == 0
    assert set(reader.seen) == await stored(sql)
    assert len(reader.seen) == len(set(reader.seen))


async def test_callers_get_their_answers_through_it(pooled: str, sql: asyncpg.Connection) -> None:
    """Nobody hears a NOTIFY here, so answers are looked for; and the rate limit holds."""
    await publish(sql, chain("input", "input.n"))
    config = '{"mode":"sync","wait_s":30,"rate_limit":{"quota":20,"window_s":86400}}'
    await sql.execute("UPDATE meshhook.endpoints SET config = $1", config)
    async with (
        Running("serve", pooled) as api,
        Running("work", pooled),
        aiohttp.ClientSession(api.url) as session,
    ):

        async def ask(n: int) -> tuple[int, object]:
            async with session.post("/hooks/work", json={"n": n}) as answer:
                return answer.status, await answer.json(content_type=None) if answer.status == 200 else None

        answers = await asyncio.gather(*(ask(n) for n in range(30)))
        assert sum(status == 429 for status, _ in answers) == 10
        assert all(value == n for n, (status, value) in enumerate(answers) if status == 200)
        assert sum(status == 200 for status, _ in answers) == 20
