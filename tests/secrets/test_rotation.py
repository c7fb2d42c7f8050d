"""Rotation while everything goes on: every value can be opened at every moment, by every process, and nothing is lost half-way."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from tests.secrets.conftest import Clock, Connection

from meshhook import key_rotation, keys
from meshhook.data_keys import Keychain
from meshhook.db.connect import Database
from meshhook.errors import ConfigError, VaultError
from meshhook.key_rotation import drop_old_keks, rotate_data_key, rotate_kek
from meshhook.key_source import KeySource, write_keys
from meshhook.sealing import SealingKey
from meshhook.secret_catalog import set_secret
from meshhook.vault import Vault


async def projects(db: Database, keychain: Keychain, count: int) -> list[int]:
    made = [await keys.save_project(db, f"p{number}") for number in range(count)]
    for project in made:
        await set_secret(db, keychain, project, "token", f"value of {project}".encode())
    return made


async def reveals(vault: Vault, made: list[int]) -> None:
    for project in made:
        assert await vault.reveal(project, ["token"]) == {"token": f"value of {project}".encode()}


async def test_a_key_file_gets_a_new_key_and_everything_is_wrapped_by_it(
    db: Database, sql: Connection, source: KeySource, keychain: Keychain, vault: Vault, clock: Clock
) -> None:
    made = await projects(db, keychain, 5)
    await reveals(vault, made)
    (old,) = source.load()
    done = await rotate_kek(db, Keychain(source))
    assert (done.moved, done.new_key) == (5, True)
    assert list(source.load()) == [done.key, old]
    assert {row["kek"] for row in await sql.fetch("SELECT kek FROM meshhook.data_keys")} == {done.key}
    clock.now += 60.0
    await reveals(vault, made)
    assert await drop_old_keks(db, Keychain(source)) == [old]
    assert list(source.load()) == [done.key]
    await reveals(Vault(db, Keychain(source), actor="worker:new"), made)


async def test_a_process_that_knows_only_the_old_key_goes_on_during_and_after(
    db: Database, source: KeySource, keychain: Keychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rotation, "BATCH", 1)
    made = await projects(db, keychain, 6)
    running = [Vault(db, Keychain(source), actor=f"worker:{number}") for number in range(3)]
    for vault in running:
        await vault.check()
    stop = asyncio.Event()
    rounds = 0

    async def use(vault: Vault) -> None:
        nonlocal rounds
        while not stop.is_set():
            vault.forget()
            vault._keychain._opened.clear()
            await reveals(vault, made)
            rounds += 1

    using = [asyncio.create_task(use(vault)) for vault in running]
    for _ in range(3):
        await rotate_kek(db, Keychain(source))
        await drop_old_keks(db, Keychain(source))
    before = rounds
    while rounds < before + 3 and not any(task.done() for task in using):
        await asyncio.sleep(0)
    stop.set()
    await asyncio.gather(*using)


async def test_a_rotation_that_was_interrupted_goes_on_with_the_same_key(
    db: Database, sql: Connection, source: KeySource, keychain: Keychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rotation, "BATCH", 2)
    made = await projects(db, keychain, 5)
    real, calls = key_rotation._wrap_batch, 0

    async def dies_at_the_third(*arguments: object) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return await real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(key_rotation, "_wrap_batch", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        await rotate_kek(db, Keychain(source))
    monkeypatch.setattr(key_rotation, "_wrap_batch", real)
    new, old = source.load()
    assert await sql.fetchval("SELECT count(*) FROM meshhook.data_keys WHERE kek = $1", new) == 4
    await reveals(Vault(db, Keychain(source), actor="worker:w"), made)
    with pytest.raises(ConfigError, match="1 data keys are not wrapped"):
        await drop_old_keks(db, Keychain(source))
    done = await rotate_kek(db, Keychain(source))
    assert (done.key, done.moved, done.new_key) == (new, 1, False)
    assert list(source.load()) == [new, old]


async def test_a_data_key_made_during_a_rotation_by_a_process_that_is_behind_is_wrapped_by_the_new_key(
    db: Database, sql: Connection, source: KeySource, keychain: Keychain
) -> None:
    await projects(db, keychain, 1)
    behind = Keychain(source)
    await behind.load()
    done = await rotate_kek(db, Keychain(source))
    await drop_old_keks(db, Keychain(source))
    late = await keys.save_project(db, "late")
    await set_secret(db, behind, late, "token", f"value of {late}".encode())
    assert await sql.fetchval("SELECT kek FROM meshhook.data_keys WHERE project_id = $1", late) == done.key
    await reveals(Vault(db, Keychain(source), actor="worker:w"), [late])


async def test_of_a_variable_the_first_key_is_taken_and_none_is_made(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = SealingKey.make(), SealingKey.make()
    source = KeySource("env", "KEK")
    monkeypatch.setenv("KEK", old.raw.hex())
    made = await projects(db, Keychain(source), 2)
    with pytest.raises(ConfigError, match="Put a new one before it"):
        await rotate_kek(db, Keychain(source))
    monkeypatch.setenv("KEK", f"{new.raw.hex()} {old.raw.hex()}")
    assert (await rotate_kek(db, Keychain(source))).moved == 2
    monkeypatch.setenv("KEK", new.raw.hex())
    await reveals(Vault(db, Keychain(source), actor="worker:w"), made)


async def test_a_rotation_without_an_old_key_that_is_needed_says_which(
    db: Database, source: KeySource, keychain: Keychain
) -> None:
    await projects(db, keychain, 1)
    (old,) = source.load()
    write_keys(Path(source.place), [SealingKey.make()])
    with pytest.raises(VaultError, match=old):
        await rotate_kek(db, Keychain(source))


async def test_a_new_data_key_seals_every_value_and_the_old_one_is_deleted(
    db: Database, sql: Connection, keychain: Keychain, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rotation, "BATCH", 3)
    for number in range(7):
        await set_secret(db, keychain, 0, f"s{number}", f"old value {number}".encode(), overlap=timedelta(hours=1))
        await set_secret(db, keychain, 0, f"s{number}", f"new value {number}".encode(), overlap=timedelta(hours=1))
    before = {row["sealed"] for row in await sql.fetch("SELECT sealed FROM meshhook.secrets")}
    done = await rotate_data_key(db, keychain, 0)
    assert done.moved == 14
    rows = await sql.fetch("SELECT sealed, data_key FROM meshhook.secrets")
    assert {row["data_key"] for row in rows} == {2}
    assert not before & {row["sealed"] for row in rows}
    assert await sql.fetchval("SELECT array_agg(version) FROM meshhook.data_keys") == [2]
    names = [f"s{number}" for number in range(7)]
    assert await vault.reveal_all(0, names) == {
        f"s{number}": [f"new value {number}".encode(), f"old value {number}".encode()] for number in range(7)
    }


async def test_secrets_are_set_and_used_while_data_keys_rotate(
    db: Database, source: KeySource, keychain: Keychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_rotation, "BATCH", 1)
    for number in range(6):
        await set_secret(db, keychain, 0, f"s{number}", f"value {number:04}".encode())
    vault = Vault(db, Keychain(source), actor="worker:w")

    async def set_and_use(number: int) -> None:
        name = f"s{number}"
        for turn in range(6):
            value = f"value {number:02} {turn:02}".encode()
            await set_secret(db, Keychain(source), 0, name, value)
            vault.forget()
            assert await vault.reveal(0, [name]) == {name: value}

    await asyncio.gather(
        rotate_data_key(db, Keychain(source), 0),
        rotate_data_key(db, Keychain(source), 0),
        *(set_and_use(number) for number in range(4)),
    )
    vault.forget()
    found = await vault.reveal(0, [f"s{number}" for number in range(6)])
    assert found["s0"] == b"value 00 05"
    assert found["s5"] == b"value 0005"
