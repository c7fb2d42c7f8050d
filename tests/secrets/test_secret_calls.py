"""Calls with secrets through the worker: what is sent, what is journaled, and what happens when a secret can't be had."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine.conftest import events_of, run_of
from tests.engine.test_calls import World, accept, rounds
from tests.engine.test_worker import worker
from tests.secrets.conftest import Connection

from meshhook.data_keys import Keychain
from meshhook.db.connect import Database
from meshhook.errors import Unavailable
from meshhook.key_source import KeySource
from meshhook.model import CallError, Response
from meshhook.secret_calls import SecretCalls
from meshhook.secret_catalog import set_secret
from meshhook.store import Store
from meshhook.vault import Vault

VALUE = b"the-canary-value"


def calling(**config: Any) -> dict[str, Any]:
    config = {
        "url": "http://x.example/",
        "headers": {"x-key": "{{ secrets.TOKEN }}"},
        "retry": {"backoff_s": 0},
    } | config
    return {
        "nodes": [{"id": "call", "type": "http_call", "config": config}],
        "edges": [{"from": "trigger", "to": "call"}],
    }


async def run(sql: Connection, db: Database, vault: Vault, world: World, status: str) -> list[dict[str, Any]]:
    """The journal of a run of ``calling`` that ends in ``status``."""
    store = Store(db)
    (run_id,) = await accept(sql, store, calling())
    calls = SecretCalls(vault, store.project_of_version, world.send)
    await rounds(worker(store, send=world.send, send_secretly=calls.send), sql, run_id, status)
    assert (await run_of(sql, run_id))["status"] == status
    return await events_of(sql, run_id)


async def test_the_value_is_sent_and_not_journaled(
    db: Database, sql: Connection, keychain: Keychain, vault: Vault
) -> None:
    await set_secret(db, keychain, 0, "TOKEN", VALUE)
    world = World(Response(200, {"x-echo": VALUE.decode()}, {"echo": [VALUE.decode()]}))
    events = await run(sql, db, vault, world, "completed")
    assert world.requests[0][0].headers["x-key"] == VALUE.decode()
    assert VALUE.decode() not in str(events) + repr(world.requests[0][0])
    assert next(event for event in events if event["type"] == "step.completed")["output"]["body"] == {
        "echo": ["[secret TOKEN]"]
    }


async def test_an_unknown_secret_fails_the_call_unsent_and_at_once(db: Database, sql: Connection, vault: Vault) -> None:
    world = World(Response(200, {}, None))
    events = await run(sql, db, vault, world, "failed")
    assert world.requests == []
    failed = [event for event in events if event["type"] == "call.failed"]
    assert [(event["attempt"], event["sent"], event["error"]["type"]) for event in failed] == [(1, "no", "secret")]
    assert "There is no secret 'TOKEN' in this project" in failed[0]["error"]["reason"]


async def test_a_vault_that_can_not_be_read_for_a_while_costs_an_attempt(
    db: Database, sql: Connection, keychain: Keychain, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    await set_secret(db, keychain, 0, "TOKEN", VALUE)
    reveal, failures = vault.reveal, [Unavailable("the database can't be reached")]

    async def fails_once(*arguments: Any) -> dict[str, bytes]:
        if failures:
            raise failures.pop()
        return await reveal(*arguments)

    monkeypatch.setattr(vault, "reveal", fails_once)
    world = World(Response(200, {}, None))
    events = await run(sql, db, vault, world, "completed")
    failed = [event for event in events if event["type"] == "call.failed"]
    assert [(event["attempt"], event["sent"], event["error"]["type"]) for event in failed] == [(1, "no", "vault")]
    assert len(world.requests) == 1


async def test_a_process_without_the_key_says_so_and_sends_nothing(
    db: Database, sql: Connection, keychain: Keychain, source: KeySource
) -> None:
    await set_secret(db, keychain, 0, "TOKEN", VALUE)
    blind = Vault(db, Keychain(KeySource("file", source.place + ".missing")), actor="worker:blind")
    world = World(Response(200, {}, None))
    events = await run(sql, db, blind, world, "failed")
    assert world.requests == []
    assert "does not hold it" in events[-1]["error"]["reason"]


async def test_an_unexpected_error_is_masked(db: Database, sql: Connection, keychain: Keychain, vault: Vault) -> None:
    await set_secret(db, keychain, 0, "TOKEN", VALUE)

    class Bursting(World):
        async def send(self, request: Any, headers: dict[str, str]) -> Response | CallError:
            raise RuntimeError(f"could not send {request.headers}")

    events = await run(sql, db, vault, Bursting(), "failed")
    assert VALUE.decode() not in str(events)
    assert "[secret TOKEN]" in events[-1]["error"]["reason"]
