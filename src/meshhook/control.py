"""What people and other systems do to runs that live: cancel, pause, resume, and send events to those that wait.

All of it is put into the inbox of the run (see ``sql/functions/signals.sql``) and takes effect when a worker takes it from there
into the journal: at once for a run nobody holds, within moments for one that is held.
"""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Final, Literal

import msgspec

from meshhook import audit, history
from meshhook.db.connect import Database
from meshhook.delivery import BODY_DEPTH_MAX
from meshhook.errors import Refusal
from meshhook.jsontext import deeper_than
from meshhook.outbox import Signal
from meshhook.store import NewEvent, Store, signal_in

EVENT_NAME: Final = "^[A-Za-z0-9_.:-]{1,100}$"
KEY_LENGTH_MAX: Final = 500
ID_LENGTH_MAX: Final = 200
PAYLOAD_SIZE_MAX_BYTES: Final = 1024 * 1024
_REASON_LENGTH_MAX: Final = 1_000

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode

Wish = Literal["cancel", "pause", "resume"]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A run was told something; look at its journal to see it done."""

    run_id: str
    told: Wish


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """An event was kept. ``runs`` had waited for it; others may still ask for it."""

    id: str
    runs: list[str]


async def tell(database: Database, project_id: int, id: str, wish: Wish, reason: str | None = None) -> Told:
    """Put a wish into the inbox of a run that lives.

    Raises:
        Refusal: there is no such run, or it is finished.
    """
    if reason is not None and (len(reason) > _REASON_LENGTH_MAX or "\0" in reason):
        raise _bad_request(f"reason is a text of at most {_REASON_LENGTH_MAX} characters")
    run_id, shard = history.place_of(id)
    body = _encode({"by": audit.actor()} | ({"reason": reason} if reason and wish == "cancel" else {})).decode()
    async with database.transaction() as connection:
        await history.check_known(connection, project_id, run_id)
        reached = await signal_in(connection, shard, [Signal(run_id, wish, body)])
        if not reached:
            raise Refusal(
                409,
                "run-finished",
                "The run is finished",
                f"The run {id} is finished: nothing can be done to it any more.",
            )
        await audit.record(connection, project_id, f"run.{wish}", id, {"reason": reason} if reason else None)
    await Store(database).poke(shard, reached)
    return Told(run_id=str(run_id), told=wish)


async def send_event(
    database: Database,
    project_id: int,
    *,
    name: str,
    key: str = "",
    payload: bytes = b"null",
    id: str | None = None,
    to: str | None = None,
    keep: timedelta,
) -> Sent:
    """Send an event to every run of a project that waits for its name and key, or to the run ``to`` alone.

    Args:
        payload: JSON text. id: makes it count once, however often it is sent while it is kept.

    Raises:
        Refusal: the event is none that can be sent, or there is no such run.
    """
    _check_event(name, key, payload, id)
    event_id = id or str(uuid.uuid4())
    store = Store(database)
    run_id: uuid.UUID | None = None
    shards = range(await store.shards())
    if to is not None:
        run_id, shard = history.place_of(to)
        async with database.connection() as connection:
            await history.check_known(connection, project_id, run_id)
        shards = range(shard, shard + 1)
    event = NewEvent(project_id, event_id, run_id, name, key, payload.decode())
    reached = [run for shard in shards for run in await store.send_event(shard, event, keep)]
    return Sent(id=event_id, runs=[str(run) for run in reached])


def _check_event(name: str, key: str, payload: bytes, id: str | None) -> None:
    if not re.fullmatch(EVENT_NAME, name):
        raise _bad_request("name is 1 to 100 letters, digits, '.', '_', ':' and '-'")
    if len(key) > KEY_LENGTH_MAX or "\0" in key:
        raise _bad_request(f"key is a text of at most {KEY_LENGTH_MAX} characters, without NUL")
    if id is not None and (not 1 <= len(id) <= ID_LENGTH_MAX or "\0" in id):
        raise _bad_request(f"id is a text of 1 to {ID_LENGTH_MAX} characters, without NUL")
    if len(payload) > PAYLOAD_SIZE_MAX_BYTES:
        raise Refusal(
            413, "body-too-large", "The payload is too large", f"A payload has at most {PAYLOAD_SIZE_MAX_BYTES} bytes."
        )
    try:
        _decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(
            400, "invalid-json", "The payload is no JSON", f"The payload is no valid JSON: {error}."
        ) from None
    if deeper_than(payload, BODY_DEPTH_MAX):
        raise _bad_request(f"payload is nested deeper than {BODY_DEPTH_MAX} levels")


def _bad_request(reason: str) -> Refusal:
    return Refusal(400, "bad-request", "The request has faults", f"{reason}.")
