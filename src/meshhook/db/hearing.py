"""Notifications from Postgres. Only ever an optimisation: whoever waits for one also looks by himself now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from meshhook.db.connect import is_pooled, listen
from meshhook.errors import DatabaseError

_AGAIN_S: Final = 1.0
_AGAIN_POOLED_S: Final = 60.0


async def hear(dsn: str, channel: str, on_notify: Callable[[str], None]) -> None:
    """Call ``on_notify`` with the payload of each notification of a channel, until cancelled; connects
    again when the connection is lost.

    Behind a pooler nothing would be heard: a LISTEN belongs to a session, and there is none. Then this does nothing, but
    looks again in a minute whether that is still so.
    """
    while True:
        pause_s = _AGAIN_S
        with suppress(DatabaseError):
            if await is_pooled(dsn):
                pause_s = _AGAIN_POOLED_S
            else:
                await _hear_once(dsn, channel, on_notify)
        await asyncio.sleep(pause_s)


async def _hear_once(dsn: str, channel: str, on_notify: Callable[[str], None]) -> None:
    connection = await listen(dsn, channel, on_notify)
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    try:
        await lost.wait()
    finally:
        connection.terminate()
