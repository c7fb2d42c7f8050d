"""Rate limits: what comes through by the clock, however many processes share a bucket, and at what price."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.conftest import Connection, FakeClock

from meshhook.errors import Refusal
from meshhook.quota import Ask, Lease, Quota
from meshhook.rate import Rates
from meshhook.store import Store

MINUTE = Quota(60, 60.0)


class Bucket:
    """The bucket in Postgres, by another hand: for what depends on the clock alone."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.tokens, self.at, self.calls = clock, None, clock.now, 0

    async def lease(self, asks: list[Ask]) -> list[Lease]:
        self.calls += 1
        (ask,) = asks
        tokens = float(ask.quota.tokens) if self.tokens is None else self.tokens
        tokens = min(ask.quota.tokens, tokens + (self.clock.now - self.at) * ask.quota.per_s)
        granted = ask.tokens if ask.tokens < 0 else float(int(min(ask.tokens, tokens)))
        self.tokens, self.at = min(ask.quota.tokens, tokens - granted), self.clock.now
        return [Lease(granted, self.tokens)]


async def admitted(rates: Rates, count: int, quota: Quota = MINUTE) -> int:
    async def one() -> int:
        try:
            await rates.take(1, quota)
        except Refusal as refusal:
            assert refusal.status == 429  # noqa: PT017 - either way out is right
            return 0
        return 1

    return sum(await asyncio.gather(*(one() for _ in range(count))))


async def test_a_burst_then_the_rate() -> None:
    clock = FakeClock()
    rates = Rates(Bucket(clock).lease, clock)
    assert await admitted(rates, 100) == 60
    clock.now += 0.9
    assert await admitted(rates, 10) == 0
    clock.now += 10
    assert await admitted(rates, 100) == 10
    clock.now += 3_600
    assert await admitted(rates, 100) == 60
    await rates.close()


async def test_headers_and_the_time_to_come_back() -> None:
    clock = FakeClock()
    rates = Rates(Bucket(clock).lease, clock)
    standing = await rates.take(1, Quota(4, 60.0))
    assert dict(standing.headers()) == {"ratelimit-policy": '"burst";q=4;w=60', "ratelimit": '"burst";r=3;t=15'}
    assert await admitted(rates, 3, Quota(4, 60.0)) == 3
    with pytest.raises(Refusal) as caught:
        await rates.take(1, Quota(4, 60.0))
    assert caught.value.headers == {
        "retry-after": "15",
        "ratelimit-policy": '"burst";q=4;w=60',
        "ratelimit": '"burst";r=0;t=15',
    }
    clock.now += 14.9
    assert await admitted(rates, 1, Quota(4, 60.0)) == 0
    clock.now += 0.1
    assert await admitted(rates, 1, Quota(4, 60.0)) == 1
    await rates.close()


async def test_a_delivery_costs_no_round_trip() -> None:
    clock = FakeClock()
    bucket = Bucket(clock)
    rates, quota = Rates(bucket.lease, clock), Quota(1_000, 10.0)
    for _ in range(10):
        assert await admitted(rates, 50, quota) == 50
    assert bucket.calls <= 5
    assert await admitted(rates, 2_000, quota) == 500
    before = bucket.calls
    assert await admitted(rates, 5_000, quota) == 0  # refusing costs none at all
    assert bucket.calls == before
    await rates.close()


async def test_a_batch_is_let_in_whole_and_paid_for_later() -> None:
    clock = FakeClock()
    rates = Rates(Bucket(clock).lease, clock)
    assert (await rates.take(1, MINUTE)).left == 59
    rates.charge(1, MINUTE, 149)
    assert await admitted(rates, 1) == 0
    for wait_s in (60, 30):
        clock.now += wait_s
        assert await admitted(rates, 1) == 0
    clock.now += 3
    assert await admitted(rates, 10) == 3
    await rates.close()


async def test_what_is_not_needed_goes_back() -> None:
    clock = FakeClock()
    bucket = Bucket(clock)
    idle, busy = Rates(bucket.lease, clock), Rates(bucket.lease, clock)
    quota = Quota(80, 8_000_000.0)  # fills so slowly that it does not count here
    assert await admitted(idle, 1, quota) == 1
    assert await admitted(busy, 100, quota) == 70  # the other process holds the rest of its eighth
    clock.now += 2
    await idle.give_back()
    assert await admitted(busy, 100, quota) == 0  # it looks again when by the rate a token can be there
    clock.now += 100_000
    assert await admitted(busy, 100, quota) == 10
    await idle.close()
    await busy.close()


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 2), st.integers(1, 30)), max_size=40),
    st.integers(1, 50),
    st.floats(0.5, 20),
)
def test_over_any_time_no_more_than_the_limit(
    steps: list[tuple[float, int, int]], tokens: int, window_s: float
) -> None:
    async def play() -> None:
        clock, quota = FakeClock(), Quota(tokens, window_s)
        bucket = Bucket(clock)
        processes = [Rates(bucket.lease, clock) for _ in range(3)]
        taken: list[tuple[float, int]] = []
        for wait_s, process, count in steps:
            clock.now += wait_s
            await processes[process].give_back()
            taken.append((clock.now, await admitted(processes[process], count, quota)))
            for first, (began, _) in enumerate(taken):
                held = (
                    tokens  # what processes hold over from before the window is part of the bucket that was full then
                )
                assert sum(n for _, n in taken[first:]) <= held + (clock.now - began) * quota.per_s + tokens + 1e-6
            assert sum(n for _, n in taken) <= tokens + (clock.now - taken[0][0]) * quota.per_s + 1e-6
        for rates in processes:
            await rates.close()

    asyncio.run(play())


@pytest.fixture
async def processes(store: Store) -> AsyncIterator[list[Rates]]:
    made = [Rates(store.lease_tokens) for _ in range(4)]
    yield made
    for rates in made:
        await rates.close()


async def test_processes_share_one_bucket_in_postgres(processes: list[Rates], sql: Connection) -> None:
    slow = Quota(100, 1e9)
    counts = await asyncio.gather(*(admitted(rates, 200, slow) for rates in processes))
    assert sum(counts) == 100
    await sql.execute(
        "UPDATE meshhook.rate_buckets SET filled_at = filled_at - interval '100000000 s'"
    )  # a tenth of the window
    fresh = Rates(processes[0]._asks._flush)
    assert await admitted(fresh, 100, slow) == 10
    await fresh.close()


async def test_endpoints_have_buckets_of_their_own(processes: list[Rates]) -> None:
    quota = Quota(3, 1e9)

    async def all_of(endpoint: int) -> int:
        taken = 0
        for rates in processes:
            try:
                while True:
                    await rates.take(endpoint, quota)
                    taken += 1
            except Refusal:
                pass
        return taken

    assert await asyncio.gather(*map(all_of, range(5))) == [3] * 5
