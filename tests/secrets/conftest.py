"""A database, a key file, and what opens secrets with both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from meshhook.data_keys import Keychain
from meshhook.db.connect import Database
from meshhook.key_source import KeySource, ensure_file
from meshhook.vault import Vault

Connection = asyncpg.Connection


class Clock:
    """Monotonic seconds that only move when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    opened = Database(database, size=4, name="test")
    await opened.connect()
    yield opened
    await opened.close()


@pytest.fixture
async def sql(database: str) -> AsyncIterator[Connection]:
    """A plain connection to look and to meddle with."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
def source(tmp_path: Path) -> KeySource:
    """A key file with one key."""
    made = KeySource("file", str(tmp_path / "secrets.key"))
    ensure_file(made)
    return made


@pytest.fixture
def keychain(source: KeySource) -> Keychain:
    return Keychain(source)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(db: Database, source: KeySource, clock: Clock) -> Vault:
    """A vault of another process than the one with ``keychain``."""
    return Vault(db, Keychain(source, clock), actor="worker:w1", clock=clock)
