"""``meshhook password``: set over standard input, removed, and never shown."""

from __future__ import annotations

import asyncio
import io
import sys

import pytest
from tests.cli.conftest import Meshhook

from meshhook import passwords, sessions
from meshhook.db.connect import Database


def stored(dsn: str) -> str | None:
    async def ask() -> str | None:
        database = Database(dsn, size=1, name="test")
        await database.connect()
        try:
            return await sessions.password_of(database, 0)
        finally:
            await database.close()

    return asyncio.run(ask())


def test_a_password_is_set_again_and_removed(
    meshhook: Meshhook, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for password in ("correct horse battery", "another pass phrase"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(f"{password}\n"))
        said = meshhook("password", "set")
        assert (said.code, password in said.out + said.err) == (0, False)
    hash = stored(database)
    assert hash is not None
    assert passwords.is_password("another pass phrase", hash)

    assert meshhook("password", "remove").code == 0
    assert stored(database) is None
    again = meshhook("password", "remove")
    assert (again.code, "meshhook password set" in again.err) == (1, True)
    assert [entry["action"] for entry in meshhook("audit", "--json", "--action", "password").json["items"]] == [
        "password.removed",
        "password.set",
        "password.set",
    ]


def test_a_short_password_is_refused_before_anything_is_done(
    meshhook: Meshhook, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    said = meshhook("password", "set")
    assert (said.code, "12 to 256 characters" in said.err) == (2, True)
    assert stored(database) is None
