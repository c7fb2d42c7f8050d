"""Accepting deliveries that are gathered: like ``accept``, in group commits of their own."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from meshhook.accept import Accepted, key_reused, not_published, overloaded, unknown_endpoint
from meshhook.batch import Batcher, Full
from meshhook.gathering import Gathering, key_of
from meshhook.ids import make_run_id, shard_for_key
from meshhook.store import GatherOutcome, Store, ToGather

BYTES_MAX: Final = 8 * 1024 * 1024
"""Triggers in one run, together; a single delivery may have more. A worker has all of it in memory."""


class Gatherer:
    """Group commit of deliveries that are gathered, one buffer a shard.

    All deliveries of one endpoint live in one shard: so the same key is found whatever it is gathered by.

    Args:
        batch_max: deliveries a commit. buffer_max: deliveries waiting at most, a shard. linger_s: see ``Batcher``.
        keep: how long a dedupe key is remembered. note: see ``Batcher``.
        unix_ms: the wall clock, for the time in run ids.
    """

    def __init__(
        self,
        store: Store,
        *,
        shards: int,
        batch_max: int,
        buffer_max: int,
        linger_s: float,
        keep: timedelta,
        note: Callable[[int, float], None] = lambda _, __: None,
        unix_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._store = store
        self._shards = shards
        self._keep = keep
        self._unix_ms = unix_ms
        self._buffers = [
            Batcher(self._flush_to(shard), batch_max=batch_max, waiting_max=buffer_max, linger_s=linger_s, note=note)
            for shard in range(shards)
        ]

    @property
    def waiting(self) -> int:
        """Deliveries that wait for their commit."""
        return sum(len(buffer) for buffer in self._buffers)

    def by(self, gathering: Gathering) -> GathererBy:
        """Takes deliveries that are gathered in this way."""
        return GathererBy(self, gathering)

    async def accept(
        self, gathering: Gathering, endpoint_id: int, key: str | None, body: bytes, trigger: str
    ) -> Accepted:
        """Store one delivery, in a run that waits for more or in a new one; returns after its commit.

        Raises:
            Refusal: nothing was stored. Closed: shutting down. Unavailable: nothing was stored.
            OutcomeUnknown: it may have been stored.
        """
        shard = shard_for_key(endpoint_id, "", self._shards)
        delivery = ToGather(
            run_id=make_run_id(shard, self._unix_ms()),
            endpoint_id=endpoint_id,
            key=key,
            body_hash=hashlib.sha256(body).digest(),
            trigger=trigger,
            by=key_of(gathering, trigger),
            kind=gathering.kind,
            size_max=gathering.size_max,
            wait=timedelta(seconds=gathering.wait_s),
            longest=timedelta(seconds=gathering.longest_s),
        )
        try:
            outcome = self._buffers[shard].put(delivery)
        except Full:
            raise overloaded("More deliveries wait for their commit than may wait.", 1) from None
        return _accepted(await outcome)

    async def close(self) -> None:
        """Refuse what comes, and return when everything taken is committed and answered."""
        await asyncio.gather(*(buffer.close() for buffer in self._buffers))

    def _flush_to(self, shard: int) -> Callable[[list[ToGather]], asyncio.Future[list[GatherOutcome]]]:
        def flush(deliveries: list[ToGather]) -> asyncio.Future[list[GatherOutcome]]:
            return asyncio.ensure_future(self._store.gather(shard, deliveries, BYTES_MAX, self._keep))

        return flush


class GathererBy:
    """``Gatherer`` for the settings of one endpoint: takes deliveries as an ``Acceptor`` does."""

    def __init__(self, gatherer: Gatherer, gathering: Gathering) -> None:
        self._gatherer = gatherer
        self._gathering = gathering

    async def accept(
        self, endpoint_id: int, key: str | None, body: bytes, trigger: str, *, sync: bool = False
    ) -> Accepted:
        """As ``Gatherer.accept``; nobody waits for such a run (``sync``), for the settings do not allow it."""
        assert not sync
        return await self._gatherer.accept(self._gathering, endpoint_id, key, body, trigger)


def _accepted(answer: GatherOutcome) -> Accepted:
    match answer.outcome:
        case "new" | "added" | "duplicate" as outcome:
            assert answer.run_id is not None
            return Accepted(answer.run_id, duplicate=outcome == "duplicate", gathered=True)
        case "key-reused":
            raise key_reused(answer.run_id)
        case "unpublished":
            raise not_published()
        case _:
            raise unknown_endpoint()
