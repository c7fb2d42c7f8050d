"""Finished runs begun again: from the start (a replay), or from one of their steps (a resumption). Both are new runs.

A finished run never changes. What is begun again is dealt with: in the same transaction it is no dead letter any more.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

import msgspec

from meshhook import audit, history
from meshhook.db.connect import Connection, Database, Row
from meshhook.definition import parse_text
from meshhook.errors import Refusal
from meshhook.ids import make_run_id
from meshhook.model import TERMINAL
from meshhook.resuming import kept_events
from meshhook.store import RunStart, start_runs
from meshhook.trimming import is_trimmed

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_decode_raw = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode

VersionWanted = Literal["published", "same"]
_NO_KEYS: Final = timedelta(0)

_RUN: Final = """
SELECT r.status, r.version_id, w.name AS workflow, v.definition, v.test_run, first.events::text AS first_events
FROM meshhook.runs r
JOIN meshhook.workflows w ON w.id = r.workflow_id
JOIN meshhook.versions v ON v.id = r.version_id
JOIN meshhook.journal first ON first.shard = r.shard AND first.run_id = $2 AND first.seq = 1
WHERE r.shard = $1 AND r.id = $2 AND r.project_id = $3
"""
_EVENTS: Final = "SELECT events FROM meshhook.journal WHERE shard = $1 AND run_id = $2 ORDER BY seq"
_ACCEPTED: Final = "SELECT events FROM meshhook.journal WHERE shard = $1 AND run_id = $2 AND epoch = 0 ORDER BY seq"
_COPY_VERSION: Final = """
INSERT INTO meshhook.versions (workflow_id, definition, limited, priority, test_run)
SELECT v.workflow_id, v.definition, v.limited, v.priority, $2::uuid FROM meshhook.versions v WHERE v.id = $1
RETURNING id
"""
_COPY: Final = """
INSERT INTO meshhook.journal (shard, run_id, seq, epoch, at, events) VALUES ($1, $2, 2, 0, meshhook.now(), $3::json)
"""


class Beginning(NamedTuple):
    """What a run was started with: its ``trigger`` (JSON text), further members of its first event, deliveries added later."""

    trigger: str
    members: Mapping[str, Any]
    added: Sequence[Mapping[str, Any]]


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that begins another one again."""

    run_id: str
    replay_of: str


async def replay(
    database: Database,
    project_id: int,
    id: str,
    *,
    version: VersionWanted = "published",
    key: str | None = None,
    keep: timedelta = _NO_KEYS,
) -> Begun:
    """A new run with what started a finished one, of the published version or of the same. That of a test run is one, too.

    Args:
        key: within ``keep``, the same key begins one run alone.

    Raises:
        Refusal: there is no such run, it is not finished, its payload is gone, or nothing is published.
    """
    run_id, shard = history.place_of(id)
    async with database.transaction() as connection:
        begun = await replay_in(connection, shard, run_id, project_id, version=version, key=key, keep=keep)
        await audit.record(connection, project_id, "run.replay", id, {"run_id": begun.run_id, "version": version})
    return begun


async def replay_in(
    connection: Connection[Row],
    shard: int,
    run_id: UUID,
    project_id: int,
    *,
    version: VersionWanted = "published",
    key: str | None = None,
    keep: timedelta = _NO_KEYS,
) -> Begun:
    """``replay`` as part of a transaction, without its line in the audit log."""
    row = await _finished(connection, shard, run_id, project_id)
    members = {"source": "replay", "replay_of": str(run_id)}
    added = await _added(connection, shard, run_id, row)
    begun = await _start(connection, shard, run_id, project_id, row, members, version, key, keep, added)
    await _no_dead_letter(connection, shard, run_id)
    return begun


async def resume_from(database: Database, project_id: int, id: str, step: str) -> Begun:
    """A new run of the same version that takes over what a finished one had done before a step, and goes on from there.

    Raises:
        Refusal: there is no such run or step, the run is not finished or never came to the step, or its payload is gone.
    """
    run_id, shard = history.place_of(id)
    async with database.transaction() as connection:
        row = await _finished(connection, shard, run_id, project_id)
        events = [event for it in await connection.fetch(_EVENTS, shard, run_id) for event in _decode(it["events"])]
        kept = kept_events(parse_text(row["definition"]), events, step)
        _check_whole(kept)
        members = {"source": "replay", "resumes": {"run_id": str(run_id), "from": step, "kept": len(kept)}}
        taken = [*await _added(connection, shard, run_id, row), *kept]
        begun = await _start(connection, shard, run_id, project_id, row, members, "same", None, _NO_KEYS, taken)
        await _no_dead_letter(connection, shard, run_id)
        await audit.record(connection, project_id, "run.resume-from", id, {"run_id": begun.run_id, "step": step})
    return begun


