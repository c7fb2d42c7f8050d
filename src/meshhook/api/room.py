"""How many calls of the API may use the database at once: webhooks have the first claim on the connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from meshhook.accept import overloaded

_WAITING_MAX: Final = 200


class Room:
    """Room for ``size`` calls at once; some more may wait for it."""

    def __init__(self, size: int) -> None:
        self._free = asyncio.Semaphore(size)
        self._waiting = 0

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """A place, for as long as the block lasts. Nothing that depends on the caller may be waited for in it.

        Raises:
            Refusal: too many wait already.
        """
        if self._waiting >= _WAITING_MAX:
            raise overloaded("Too many calls of the API wait already.", 1)
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._free.release()
