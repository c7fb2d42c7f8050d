"""A server and a worker for the tests of the client."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from tests.api.conftest import Server
from tests.conftest import execute, in_database

from meshhook.client import Client
from meshhook.db.migrate import migrate

numbers = itertools.count(1)


@pytest.fixture(scope="session")
def client_dsn(postgres_dsn: str) -> str:
    asyncio.run(execute(postgres_dsn, "CREATE DATABASE client TEMPLATE template0"))
    dsn = in_database(postgres_dsn, "client")
    asyncio.run(migrate(dsn))
    return dsn


@pytest.fixture(scope="session")
def server(client_dsn: str) -> Iterator[Server]:
    running = Server(client_dsn)
    environment = os.environ | {"MESHHOOK_DATABASE_URL": client_dsn}
    worker = subprocess.Popen(
        [sys.executable, "-m", "meshhook", "work", "--stop-with-stdin", "--log-level", "error"],
        stdin=subprocess.PIPE,
        env=environment,
    )
    yield running
    worker.kill()
    worker.wait()
    assert worker.stdin is not None
    worker.stdin.close()
    running.end()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as made:
        yield made


@pytest.fixture
def name() -> str:
    """A name nothing else has."""
    return f"client-{next(numbers)}"
