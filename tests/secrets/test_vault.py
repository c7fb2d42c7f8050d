"""The vault on a real database: set, reveal, replace, delete, tamper; and what is written about it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.secrets.conftest import Clock, Connection

from meshhook import audit, keys
from meshhook.data_keys import Keychain
from meshhook.db.connect import Database
from meshhook.errors import ConfigError, Refusal, UnknownSecret, VaultError
from meshhook.key_source import KeySource
from meshhook.sealing import SealingKey
from meshhook.secret_catalog import delete_secret, secrets, set_secret
from meshhook.vault import Vault


async def test_a_secret_is_sealed_in_the_database_and_revealed_by_the_vault(
    db: Database, sql: Connection, keychain: Keychain, vault: Vault
) -> None:
    made = await set_secret(db, keychain, 0, "token", b"correct horse")
    assert (made.version, made.previous_until) == (1, None)
    assert await vault.reveal(0, ["token"]) == {"token": b"correct horse"}
    stored = await sql.fetch("SELECT s::text, k::text FROM meshhook.secrets s, meshhook.data_keys k")
    assert b"correct horse".hex() not in str(stored)


async def test_the_value_before_stays_valid_for_a_while_and_the_one_before_that_does_not(
    db: Database, sql: Connection, keychain: Keychain, vault: Vault
) -> None:
    for value in (b"value one", b"value two", b"value three"):
        await set_secret(db, keychain, 0, "token", value, overlap=timedelta(hours=1))
    assert await vault.reveal_all(0, ["token"]) == {"token": [b"value three", b"value two"]}
    assert await vault.reveal(0, ["token"]) == {"token": b"value three"}
    (listed,) = await secrets(db, 0)
    assert listed.previous_until is not None
    assert listed.version == 3
    await sql.execute("UPDATE meshhook.secrets SET valid_until = now() WHERE version = 2")
    vault.forget()
    assert await vault.reveal_all(0, ["token"]) == {"token": [b"value three"]}
    assert (await secrets(db, 0))[0].previous_until is None


async def test_without_an_overlap_the_value_before_is_gone_at_once(
    db: Database, sql: Connection, keychain: Keychain, vault: Vault
) -> None:
    await set_secret(db, keychain, 0, "token", b"value one")
    await set_secret(db, keychain, 0, "token", b"value two", overlap=timedelta(0))
    assert await vault.reveal_all(0, ["token"]) == {"token": [b"value two"]}
    assert await sql.fetchval("SELECT count(*) FROM meshhook.secrets") == 1


async def test_an_unknown_secret_is_named_and_other_projects_have_none(
    db: Database, keychain: Keychain, vault: Vault
) -> None:
    other = await keys.save_project(db, "other")
    await set_secret(db, keychain, other, "token", b"of another")
    with pytest.raises(UnknownSecret, match="'token'") as caught:
        await vault.reveal(0, ["token"])
    assert caught.value.names == ["token"]
    for impossible in ("a\0b", "", "x" * 5000):
        with pytest.raises(UnknownSecret):
            await vault.reveal(0, [impossible])
    assert await vault.reveal(other, ["token"]) == {"token": b"of another"}


async def test_a_changed_or_deleted_secret_is_out_of_use_after_two_seconds(
    db: Database, keychain: Keychain, vault: Vault, clock: Clock
) -> None:
    await set_secret(db, keychain, 0, "token", b"value one")
    assert await vault.reveal(0, ["token"]) == {"token": b"value one"}
    await set_secret(db, keychain, 0, "token", b"value two")
    assert await vault.reveal(0, ["token"]) == {"token": b"value one"}
    clock.now += 2.0
    assert await vault.reveal(0, ["token"]) == {"token": b"value two"}
    await delete_secret(db, 0, "token")
    clock.now += 2.0
    with pytest.raises(UnknownSecret):
        await vault.reveal(0, ["token"])


async def test_a_row_that_was_moved_or_changed_does_not_open(
    db: Database, sql: Connection, keychain: Keychain, vault: Vault
) -> None:
    await set_secret(db, keychain, 0, "mine", b"value one")
    await set_secret(db, keychain, 0, "yours", b"value two")
    await sql.execute(
        "UPDATE meshhook.secrets SET sealed = (SELECT sealed FROM meshhook.secrets WHERE name = 'mine') WHERE name = 'yours'"
    )
    with pytest.raises(VaultError, match="does not open"):
        await vault.reveal(0, ["yours"])
    assert await vault.reveal(0, ["mine"]) == {"mine": b"value one"}


async def test_nothing_opens_without_the_right_key(db: Database, keychain: Keychain, source: KeySource) -> None:
    await set_secret(db, keychain, 0, "token", b"value one")
    elsewhere = KeySource("file", source.place + ".missing")
    blind = Vault(db, Keychain(elsewhere), actor="worker:blind")
    with pytest.raises(VaultError, match="does not hold it"):
        await blind.reveal(0, ["token"])
    with pytest.raises(ConfigError, match="does not hold it"):
        await blind.check()
    await Vault(db, Keychain(source), actor="worker:w2").check()
    with pytest.raises(VaultError, match="does not hold it"):
        await set_secret(db, Keychain(elsewhere), await keys.save_project(db, "other"), "token", b"value one")


async def test_a_source_that_can_not_be_read_any_more_closes_the_vault(
    db: Database, keychain: Keychain, source: KeySource
) -> None:
    await set_secret(db, keychain, 0, "token", b"value one")
    Path(source.place).chmod(0o644)
    with pytest.raises(VaultError, match="chmod 600"):
        await Vault(db, Keychain(source), actor="worker:w2").reveal(0, ["token"])


async def test_what_is_forgotten_while_it_is_read_is_handed_out_and_not_remembered(
    db: Database, keychain: Keychain, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_secret(db, keychain, 0, "token", b"value one")
    opened = vault._opened

    async def changed_meanwhile(*arguments: Any) -> bytes:
        value = await opened(*arguments)
        monkeypatch.setattr(vault, "_opened", opened)
        await set_secret(db, keychain, 0, "token", b"value two")
        vault.forget()
        return value

    monkeypatch.setattr(vault, "_opened", changed_meanwhile)
    assert await vault.reveal(0, ["token"]) == {"token": b"value one"}
    assert await vault.reveal(0, ["token"]) == {"token": b"value two"}


async def test_nothing_is_sealed_where_there_is_no_key(db: Database, sql: Connection, tmp_path: Path) -> None:
    nowhere = Keychain(KeySource("file", str(tmp_path / "missing.key")))
    with pytest.raises(VaultError, match="no key to keep secrets under"):
        await set_secret(db, nowhere, 0, "token", b"value one")
    assert await sql.fetchval("SELECT count(*) FROM meshhook.data_keys") == 0


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("1st", b"long enough", "bad-name"),
        ("a-b", b"long enough", "bad-name"),
        ("a\n", b"long enough", "bad-name"),
        ("x" * 101, b"long enough", "bad-name"),
        ("token", b"sevenby", "bad-secret"),
        ("token", b"x" * 65537, "bad-secret"),
        ("token", b"\xff" * 8, "bad-secret"),
    ],
)
async def test_what_may_not_be_a_secret_is_refused_and_not_shown(
    db: Database, keychain: Keychain, name: str, value: bytes, problem: str
) -> None:
    with pytest.raises(Refusal) as caught:
        await set_secret(db, keychain, 0, name, value)
    assert caught.value.problem == problem
    assert value.decode(errors="replace") not in str(caught.value)


async def test_many_set_the_first_secrets_at_once_under_one_data_key(
    db: Database, sql: Connection, source: KeySource, vault: Vault
) -> None:
    names = [f"s{number}" for number in range(12)]
    await asyncio.gather(*(set_secret(db, Keychain(source), 0, name, name.encode() * 8) for name in names))
    await asyncio.gather(*(set_secret(db, Keychain(source), 0, "same", f"value {n:04}".encode()) for n in range(8)))
    assert await sql.fetchval("SELECT count(*) FROM meshhook.data_keys") == 1
    assert await vault.reveal(0, names) == {name: name.encode() * 8 for name in names}
    assert [made.version for made in await secrets(db, 0) if made.name == "same"] == [8]


async def test_every_change_is_audited_and_uses_once_a_minute_and_process(
    db: Database, sql: Connection, keychain: Keychain, vault: Vault, clock: Clock
) -> None:
    with audit.acting_as("key:deploy"):
        await set_secret(db, keychain, 0, "token", b"value one")
    for _ in range(50):
        await asyncio.gather(*(vault.reveal(0, ["token"]) for _ in range(10)))
        clock.now += 1.0
    clock.now += 10.0
    await vault.reveal(0, ["token"])
    await Vault(db, keychain, actor="api:a1").reveal(0, ["token"])
    with audit.acting_as("cli:ada"):
        await delete_secret(db, 0, "token")
    told = [
        (row["actor"], row["action"], row["subject"])
        for row in await sql.fetch(
            "SELECT actor, action, subject FROM meshhook.audit_log WHERE project_id = 0 ORDER BY id"
        )
    ]
    assert told == [
        ("key:deploy", "data_key.made", "1"),
        ("key:deploy", "secret.set", "token"),
        ("worker:w1", "secret.used", "token"),
        ("worker:w1", "secret.used", "token"),
        ("api:a1", "secret.used", "token"),
        ("cli:ada", "secret.deleted", "token"),
    ]


async def test_last_use_is_listed(db: Database, keychain: Keychain, vault: Vault) -> None:
    await set_secret(db, keychain, 0, "used", b"value one")
    await set_secret(db, keychain, 0, "unused", b"value two")
    await vault.reveal(0, ["used"])
    assert {made.name: made.last_used_at is not None for made in await secrets(db, 0)} == {
        "used": True,
        "unused": False,
    }


async def test_a_use_that_can_not_be_audited_is_none(
    db: Database, sql: Connection, keychain: Keychain, vault: Vault
) -> None:
    await set_secret(db, keychain, 0, "token", b"value one")
    await sql.execute("ALTER TABLE meshhook.audit_log ADD CHECK (action <> 'secret.used') NOT VALID")
    for _ in range(2):
        with pytest.raises(asyncpg.CheckViolationError):
            await vault.reveal(0, ["token"])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meshhook.audit_log SET actor = 'x'",
        "DELETE FROM meshhook.audit_log",
        "TRUNCATE meshhook.audit_log",
        "SET meshhook.forgetting = 'on'; DELETE FROM meshhook.audit_log",  # not what is young
        "SET meshhook.forgetting = 'on'; UPDATE meshhook.audit_log SET actor = 'x'",
    ],
)
async def test_the_audit_log_is_append_only(db: Database, sql: Connection, keychain: Keychain, statement: str) -> None:
    await set_secret(db, keychain, 0, "token", b"value one")
    with pytest.raises(asyncpg.IntegrityConstraintViolationError):
        await sql.execute(statement)


async def test_a_change_that_is_rolled_back_is_not_audited(db: Database, sql: Connection, keychain: Keychain) -> None:
    async def change_and_fail() -> None:
        async with db.transaction() as connection:
            await audit.record(connection, 0, "secret.set", "token")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await change_and_fail()
    assert await sql.fetchval("SELECT count(*) FROM meshhook.audit_log") == 0


async def test_entries_come_newest_first_page_by_page_and_of_one_project(db: Database, sql: Connection) -> None:
    other = await keys.save_project(db, "other")
    async with db.transaction() as connection:
        for number in range(5):
            await audit.record(connection, 0, "secret.set", f"s{number}", {"version": number})
        await audit.record(connection, other, "secret.set", "of another")
        await audit.record(connection, None, "kek.changed", "abc")
    first = await audit.entries(db, 0, limit=4)
    assert [it.subject for it in first.items] == ["abc", "s4", "s3", "s2"]
    rest = await audit.entries(db, 0, limit=4, before=first.before)
    assert ([it.subject for it in rest.items], rest.before) == (["s1", "s0"], None)
    assert [it.subject for it in (await audit.entries(db, 0, action="kek")).items] == ["abc"]
    assert [it.detail for it in (await audit.entries(db, 0, subject="s1")).items] == [{"version": 1}]
    with pytest.raises(Refusal):
        await audit.entries(db, 0, limit=0)


def test_what_holds_values_does_not_show_them(vault: Vault) -> None:
    from meshhook.vault import _Known

    assert "secret value" not in repr(_Known(0.0, (b"secret value",)))
    assert json.dumps(repr(SealingKey(b"k" * 32))).count("kkkk") == 0
