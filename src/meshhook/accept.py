"""Accepting: a delivery is put into the next group commit, and answered when that commit is done."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple, TypedDict

from meshhook.batch import Batcher, Full
from meshhook.errors import Refusal
from meshhook.ids import any_shard, make_run_id, shard_for_key
from meshhook.store import Delivery, NotNew, Store

_SYNC: Final = ',"sync":true'
"""A further member of ``run.accepted``, behind the trigger: who does not want it pays nothing for it."""


class Accepted(NamedTuple):
    """The run of a delivery; ``duplicate`` when an earlier delivery with the same key made it.

    ``gathered``: the run may be that of other deliveries as well.
    """

    run_id: str
    duplicate: bool
    gathered: bool = False


class GroupCommit(TypedDict):
    """How deliveries are committed together: the arguments of an ``Acceptor``."""

    shards: int
    batch_max: int
    buffer_max: int
    linger_s: float
    keep: timedelta
    note: Callable[[int, float], None]


class Acceptor:
    """Group commit of deliveries, one buffer a shard.

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
        self._leaders: dict[tuple[int, str], tuple[Delivery, asyncio.Future[NotNew | None]]] = {}
        self._buffers = [
            Batcher(self._flush_to(shard), batch_max=batch_max, waiting_max=buffer_max, linger_s=linger_s, note=note)
            for shard in range(shards)
        ]

    @property
    def waiting(self) -> int:
        """Deliveries that wait for their commit."""
        return sum(len(buffer) for buffer in self._buffers)

    async def accept(
        self, endpoint_id: int, key: str | None, body: bytes, trigger: str, *, sync: bool = False
    ) -> Accepted:
        """Store one delivery; returns after its commit. ``sync``: somebody will wait for what the run answers.

        Raises:
            Refusal: nothing was stored. Closed: shutting down. Unavailable: nothing was stored.
            OutcomeUnknown: it may have been stored.
        """
        if sync:
            trigger += _SYNC
        if key is None:
            shard = any_shard(self._shards)
            delivery = Delivery(make_run_id(shard, self._unix_ms()), endpoint_id, None, None, trigger)
            return _accepted(delivery, await self._put(shard, delivery))
        shard = shard_for_key(endpoint_id, key, self._shards)
        body_hash = hashlib.sha256(body).digest()
        delivery = Delivery(make_run_id(shard, self._unix_ms()), endpoint_id, key, body_hash, trigger)
        return await self._accept_keyed(shard, delivery, (endpoint_id, key))

    async def close(self) -> None:
        """Refuse what comes, and return when everything taken is committed and answered."""
        await asyncio.gather(*(buffer.close() for buffer in self._buffers))

    async def _accept_keyed(self, shard: int, delivery: Delivery, place: tuple[int, str]) -> Accepted:
        """A key may stand once in a batch, so a second delivery with it waits for the first and shares its outcome."""
        while (found := self._leaders.get(place)) is not None:
            leader, future = found
            answer = await asyncio.shield(future)
            same_body = delivery.body_hash == leader.body_hash
            if answer is not None and answer.outcome == "key-reused" and not same_body:
                continue  # what is stored is not the leader's body; whether it is ours, only the database knows
            first = _accepted(leader, answer)
            if not same_body:
                raise key_reused(first.run_id)
            return Accepted(first.run_id, duplicate=True)
        return await self._lead(shard, delivery, place)

    async def _lead(self, shard: int, delivery: Delivery, place: tuple[int, str]) -> Accepted:
        future = self._put(shard, delivery)
        self._leaders[place] = (delivery, future)
        future.add_done_callback(
            lambda _: self._leaders.pop(place, None)
        )  # the first callback: before any follower wakes
        return _accepted(delivery, await future)

    def _put(self, shard: int, delivery: Delivery) -> asyncio.Future[NotNew | None]:
        try:
            return self._buffers[shard].put(delivery)
        except Full:
            raise overloaded("More deliveries wait for their commit than may wait.", 1) from None

    def _flush_to(self, shard: int) -> Callable[[list[Delivery]], asyncio.Future[list[NotNew | None]]]:
        def flush(deliveries: list[Delivery]) -> asyncio.Future[list[NotNew | None]]:
            return asyncio.ensure_future(self._store.accept(shard, deliveries, self._keep))

        return flush


def _accepted(delivery: Delivery, answer: NotNew | None) -> Accepted:
    if answer is None:
        return Accepted(delivery.run_id, duplicate=False)
    match answer.outcome:
        case "duplicate":
            assert answer.run_id is not None
            return Accepted(answer.run_id, duplicate=True)
        case "key-reused":
            raise key_reused(answer.run_id)
        case "unpublished":
            raise not_published()
        case _:
            raise unknown_endpoint()


def not_published() -> Refusal:
    """What an endpoint leads to can't be run."""
    return Refusal(
        409,
        "not-published",
        "The workflow is not published",
        "The workflow behind this endpoint has no published version: it was never published, or it was deleted. Publish or "
        "restore it, then send again.",
    )


def key_reused(run_id: str | None) -> Refusal:
    """The key of a delivery belongs to another one, which is in the run ``run_id``."""
    return Refusal(
        422,
        "key-reused",
        "The dedupe key was used with another body",
        "An earlier delivery had the same key and another body. Use a new key for new content.",
        extra={"run_id": run_id},
    )


def unknown_endpoint() -> Refusal:
    """No endpoint has this path."""
    return Refusal(404, "unknown-endpoint", "There is no such endpoint", "No endpoint has this path. Check the URL.")


def overloaded(detail: str, retry_after_s: int) -> Refusal:
    """Too much waits already; the sender should come back."""
    return Refusal(
        503,
        "overloaded",
        "Too busy at the moment",
        f"{detail} Nothing was stored; send again later.",
        headers={"retry-after": str(retry_after_s)},
    )
