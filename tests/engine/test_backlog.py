"""Backlog limits of projects: counted rarely, added to at once, and nothing when there is none."""

from __future__ import annotations

import pytest
from tests.engine.conftest import DAY, Connection, FakeClock, chain, delivery, publish

from meshhook.backlog import Backlog, Backlogs
from meshhook.errors import Refusal
from meshhook.store import Store


def admitted(subject: Backlogs, project: int, count: int) -> int:
    done = 0
    for _ in range(count):
        try:
            subject.admit(project)
        except Refusal as refusal:
            assert refusal.status == 429  # noqa: PT017 - either way out is right
            assert refusal.headers == {"retry-after": "5"}  # noqa: PT017
        else:
            done += 1
    return done


class Counted:
    def __init__(self, clock: FakeClock, took_s: float = 0.0) -> None:
        self.clock, self.took_s, self.live, self.times = clock, took_s, 0, 0
        self.meanwhile = lambda: None

    async def __call__(self) -> list[Backlog]:
        self.times += 1
        self.meanwhile()
        self.clock.now += self.took_s
        return [Backlog(1, 10, self.live)]


async def test_only_what_is_left_is_let_in() -> None:
    clock = FakeClock()
    counted = Counted(clock)
    subject = Backlogs(counted, clock)
    assert admitted(subject, 1, 100) == 100  # nothing is known yet
    counted.live = 7
    await subject.look()
    assert admitted(subject, 1, 100) == 3
    assert admitted(subject, 2, 100) == 100  # no limit
    counted.live = 4
    await subject.look()
    assert admitted(subject, 1, 100) == 6


async def test_what_comes_while_it_is_counted_is_counted() -> None:
    clock = FakeClock()
    counted = Counted(clock)
    subject = Backlogs(counted, clock)
    await subject.look()
    counted.meanwhile = lambda: subject.admit(1, 4)
    await subject.look()
    assert admitted(subject, 1, 100) == 6


async def test_what_takes_long_is_done_rarely() -> None:
    clock = FakeClock()
    counted = Counted(clock, took_s=1.0)
    subject = Backlogs(counted, clock)
    for _ in range(30):
        await subject.look()
        clock.now += 1.0
    assert counted.times == 2


async def test_live_runs_are_counted_where_there_is_a_limit(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    await store.accept(0, [delivery(endpoint, number) for number in range(5)], DAY)
    assert await store.backlogs() == []
    await sql.execute("UPDATE meshhook.projects SET backlog_max = 6")
    assert await store.backlogs() == [Backlog(0, 6, 5)]


async def test_a_limit_must_be_one(sql: Connection) -> None:
    with pytest.raises(Exception, match="backlog_max"):
        await sql.execute("UPDATE meshhook.projects SET backlog_max = 0")
