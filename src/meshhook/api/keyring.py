"""Which project an API key opens, or a session."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

from meshhook import keys, sessions
from meshhook.api.room import Room
from meshhook.db.connect import Database
from meshhook.errors import Refusal, Unavailable
from meshhook.keys import Holder

_FRESH_S: Final = 2.0
"""A key that was revoked, or a session that was ended, opens nothing after this time."""

_STALE_S: Final = 600.0
"""While the database is away, a key that was good a while ago still is: metrics matter most then, and data can't be read."""

_KNOWN_MAX: Final = 1_000

LookUp = Callable[[Database, bytes], Awaitable[Holder | None]]


class Keyring:
    """Looks up keys and sessions, and remembers the good ones for a moment. ``in_force``: nobody gets in without one."""

    def __init__(
        self, database: Database, room: Room, *, in_force: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._room = room
        self._clock = clock
        self._known: dict[bytes, tuple[float, Holder]] = {}
        self.in_force = in_force

    async def holder_of(self, authorization: str) -> Holder:
        """Whose the key in an ``Authorization`` header is, and which project it opens.

        Raises:
            Refusal: it is no key, opens nothing, or too many wait.
            Unavailable: the database can't be asked.
        """
        holder = await self._holder(keys.hash_of(_key_in(authorization)), keys.holder_of_key)
        if holder is None:
            raise unauthorized("This key opens nothing: it is wrong, or was revoked.")
        return holder

    async def holder_of_session(self, token: str) -> Holder | None:
        """Whose session this is; ``None`` when it is none, or has ended.

        Raises:
            Refusal: too many wait. Unavailable: the database can't be asked.
        """
        return await self._holder(keys.hash_of(token), sessions.holder_of)

    def forget(self, token: str) -> None:
        """A session was ended here."""
        self._known.pop(keys.hash_of(token), None)

    async def _holder(self, hash: bytes, look_up: LookUp) -> Holder | None:
        looked_at, holder = self._known.get(hash, (float("-inf"), None))
        age_s = self._clock() - looked_at
        if holder is None or age_s > _FRESH_S:
            holder = await self._look_up(hash, look_up, holder if age_s <= _STALE_S else None)
        return holder

    async def _look_up(self, hash: bytes, look_up: LookUp, before: Holder | None) -> Holder | None:
        try:
            async with self._room.taken():
                holder = await look_up(self._database, hash)
        except Unavailable:
            if before is None:
                raise
            return before
        self._known.pop(hash, None)
        if holder is not None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[hash] = (self._clock(), holder)
        return holder


def _key_in(authorization: str) -> str:
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key.startswith(keys.PREFIX) or len(key) != keys.LENGTH:
        raise unauthorized("This is no API key of MeshHook: send `Authorization: Bearer mh_…`.")
    return key


def unauthorized(detail: str) -> Refusal:
    """Nobody known has called."""
    return Refusal(
        401,
        "unauthorized",
        "An API key is needed",
        detail,
        headers={"www-authenticate": 'Bearer realm="meshhook"'},
    )
