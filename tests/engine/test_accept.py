"""Deliveries with one key at one moment, in one process: one of them leads, the others follow, each gets what is true of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.engine.conftest import Connection, chain, publish

from meshhook.accept import Acceptor
from meshhook.errors import Refusal
from meshhook.store import Store


def acceptor(store: Store) -> Acceptor:
    return Acceptor(store, shards=1, batch_max=100, buffer_max=100, linger_s=0.0, keep=timedelta(days=1))


async def outcome(subject: Acceptor, endpoint: int, body: bytes) -> str:
    try:
        accepted = await subject.accept(endpoint, "key", body, '{"body":null}')
    except Refusal as refusal:
        return refusal.problem
    return "again" if accepted.duplicate else "new"


async def test_who_comes_while_another_leads_shares_its_run_or_is_refused(sql: Connection, store: Store) -> None:
    endpoint, subject = await publish(sql, chain("input")), acceptor(store)
    answers = await asyncio.gather(*(outcome(subject, endpoint, body) for body in (b"a", b"a", b"b", b"a", b"b")))
    assert answers == ["new", "again", "key-reused", "again", "key-reused"]
    await subject.close()


async def test_a_refused_leader_does_not_speak_for_those_behind_it(sql: Connection, store: Store) -> None:
    """The first body is stored. Then another body leads, is refused, and the right one is behind it: it must get its run."""
    endpoint, subject = await publish(sql, chain("input")), acceptor(store)
    assert await outcome(subject, endpoint, b"a") == "new"
    answers = await asyncio.gather(*(outcome(subject, endpoint, body) for body in (b"b", b"a", b"b", b"c", b"a")))
    assert answers == ["key-reused", "again", "key-reused", "key-reused", "again"]
    await subject.close()


@pytest.mark.parametrize("published", [True, False])
async def test_what_can_not_be_stored_is_told_to_all(sql: Connection, store: Store, published: bool) -> None:
    endpoint, subject = await publish(sql, chain("input")), acceptor(store)
    if published:
        await sql.execute("DELETE FROM meshhook.endpoints")
    else:
        await sql.execute("UPDATE meshhook.workflows SET published_version_id = NULL")
    answers = await asyncio.gather(*(outcome(subject, endpoint, body) for body in (b"a", b"a", b"b")))
    assert answers == ["unknown-endpoint" if published else "not-published"] * 3
    await subject.close()
