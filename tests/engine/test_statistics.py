"""Statistics of runs: exact where there are few, estimated from a bounded look where there are many, and never for others."""

from __future__ import annotations

import asyncio
import json
import random
import statistics as reference
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine.conftest import Connection, FakeClock, chain, publish

from meshhook.briefly import Briefly
from meshhook.errors import Refusal
from meshhook.statistics import Statistician, Window, last_hours, window_of
from meshhook.store import Store

HOUR_MS = 3_600_000
NOW_MS = int(time.time() * 1000)
COUNT = "SELECT * FROM meshhook.runs_statistics(0, NULL, $1, $2, $3, false, $4)"

Made = tuple[int, str, float]
"""When a run was accepted (ms), what became of it, and after how many seconds."""


async def insert(sql: Connection, endpoint: int, made: list[Made], shard: int = 0) -> None:
    """Runs as they would have been written: in the order of their acceptance."""
    ids = [uuid.UUID(int=ms << 80 | 7 << 76 | shard << 64 | 2 << 62 | n) for n, (ms, _, _) in enumerate(made)]
    await sql.execute(
        """
        INSERT INTO meshhook.runs (shard, id, project_id, workflow_id, version_id, status, finished_at)
        SELECT $1, made.id, w.project_id, w.id, w.published_version_id, made.status::meshhook.run_status,
               CASE WHEN made.status <> 'running' THEN meshhook.uuid_time(made.id) + made.seconds * interval '1 s' END
        FROM unnest($2::uuid[], $3::text[], $4::float8[]) WITH ORDINALITY AS made (id, status, seconds, place),
             meshhook.endpoints e JOIN meshhook.workflows w ON w.id = e.workflow_id
        WHERE e.id = $5
        ORDER BY made.place
        """,
        shard,
        ids,
        [status for _, status, _ in made],
        [seconds for _, _, seconds in made],
        endpoint,
    )


def drawn(count: int, *, hours: float = 21.0, seed: int = 1) -> list[Made]:
    luck = random.Random(seed)
    times = sorted(NOW_MS - luck.randrange(int(hours * HOUR_MS)) for _ in range(count))
    statuses = luck.choices(["completed", "failed", "cancelled", "running"], [90, 6, 3, 1], k=count)
    return [(ms, status, round(luck.lognormvariate(0, 1), 3)) for ms, status in zip(times, statuses, strict=True)]


def statistician(store: Store, **options: Any) -> Statistician:
    return Statistician(store._database, clock=lambda: NOW_MS / 1000, **options)


async def test_what_is_told_is_what_there_was(sql: Connection, store: Store) -> None:
    await sql.execute("UPDATE meshhook.settings SET value = '2' WHERE name = 'shards'")
    one, two = await publish(sql, chain("input"), "one"), await publish(sql, chain("input"), "two")
    await publish(sql, chain("input"), "none")
    await sql.execute("INSERT INTO meshhook.projects (id, name) VALUES (1, 'other')")
    other = await publish(sql, chain("input"), "one", path="other", project=1)
    mine, second = drawn(2_000), drawn(500, seed=2)
    await insert(sql, one, mine)
    await insert(sql, two, second, shard=1)
    await insert(sql, other, drawn(300, seed=3))

    told = await statistician(store).over_time(0, buckets=24)
    assert (told.share, len(told.buckets), told.bucket_s) == (1.0, 24, 3600)
    for bucket in told.buckets:
        begin_ms = int(bucket.at.timestamp() * 1000)
        here = [made for made in mine + second if begin_ms <= made[0] < begin_ms + HOUR_MS]
        counts = Counter(status for _, status, _ in here)
        assert (bucket.accepted, bucket.completed) == (len(here), counts["completed"])
        assert (bucket.failed, bucket.cancelled) == (counts["failed"], counts["cancelled"])
        assert_percentiles(bucket, here)
    assert told.total.accepted == 2_500
    assert_percentiles(told.total, mine + second)
    alone = await statistician(store).over_time(0, workflow="two", buckets=10)
    assert alone.total.accepted == sum(bucket.accepted for bucket in alone.buckets) == 500
    assert_percentiles(alone.total, second)

    items = (await statistician(store).by_workflow(0)).items
    assert [(it.workflow, it.accepted) for it in items] == [("none", 0), ("one", 2_000), ("two", 500)]
    assert items[0].p95_s is None
    for it, made in ((items[1], mine), (items[2], second)):
        assert sum(it.accepted_by_bucket) == len(made)
        assert sum(it.failed_by_bucket) == it.failed == Counter(status for _, status, _ in made)["failed"]
        assert_percentiles(it, made)


def assert_percentiles(told: Any, made: list[Made]) -> None:
    took = [seconds for _, status, seconds in made if status in ("completed", "failed")]
    if len(took) < 2:  # the first or the last bucket, by the time of day
        assert told.p50_s == (pytest.approx(took[0], abs=2e-3) if took else None)
        return
    cuts = reference.quantiles(took, n=100, method="inclusive")
    expected = [cuts[49], cuts[94], cuts[98]]
    assert [told.p50_s, told.p95_s, told.p99_s] == pytest.approx(expected, abs=2e-3)