async def beginning_of(connection: Connection[Row], project_id: int, id: str) -> Beginning:
    """What a run was started with, whether it has ended or not.

    Raises:
        Refusal: there is no such run, or its payload is gone.
    """
    run_id, shard = history.place_of(id)
    row = await connection.fetchrow(_RUN, shard, run_id, project_id)
    if row is None:
        raise history.unknown_run(id)
    _check_whole(_decode(row["first_events"]))
    first = _first(row)
    members = {"gathers": first["gathers"]} if "gathers" in first else {}
    return Beginning(bytes(first["trigger"]).decode(), members, await _added(connection, shard, run_id, row))


async def take_over(connection: Connection[Row], shard: int, run_id: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Let the journal of a new run go on with these events."""
    if events:
        await connection.execute(_COPY, shard, UUID(run_id), _encode(events).decode())


async def _finished(connection: Connection[Row], shard: int, run_id: UUID, project_id: int) -> Row:
    row = await connection.fetchrow(_RUN, shard, run_id, project_id)
    if row is None:
        raise history.unknown_run(str(run_id))
    if row["status"] not in TERMINAL:
        raise Refusal(
            409,
            "run-not-finished",
            "The run is not finished",
            f"The run {run_id} is {row['status']}. Wait for its end, or cancel it first.",
        )
    _check_whole(_decode(row["first_events"]))
    return row


def _check_whole(events: Iterable[Mapping[str, Any]]) -> None:
    if any(is_trimmed(event) for event in events):
        raise Refusal(
            409,
            "payload-trimmed",
            "The payloads of the run are gone",
            "What it was started with, or what its steps gave, was trimmed as the settings say. It can't be begun again.",
        )


async def _added(connection: Connection[Row], shard: int, run_id: UUID, row: Row) -> Sequence[Mapping[str, Any]]:
    """The deliveries that were gathered in a run after the first one: what begins it again begins with all of them."""
    if "gathers" not in _first(row):
        return []
    events = [event for it in await connection.fetch(_ACCEPTED, shard, run_id) for event in _decode_raw(it["events"])]
    added = [event for event in events if bytes(event["type"]) == b'"delivery.added"']
    _check_whole(added)
    return added


def _first(row: Row) -> dict[str, msgspec.Raw]:
    return _decode_raw(row["first_events"])[0]


async def _start(
    connection: Connection[Row],
    shard: int,
    run_id: UUID,
    project_id: int,
    row: Row,
    members: Mapping[str, Any],
    version: VersionWanted,
    key: str | None,
    keep: timedelta,
    taken: Sequence[Mapping[str, Any]],
) -> Begun:
    """Begin a run with the trigger of another one, and the events ``taken`` from its journal."""
    first = _first(row)
    if "gathers" in first:
        members = {**members, "gathers": first["gathers"]}
    id = make_run_id(shard, time.time_ns() // 1_000_000)
    version_id = row["version_id"] if version == "same" else None
    if row["test_run"] is not None:  # a test run has a version of its own, and never becomes another kind of run
        members = {**members, "test": True, "pinned": first["pinned"]}
        version_id = await connection.fetchval(_COPY_VERSION, row["version_id"], UUID(id))
    start = RunStart(
        run_id=id,
        project_id=project_id,
        workflow=row["workflow"],
        version_id=version_id,
        scope=f"replay/{run_id}",
        key=key,
        body_hash=hashlib.sha256(version.encode()).digest(),
        trigger=bytes(first["trigger"]).decode(),
        members=_encode(members).decode(),
    )
    (answer,) = await start_runs(connection, shard, [start], keep)
    if answer is None:
        await take_over(connection, shard, start.run_id, taken)
        return Begun(run_id=start.run_id, replay_of=str(run_id))
    if row["test_run"] is not None:
        await connection.execute("DELETE FROM meshhook.versions WHERE test_run = $1", UUID(id))
    if answer.outcome == "duplicate" and answer.run_id is not None:
        return Begun(run_id=answer.run_id, replay_of=str(run_id))
    if answer.outcome == "key-reused":
        raise Refusal(
            422,
            "key-reused",
            "The key was used for another replay",
            f"The run {answer.run_id} was begun with the same key and another version. Use a new key.",
        )
    raise Refusal(
        409,
        "not-published",
        "The workflow is not published",
        f"{row['workflow']!r} has no published version. Publish it, or replay with the version the run had.",
    )


async def _no_dead_letter(connection: Connection[Row], shard: int, run_id: UUID) -> None:
    await connection.execute("DELETE FROM meshhook.dead_letters WHERE shard = $1 AND run_id = $2", shard, run_id)
