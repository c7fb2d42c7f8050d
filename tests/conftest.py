"""Every test that needs a database gets a real one: one embedded server a test process, a fresh database a test."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from meshhook.db.embedded import EmbeddedPostgres

MEMORY = Path("/dev/shm")
ROOM_BYTES_MIN = 8 << 30


def scratch() -> Path:
    """Where what the tests make goes: into memory if there is room, for making databases is most of what many tests do.

    Nothing here tests what a power cut leaves. Not pytest's tmp_path: as root, the server's user may not enter that one.
    """
    try:
        roomy = min(shutil.disk_usage(MEMORY).free, psutil.virtual_memory().available) >= ROOM_BYTES_MIN
        return MEMORY if roomy else Path("/tmp")
    except OSError:
        return Path("/tmp")


# Before anything asks where temporary files go; what the tests start inherits it.
os.environ["TMPDIR"] = tempfile.tempdir = str(scratch())

TEMPLATE = "meshhook_template"
numbers = itertools.count(1)


@pytest.fixture(scope="session")
def hermetic_environment() -> Iterator[None]:
    """Settings of whoever runs the tests must not reach what the tests run."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("MESHHOOK_", "PG")):
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _hermetic(hermetic_environment: None) -> None:
    """Every test runs under it."""


@pytest.fixture(scope="session")
def postgres_dsn(hermetic_environment: None) -> Iterator[str]:
    """A running server. It is temporary, so it may forget what a power cut would test, and is fast for it."""
    folder = Path(tempfile.mkdtemp(prefix="meshhook-test-"))
    options = {"fsync": "off", "max_wal_size": "1GB", "max_connections": "200"}
    with EmbeddedPostgres(folder, options, temporary=True) as server:
        yield server.dsn


@pytest.fixture
async def dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """A fresh, empty database."""
    async with fresh_database(postgres_dsn, "template0") as made:
        yield made


@pytest.fixture(scope="session")
def template(postgres_dsn: str) -> str:
    """The name of a migrated database to copy from."""
    from meshhook.db.migrate import migrate

    async def make() -> None:
        await execute(postgres_dsn, f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
        await migrate(in_database(postgres_dsn, TEMPLATE))

    asyncio.run(make())
    return TEMPLATE


@pytest.fixture
async def database(postgres_dsn: str, template: str) -> AsyncIterator[str]:
    """A fresh database with the newest schema."""
    async with fresh_database(postgres_dsn, template) as made:
        yield made


class fresh_database:  # noqa: N801 - reads as the verb it is
    def __init__(self, server: str, template: str) -> None:
        self.server, self.template, self.name = server, template, f"test_{next(numbers)}"

    async def __aenter__(self) -> str:
        await execute(self.server, f"CREATE DATABASE {self.name} TEMPLATE {self.template}")
        return in_database(self.server, self.name)

    async def __aexit__(self, *_: object) -> None:
        await execute(self.server, f"DROP DATABASE {self.name} WITH (FORCE)")


def in_database(dsn: str, name: str) -> str:
    return dsn.replace("postgresql:///meshhook?", f"postgresql:///{name}?")


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
