"""The backlog of a plan: runs that are put in all at once, so that they stand while the rest of the load is sent.

The door would not let them in: whoever sends far more than is worked off is held back. So they are stored by the engine's own
`meshhook.accept`, all in one transaction, and go on record as attempts of the kind `prepared`. They are seen by the workers in one
moment, and from there on they are runs like others.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from meshproof import scenarios
from meshproof.draw import Draw
from meshproof.ledger import LineWriter
from meshproof.plan import Attempt, Plan
from meshproof.sql import statement

BATCH: Final = 1_000
SHARD: Final = 0
STORED: Final = 202


class BacklogError(RuntimeError):
    """The backlog was not stored as a whole; the message says why."""


async def put_in(plan: Plan, dsn: str, sent: Path, start_us: int) -> int:
    """Store the backlog when its time has come; `sent` is the folder of the ledger. Returns how many runs it has."""
    outcomes: list[dict[str, Any]] = []
    try:
        connection = await asyncpg.connect(dsn, server_settings={"application_name": "meshproof", "jit": "off"})
        try:
            # What takes a while at first is done beforehand.
            accept = await connection.prepare(statement("accept"))
            await asyncio.sleep(max(0.0, start_us / 1e6 + plan.prepared_at_s - time.time()))
            sent_us = time.time_ns() // 1_000
            with LineWriter(sent / "backlog.attempts.ndjson") as attempts:
                async with connection.transaction():
                    for batch in _batches(plan.prepared()):
                        outcomes += await _store(accept, plan, batch, attempts, sent_us)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError) as error:
        raise BacklogError(f"The backlog could not be put in: {error}") from error
    reply_us = time.time_ns() // 1_000
    with LineWriter(sent / "backlog.outcomes.ndjson") as told:
        for outcome in outcomes:
            told.add_json({**outcome, "sent_us": sent_us, "reply_us": reply_us})
    return len(outcomes)


async def _store(
    accept: PreparedStatement[Any], plan: Plan, batch: list[Attempt], attempts: LineWriter, sent_us: int
) -> list[dict[str, Any]]:
    """One batch, on record before it is stored; returns what is to be said of it once that is committed."""
    place = plan.place(batch[0].scenario)
    bodies = [attempt.payload(plan.seed) for attempt in batch]
    hashes = [sha256(body) for body in bodies]
    deliveries = [plan.delivery_id(attempt) for attempt in batch]
    run_ids = [_run_id(plan, attempt, sent_us // 1_000) for attempt in batch]
    for attempt, delivery, hash in zip(batch, deliveries, hashes, strict=True):
        line = {"n": attempt.n, "d": delivery, "k": attempt.kind, "s": attempt.scenario, "i": attempt.i}
        attempts.add_json({**line, "intended_us": sent_us, "hash": hash.hexdigest()})
    attempts.flush()
    triggers = [_trigger(place, body) for body in bodies]
    digests = [hash.digest() for hash in hashes]
    refused = await accept.fetch(SHARD, run_ids, place, deliveries, digests, triggers)
    if refused:
        raise BacklogError(f"{len(refused):,} runs of the backlog were refused: {refused[0]['outcome']}.")
    stored = {"outcome": "ok", "status": STORED, "problem": None, "duplicate": False, "error": None}
    return [
        {"n": attempt.n, "d": delivery, "run_id": str(run_id), **stored}
        for attempt, delivery, run_id in zip(batch, deliveries, run_ids, strict=True)
    ]


def _batches(attempts: Iterator[Attempt]) -> Iterator[list[Attempt]]:
    while batch := list(islice(attempts, BATCH)):
        yield batch


def _run_id(plan: Plan, attempt: Attempt, unix_ms: int) -> UUID:
    """A run id as the engine makes them: UUIDv7, with the shard behind the version."""
    tail = Draw(plan.seed, plan.namespace, "backlog", attempt.i).bits(62)
    return UUID(int=unix_ms << 80 | 0x7 << 76 | SHARD << 64 | 0x2 << 62 | tail)


def _trigger(place: str, body: bytes) -> str:
    """What the run of a delivery sees of it."""
    head = {"method": "POST", "path": f"/hooks/{place}", "query": {}, "headers": {}, "content_type": "application/json"}
    return f'{json.dumps(head)[:-1]},"body":{body.decode()}}}'


def is_planned(plan: Plan) -> bool:
    """Whether a plan has a backlog."""
    return scenarios.load(plan.scenario).backlog is not None
