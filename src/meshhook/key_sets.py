"""Public keys fetched from JWKS URLs: through the same guard as every outgoing call, kept a while, and fetched rarely.

Strangers decide when a delivery comes and which key it names, so a fetch is never more frequent than a set bound, whatever comes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from meshhook.errors import Refusal
from meshhook.model import CallError, Request, Response

FRESH_S: Final = 300.0
STALE_S: Final = 24 * 3600.0
PAUSE_S: Final = 10.0
_SIZE_MAX_BYTES: Final = 256 * 1024
_KNOWN_MAX: Final = 1_000

Send = Callable[[Request, Mapping[str, str]], Awaitable[Response | CallError]]


@dataclass(slots=True)
class _Known:
    """One set: its document once there was one, when that was fetched, and when a fetch was last begun."""

    document: bytes | None = None
    fetched_at: float = float("-inf")
    tried_at: float = float("-inf")
    failure: str = ""
    fetching: asyncio.Task[None] | None = None


class KeySets:
    """The key sets one process needs, by URL. A set outlives its freshness while its URL does not answer, for a day.

    Args:
        send: ``Egress.send``. clock: monotonic seconds.
    """

    def __init__(self, send: Send, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def get(self, url: str) -> bytes:
        """The JWK Set at ``url`` as JSON text.

        Raises:
            Refusal: 503: there is none, and has not been for a day.
        """
        known = self._known.get(url)
        if known is None:
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            known = self._known[url] = _Known()
        if self._clock() - known.fetched_at > FRESH_S:
            await self._fetch(url, known)
        if known.document is None or self._clock() - known.fetched_at > STALE_S:
            raise _unavailable(url, known.failure)
        return known.document

    async def renew(self, url: str) -> None:
        """Fetch the set anew, because a key was named that is not in it; not so soon after the last time."""
        if (known := self._known.get(url)) is not None:
            await self._fetch(url, known)

    async def _fetch(self, url: str, known: _Known) -> None:
        if known.fetching is None:
            if self._clock() - known.tried_at < PAUSE_S:
                return
            known.tried_at = self._clock()
            known.fetching = asyncio.create_task(self._fetch_now(url, known))
        await asyncio.shield(known.fetching)  # all who want it wait for the one fetch

    async def _fetch_now(self, url: str, known: _Known) -> None:
        try:
            request = Request(
                "GET", url, {"accept": "application/jwk-set+json, application/json"}, None, 3, 5, _SIZE_MAX_BYTES, 3
            )
            match await self._send(request, {}):
                case Response(status=200, body={"keys": list()} as document):
                    known.document, known.fetched_at = msgspec.json.encode(document), self._clock()
                case Response(status=200):
                    known.failure = "it answered with no JWK Set"
                case Response(status=status):
                    known.failure = f"it answered {status}"
                case CallError(reason=reason):
                    known.failure = reason
        finally:
            known.fetching = None


def _unavailable(url: str, failure: str) -> Refusal:
    return Refusal(
        503,
        "keys-unavailable",
        "The keys of the sender can't be fetched",
        f"The keys at {url[:200]} can't be fetched: {failure or 'no answer yet'}. Nothing was stored; send again later.",
        headers={"retry-after": str(int(PAUSE_S))},
    )
