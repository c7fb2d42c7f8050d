"""Which project an API key opens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from meshhook import keys
from meshhook.api.room import Room
from meshhook.db.connect import Database
from meshhook.errors import Refusal, Unavailable
from meshhook.keys import Holder

_FRESH_S: Final = 2.0
"""A key that was revoked opens nothing after this time."""

_STALE_S: Final = 600.0
"""While the database is away, a key that was good a while ago still is: metrics matter most then, and data can't be read."""

_KNOWN_MAX: Final = 1_000


class Keyring:
    """Looks up keys, and remembers the good ones for a moment. ``in_force``: nobody gets in without one."""

    def __init__(
        self, database: Database, room: Room, *, in_force: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._room = room
        self._clock = clock
        self._known: dict[bytes, tuple[float, Holder]] = {}
        self.in_force = in_force

    async def holder_of(self, authorization: str | None) -> Holder:
        """Whose the key in an ``Authorization`` header is, and which project it opens.

        Raises:
            Refusal: there is no key, it opens nothing, or too many wait.
            Unavailable: the database can't be asked.
        """
        hash = keys.hash_of(_key_in(authorization))
        looked_at, holder = self._known.get(hash, (float("-inf"), None))
        age_s = self._clock() - looked_at
        if holder is None or age_s > _FRESH_S:
            holder = await self._look_up(hash, holder if age_s <= _STALE_S else None)
        if holder is None:
            raise _unauthorized("This key opens nothing: it is wrong, or was revoked.")
        return holder

    async def _look_up(self, hash: bytes, before: Holder | None) -> Holder | None:
        try:
            async with self._room.taken():
                holder = await keys.holder_of_key(self._database, hash)
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


def _key_in(authorization: str | None) -> str:
    if authorization is None:
        raise _unauthorized("An API key is needed: send `Authorization: Bearer mh_…`. `meshhook key create` makes one.")
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not key.startswith(keys.PREFIX) or len(key) != keys.LENGTH:
        raise _unauthorized("This is no API key of MeshHook: send `Authorization: Bearer mh_…`.")
    return key


def _unauthorized(detail: str) -> Refusal:
    return Refusal(
        401,
        "unauthorized",
        "An API key is needed",
        detail,
        headers={"www-authenticate": 'Bearer realm="meshhook"'},
    )