async def test_many_runs_are_estimated_by_a_look_that_does_not_grow(sql: Connection, store: Store) -> None:
    """Half of them come in bursts at full minutes, as schedules make them."""
    busy, rare = await publish(sql, chain("input"), "busy"), await publish(sql, chain("input"), "rare")
    steady, luck = drawn(20_000), random.Random(5)
    bursts = [(ms - ms % HOUR_MS + luck.randrange(200), status, took) for ms, status, took in drawn(20_000, seed=6)]
    # No burst is in the short time that is looked at below, at whatever minute of the hour this runs.
    made = sorted(steady + [one for one in bursts if one[0] < NOW_MS - 15 * 60_000])
    for begin in range(0, len(made), 1_000):  # they come mixed
        await insert(sql, busy, made[begin : begin + 900])
        await insert(sql, rare, made[begin + 900 : begin + 1_000])
    told = await statistician(store, blocks_max=100).over_time(0, buckets=24)
    assert 0.05 < told.share < 0.2
    assert told.total.accepted == pytest.approx(len(made), rel=0.1)
    assert told.total.failed == pytest.approx(len(made) * 0.06, rel=0.3)
    assert told.total.p50_s == pytest.approx(1.0, rel=0.1)
    hours = Counter(int((ms / 1000 - told.since.timestamp()) // 3600) for ms, _, _ in made)
    for index, bucket in enumerate(told.buckets[:-1]):
        assert bucket.accepted == pytest.approx(hours[index], rel=0.7, abs=1_500)  # two pages stand for so many
    items = (await statistician(store, blocks_max=300).by_workflow(0)).items
    assert [it.workflow for it in items] == ["busy", "rare"]
    assert items[1].accepted == pytest.approx(len(made) / 10, rel=0.5)

    day = datetime.fromtimestamp(NOW_MS / 1000, UTC) - timedelta(hours=24)
    pages = await reads(sql, COUNT, day, HOUR_MS, 25, 100)
    assert pages < 300
    assert await reads(sql, COUNT, day, HOUR_MS, 25, 300) < 700
    size = "SELECT sum(pg_relation_size(inhrelid))::int / 8192 FROM pg_inherits WHERE inhparent = 'meshhook.runs'::regclass"
    assert pages < await sql.fetchval(size) / 2
    last = datetime.fromtimestamp(NOW_MS / 1000, UTC) - timedelta(minutes=10)
    assert await reads(sql, COUNT, last, 60_000, 10, 1_500) < 500  # a short time reads its runs alone


async def test_workflows_and_times_that_make_no_sense(sql: Connection, store: Store) -> None:
    now = datetime.now(UTC)
    with pytest.raises(Refusal, match="unknown-workflow"):
        await statistician(store).over_time(0, workflow="nobody")
    for since, until in ((now, now - timedelta(1)), (now, now), (now - timedelta(32), now), (now.replace(year=1), now)):
        with pytest.raises(Refusal, match="bad-request"):
            await statistician(store).over_time(0, since=since, until=until)
    nothing = await statistician(store).over_time(0, since=now - timedelta(days=31), until=now, buckets=3)
    assert (nothing.share, nothing.total.accepted, len(nothing.buckets)) == (1.0, 0, 4)


async def reads(sql: Connection, query: str, *arguments: Any) -> int:
    """Pages a statement touches."""
    await sql.fetch(query, *arguments)  # the catalog is read once
    [[plan]] = await sql.fetch("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON, TIMING OFF) " + query, *arguments)
    root = json.loads(plan)[0]["Plan"]
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])


# Pure -----------------------------------------------------------------------------------------------------------------


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_buckets_stay_where_they_are() -> None:
    at = moment("2026-01-02T10:20:30").timestamp()
    assert last_hours(24, 24, at) == Window(moment("2026-01-01T11:00"), 3600, 24)
    assert last_hours(24, 24, at + 60) == last_hours(24, 24, at)
    assert last_hours(24, 24, at).until == moment("2026-01-02T11:00")
    since, until = moment("2026-01-02T10:00:10"), moment("2026-01-02T10:10:10")
    assert window_of(since, until, 10, at) == Window(moment("2026-01-02T10:00"), 60, 11)
    assert window_of(since, None, 10, at) == Window(moment("2026-01-02T09:59:58"), 122, 11)
    assert window_of(None, None, 24, at) == last_hours(24, 24, at)
    assert window_of(since, since + timedelta(seconds=0.5), 60, at) == Window(since, 1, 1)


async def test_who_asks_the_same_gets_the_same_answer() -> None:
    clock, asked = FakeClock(), []
    known: Briefly[int] = Briefly(2.0, size_max=2, clock=clock)

    async def ask(key: str) -> int:
        asked.append(key)
        await asyncio.sleep(0)
        if key == "bad":
            return 1 // 0
        return len(asked)

    assert await asyncio.gather(*(known.get("a", lambda: ask("a")) for _ in range(3))) == [1, 1, 1]
    clock.now += 1.9
    assert await known.get("a", lambda: ask("a")) == 1
    clock.now += 0.2
    assert await known.get("a", lambda: ask("a")) == 2
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await known.get("bad", lambda: ask("bad"))
    assert asked == ["a", "a", "bad", "bad"]
    for key in "bcd":
        await known.get(key, lambda key=key: ask(key))
    assert await known.get("c", lambda: ask("c")) == 6
    impatient = asyncio.ensure_future(known.get("e", lambda: ask("e")))
    patient = asyncio.ensure_future(known.get("e", lambda: ask("e")))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 8
