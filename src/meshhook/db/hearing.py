"""Notifications from Postgres. Only ever an optimisation: whoever waits for one also looks by himself now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from meshhook.db.connect import is_pooled, listen
from meshhook.errors import DatabaseError

_AGAIN_S: Final = 1.0
_AGAIN_POOLED_S: Final = 60.0


async def hear(dsn: str, channels: Mapping[str, Callable[[str], None]]) -> None:
    """Call, for each notification, what stands for its channel, with its payload, until cancelled; connects again when the
    connection is lost.

    Behind a pooler nothing would be heard: a LISTEN belongs to a session, and there is none. Then this does nothing, but
    looks again in a minute whether that is still so.
    """
    while True:
        pause_s = _AGAIN_S
        with suppress(DatabaseError):
            if await is_pooled(dsn):
                pause_s = _AGAIN_POOLED_S
            else:
                await _hear_once(dsn, channels)
        await asyncio.sleep(pause_s)


async def _hear_once(dsn: str, channels: Mapping[str, Callable[[str], None]]) -> None:
    connection = await listen(dsn, channels)
    lost = asyncio.Event()
    connection.add_termination_listener(lambda _: lost.set())
    try:
        await lost.wait()
    finally:
        connection.terminate()
