"""An engine that somebody has deployed: API and worker of their own, keys in force, and a database with a role that only reads."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from meshproof.target import free_port

READY_S_MAX = 120.0
READER = "meshproof_reader"


@dataclass(frozen=True)
class Deployed:
    """Where it is, and what opens it."""

    url: str
    key: str
    dsn: str
    """For whoever may do anything."""
    reading_dsn: str
    """For whoever may only read."""

    def call(self, method: str, path: str, document: Any = None) -> Any:
        """A call of its API."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self.url + path, body, method=method)
        request.add_header("authorization", f"Bearer {self.key}")
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as reply:
            said = reply.read()
        return json.loads(said) if said else None

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of its database."""
        return [tuple(row) for row in asyncio.run(on(self.dsn, query, *values))]

    def census(self) -> dict[str, int]:
        """How many rows each table of the engine has."""
        tables = self.rows(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = 'meshhook' AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        )
        counts = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM meshhook.{name}" for (name,) in tables)
        return {str(name): int(count) for name, count in self.rows(counts)}


async def on(dsn: str, query: str, *values: object) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(query, *values))
    finally:
        await connection.close()


@contextmanager
def deployed(dsn: str) -> Iterator[Deployed]:
    """An engine on a migrated database, while the block lasts."""
    grant_reading(dsn)
    port = free_port()
    settings = {"database_url": dsn, "port": port, "require_key": "true", "log_format": "json"}
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MESHHOOK_", "MESHPROOF_"))
    }
    environment |= {f"MESHHOOK_{name.upper()}": str(value) for name, value in settings.items()}
    with ExitStack() as stack:
        for command in ("serve", "work"):
            stack.enter_context(running(command, environment))
        made = meshhook("key", "create", "tests", "--json", environment=environment)
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url)
        yield Deployed(url, json.loads(made)["key"], dsn, dsn.replace("user=postgres", f"user={READER}"))


def grant_reading(dsn: str) -> None:
    """What docs/concurrency/deployed.md asks for."""
    # Roles belong to the server, which other tests share.
    asyncio.run(on(dsn, f"DO $$ BEGIN CREATE ROLE {READER} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"))
    asyncio.run(on(dsn, f"GRANT USAGE ON SCHEMA meshhook TO {READER}"))
    asyncio.run(on(dsn, f"GRANT SELECT ON ALL TABLES IN SCHEMA meshhook TO {READER}"))


@contextmanager
def running(command: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the engine, while the block lasts."""
    words = [sys.executable, "-m", "meshhook", command, "--stop-with-stdin"]
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()


def meshhook(*words: str, environment: dict[str, str]) -> str:
    """What a command of the engine prints."""
    done = subprocess.run([sys.executable, "-m", "meshhook", *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while True:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, f"{url} was not ready in time"
            time.sleep(0.05)
