"""Rate limits of endpoints: one token bucket an endpoint, in Postgres, however many API processes there are.

A delivery takes a token out of what its process holds. When that is used up the process takes an eighth of the quota, or a tenth
of a second's worth if that is more, out of the bucket in Postgres: one statement for all who wait then, and none again until it
is used up, or, when the bucket is empty, until there is a token in it. So over any time, all processes together let in

    at most   quota + time × quota / window   (and one batch of events more: a batch is let in or refused as a whole)
    at least  that, less what other processes hold unused: they give it back when they did not need it for a second,
              and what a killed process held is lost

and a delivery costs no round trip to the database, but for quotas so small that an eighth of them is a token or two.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from meshhook.batch import Batcher, Full
from meshhook.errors import Refusal
from meshhook.quota import Ask, Lease, Quota

IDLE_S: Final = 1.0
_FORGET_S: Final = 60.0
_SHARE: Final = 8
_AHEAD_S: Final = 0.1
_ENDPOINTS_MAX: Final = 200
_WAITING_MAX: Final = 10_000


class Standing(NamedTuple):
    """Where a sender stands after a delivery: ``left`` in ``reset_s`` seconds it is the whole quota again."""

    quota: Quota
    left: int
    reset_s: int

    def headers(self) -> list[tuple[str, str]]:
        """The header fields of the IETF draft."""
        return [
            ("ratelimit-policy", self.quota.policy),
            ("ratelimit", f'"burst";r={self.left};t={self.reset_s}'),
        ]


@dataclass(slots=True)
class _Held:
    """What this process holds of one endpoint's bucket. ``tokens`` below zero are owed: a batch took them."""

    quota: Quota
    tokens: float = 0.0
    left: float = 0.0
    empty_until: float = 0.0
    used_at: float = 0.0
    waiting: int = 0
    leasing: asyncio.Future[Lease] | None = field(default=None)


class Rates:
    """The rate limits of one API process.

    Args:
        lease: asks Postgres for tokens, many endpoints at once; each endpoint stands once in a call.
        clock: monotonic seconds.
    """

    def __init__(
        self, lease: Callable[[list[Ask]], Awaitable[list[Lease]]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._held: dict[int, _Held] = {}
        self._asks: Batcher[Ask, Lease] = Batcher(lease, batch_max=_ENDPOINTS_MAX, waiting_max=_WAITING_MAX)

    async def take(self, endpoint_id: int, quota: Quota) -> Standing:
        """Let one delivery in.

        Raises:
            Refusal: 429, with the seconds after which to come back. Unavailable, OutcomeUnknown: the database did not answer.
        """
        held = self._held_of(endpoint_id, quota)
        now = self._clock()
        while held.tokens < 1 and now >= held.empty_until:
            await self._lease(endpoint_id, held)
            now = self._clock()
        held.used_at = now
        if held.tokens < 1:
            raise _too_fast(held, now)
        held.tokens -= 1
        return _standing(held)

    def charge(self, endpoint_id: int, quota: Quota, count: int) -> None:
        """Count further events of a delivery that was let in; those to come wait for it."""
        self._held_of(endpoint_id, quota).tokens -= count

    async def give_back(self) -> None:
        """Return what was not needed for a while, and forget endpoints that nobody calls; to be called about once a second."""
        now = self._clock()
        for endpoint_id, held in list(self._held.items()):
            if held.leasing is not None or now - held.used_at < IDLE_S:
                continue
            if held.tokens >= 1:
                unused, held.tokens = math.floor(held.tokens), held.tokens % 1
                await self._asks.put(Ask(endpoint_id, -unused, held.quota))
            elif held.tokens >= 0 and now - held.used_at > _FORGET_S:
                del self._held[endpoint_id]

    async def close(self) -> None:
        """Ask for nothing more."""
        await self._asks.close()

    def _held_of(self, endpoint_id: int, quota: Quota) -> _Held:
        held = self._held.get(endpoint_id)
        if held is None or held.quota != quota:
            held = self._held[endpoint_id] = _Held(quota)
        return held

    async def _lease(self, endpoint_id: int, held: _Held) -> None:
        """Get more tokens, together with everybody who waits for this endpoint's."""
        held.waiting += 1
        try:
            if held.leasing is None:
                held.leasing = asyncio.ensure_future(self._ask(endpoint_id, held))
            await asyncio.shield(held.leasing)
        finally:
            held.waiting -= 1

    async def _ask(self, endpoint_id: int, held: _Held) -> Lease:
        try:
            await asyncio.sleep(0)  # whoever came at the same moment is counted
            share = max(held.quota.tokens / _SHARE, held.quota.per_s * _AHEAD_S, held.waiting)
            wanted = math.ceil(min(held.quota.tokens, share) - min(0.0, held.tokens))
            try:
                lease = await self._asks.put(Ask(endpoint_id, wanted, held.quota))
            except Full:
                lease = Lease(0, 0)
            held.tokens += lease.granted
            held.left = lease.left
            if held.tokens < 1:
                # Not longer than a bucket takes to fill: what it does not hold can't be taken out of it later.
                missing = min(held.quota.tokens, 1 - held.tokens - lease.left)
                held.empty_until = self._clock() + max(0.001, missing / held.quota.per_s)
            return lease
        finally:
            held.leasing = None


def _standing(held: _Held) -> Standing:
    left = max(0.0, held.tokens + held.left)
    return Standing(held.quota, int(left), math.ceil((held.quota.tokens - left) / held.quota.per_s))


def _too_fast(held: _Held, now: float) -> Refusal:
    retry_after_s = max(1, math.ceil(held.empty_until - now))
    standing = Standing(held.quota, 0, retry_after_s)
    return Refusal(
        429,
        "rate-limited",
        "Too many deliveries for this endpoint",
        f"This endpoint takes {held.quota.tokens:,} deliveries in {held.quota.window_s:g} s. Nothing was stored; send again in "
        f"{retry_after_s} s.",
        headers={"retry-after": str(retry_after_s), **dict(standing.headers())},
    )
