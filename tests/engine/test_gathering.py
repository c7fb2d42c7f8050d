"""Deliveries that become one run, by a key: debounce and batch. Real deliverers and workers on a real database."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import asyncpg
import pytest
from tests.engine.conftest import DAY, Connection, chain, events_of, pool, publish, run_of
from tests.engine.processes import Running
from tests.engine.test_schedules import Clock
from tests.engine.test_worker import until_idle, worker

from meshhook import census, replaying, trimming
from meshhook.accept import Accepted
from meshhook.db.connect import Database
from meshhook.definition import parse
from meshhook.endpoint_config import parse as parse_config
from meshhook.errors import EndpointConfigError, JournalError, Refusal
from meshhook.gatherer import BYTES_MAX, Gatherer
from meshhook.gathering import BatchByKey, Debounce, Gathering
from meshhook.machine import fold
from meshhook.outbox import Signal
from meshhook.replay import divergence
from meshhook.store import Store
from meshhook.verify import differences
from meshhook.why import why

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
SECOND = timedelta(seconds=1)
ECHO = chain("input")
LAST = Debounce(key="input.k", wait_s=10)
ALL = BatchByKey(key="input.k", size_max=3, wait_s=10)


class Post:
    """A process that takes deliveries, and one that works, on one connection whose clock stands where it is put."""

    def __init__(self, database: Database, endpoint: int, shards: int = 1) -> None:
        self.database, self.endpoint, self.store = database, endpoint, Store(database)
        self.gatherer = Gatherer(self.store, shards=shards, batch_max=100, buffer_max=1_000, linger_s=0, keep=DAY)
        self.worker = worker(self.store, shards=shards)

    async def at(self, seconds: float) -> None:
        await Clock(self.database).put(NOON + seconds * SECOND)

    async def send(self, how: Gathering, body: Any, key: str | None = None) -> Accepted:
        text = json.dumps(body)
        trigger = f'{{"headers":{{"n":"{key}"}},"body":{text}}}'
        return await self.gatherer.accept(how, self.endpoint, key, text.encode(), trigger)

    async def send_all(self, how: Gathering, *bodies: Any) -> list[str]:
        """All at once, in one commit."""
        return [accepted.run_id for accepted in await asyncio.gather(*(self.send(how, body) for body in bodies))]

    async def work(self) -> None:
        await until_idle(self.worker)


@pytest.fixture
async def post(database: str, sql: Connection) -> AsyncIterator[Post]:
    endpoint = await publish(sql, ECHO)
    async with pool(database, size=1) as opened:
        made = Post(opened, endpoint)
        await made.at(0)
        yield made
        await made.gatherer.close()


async def output_of(sql: Connection, run_id: str) -> Any:
    last = (await events_of(sql, run_id))[-1]
    assert last["type"] == "run.completed", last
    return last["output"]


async def types_of(sql: Connection, run_id: str) -> list[str]:
    return [event["type"] for event in await events_of(sql, run_id)]


async def all_is_well(database: Database) -> None:
    """Every run is what its journal says, and can be repeated."""
    async for record in census.records(database):
        assert list(differences(record)) == []
        if record.finished_at is not None and record.status != "cancelled":
            assert divergence(record, parse(ECHO)) is None


async def test_debounce_starts_one_run_with_the_last_delivery(sql: Connection, post: Post) -> None:
    runs = []
    for at, body in ((0, {"n": 1, "k": "a"}), (5, {"n": 2, "k": "a"}), (14.9, {"n": 3, "k": "a"})):
        await post.at(at)
        await post.work()
        runs.append((await post.send(LAST, body)).run_id)
    assert len(set(runs)) == 1
    await post.at(24.8)  # ten seconds after the last have not passed
    await post.work()
    assert (await run_of(sql, runs[0]))["status"] == "queued"
    await post.at(24.9)
    await post.work()
    assert await output_of(sql, runs[0]) == {"n": 3, "k": "a"}
    assert (await types_of(sql, runs[0]))[:3] == ["run.accepted", "delivery.added", "delivery.added"]
    await all_is_well(post.database)


async def test_debounce_does_not_put_off_for_ever(sql: Connection, post: Post) -> None:
    how = Debounce(wait_s=10, max_wait_s=25)
    runs = []
    for at in (0, 9, 18, 24.9, 25):
        await post.at(at)
        runs.append((await post.send(how, at)).run_id)
    assert [run == runs[0] for run in runs] == [True, True, True, True, False]
    await post.work()
    assert await output_of(sql, runs[0]) == 24.9


async def test_a_batch_starts_with_all_when_it_is_full_or_old_enough(sql: Connection, post: Post) -> None:
    runs = await post.send_all(ALL, *({"n": n, "k": "a"} for n in range(5)))
    assert [run == runs[0] for run in runs] == [True, True, True, False, False]
    assert runs[3] == runs[4]
    await post.work()
    assert [item["n"] for item in await output_of(sql, runs[0])] == [0, 1, 2]
    assert (await run_of(sql, runs[3]))["status"] == "queued"
    await post.at(9.9)
    await post.work()
    assert (await post.send(ALL, {"n": 5, "k": "a"})).run_id == runs[3]  # the third: full
    await post.work()
    assert [item["n"] for item in await output_of(sql, runs[3])] == [3, 4, 5]
    alone = (await post.send(ALL, {"n": 6, "k": "a"})).run_id
    await post.at(19.9)
    await post.work()
    assert await output_of(sql, alone) == [{"n": 6, "k": "a"}]  # a list, also of one
    await all_is_well(post.database)


async def test_other_keys_and_other_endpoints_are_gathered_apart(sql: Connection, post: Post) -> None:
    other = Post(post.database, await publish(sql, ECHO, "other"))
    runs = await post.send_all(ALL, {"k": 1}, {"k": "1"}, {"k": None}, {}, {"k": 1}, {"k": "x" * 1_000})
    elsewhere = await other.send_all(ALL, {"k": 1})
    assert runs[2] == runs[3]  # no value is a value as well
    assert runs[0] == runs[4]
    assert len({*runs, *elsewhere}) == 5


async def test_a_delivery_sent_again_counts_once_and_another_body_is_refused(sql: Connection, post: Post) -> None:
    body = {"k": "a"}
    first = await post.send(ALL, body, "one")
    second, again, *_ = await asyncio.gather(*(post.send(ALL, body, "two") for _ in range(4)))
    assert (first.duplicate, second.duplicate, again.duplicate) == (False, False, True)
    assert second.run_id == again.run_id == first.run_id == (await post.send(ALL, body, "two")).run_id
    for other in ({"k": "a", "n": 2}, {"k": "elsewhere"}):  # also where it would be gathered by another key
        with pytest.raises(Refusal, match="same key") as refusal:
            await post.send(ALL, other, "two")
        assert (refusal.value.status, refusal.value.extra["run_id"]) == (422, first.run_id)
    await post.at(10)
    await post.work()
    assert await output_of(sql, first.run_id) == [body, body]
    assert (await post.send(ALL, body, "one")) == Accepted(first.run_id, duplicate=True, gathered=True)
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs") == 1
    keys = [event.get("key") for event in (await events_of(sql, first.run_id))[:2]]
    assert keys == [None, "two"]  # the first is the delivery key of the run


async def test_what_can_not_be_gathered_is_refused(sql: Connection, post: Post) -> None:
    with pytest.raises(Refusal, match="fails on this one") as refusal:
        await post.send(BatchByKey(key="sum(input)", size_max=2, wait_s=1), "text")
    assert (refusal.value.status, refusal.value.problem) == (422, "gather-key")
    await sql.execute("UPDATE meshhook.workflows SET published_version_id = NULL")
    with pytest.raises(Refusal, match="no published version"):
        await post.send(ALL, {}, "key")
    await sql.execute("DELETE FROM meshhook.endpoints")
    with pytest.raises(Refusal, match="No endpoint"):
        await post.send(ALL, {}, "key")
    for table in ("runs", "journal", "tasks", "dedupe"):
        assert await sql.fetchval(f"SELECT count(*) FROM meshhook.{table}") == 0


async def test_a_gathering_ends_early_for_another_version_or_another_kind(sql: Connection, post: Post) -> None:
    body = {"k": "a"}
    first = await post.send(ALL, body)
    await publish(sql, chain("'new'"))
    second = await post.send(ALL, body)
    third = await post.send(LAST, body)
    await post.work()
    assert [await output_of(sql, run.run_id) for run in (first, second)] == [[body], "new"]
    assert (await run_of(sql, third.run_id))["status"] == "queued"


async def test_a_gathering_holds_so_many_bytes(sql: Connection, post: Post) -> None:
    half = "x" * (BYTES_MAX // 2)
    how = BatchByKey(size_max=100, wait_s=10)
    runs = await post.send_all(how, "small", half, half, "small")
    assert [run == runs[0] for run in runs] == [True, True, False, False]
    assert runs[2] == runs[3]
    await post.work()
    assert (await run_of(sql, runs[0]))["status"] == "completed"
    assert (await run_of(sql, runs[2]))["status"] == "queued"
    large = await post.send_all(how, "y" * BYTES_MAX)  # more than there may be: alone, and at once
    await post.work()
    assert [(await run_of(sql, run))["status"] for run in (runs[2], large[0])] == ["completed", "completed"]


async def test_of_what_is_superseded_in_one_commit_only_the_hash_is_kept(sql: Connection, post: Post) -> None:
    """So a flood of large deliveries does not make a large journal, nor end the gathering."""
    bodies = [str(n) + "x" * (BYTES_MAX // 8) for n in range(20)]
    runs = await post.send_all(Debounce(wait_s=10), *bodies)
    assert len(set(runs)) == 1
    events = await events_of(sql, runs[0])
    assert len(events) == 20
    assert ["trigger" in event for event in events] == [True, *[False] * 18, True]
    await post.at(10)
    await post.work()
    assert await output_of(sql, runs[0]) == bodies[-1]


async def test_a_run_that_is_claimed_gathers_no_more(sql: Connection, post: Post, database: str) -> None:
    """Who comes while a worker has it opens the next; when that worker dies, nobody is lost and nobody is in two runs."""
    first = await post.send(LAST, {"n": 1, "k": "a"})
    await post.at(9.9)
    async with pool(database, size=1) as elsewhere:
        await Clock(elsewhere).put(NOON + 10 * SECOND)
        with suppress(ZeroDivisionError):
            async with Store(elsewhere).turn(0) as turn:
                assert [str(run.run_id) for run in await turn.claim(10)] == [first.run_id]
                second = await post.send(LAST, {"n": 2, "k": "a"})
                raise ZeroDivisionError  # the worker dies
    assert second.run_id != first.run_id
    third = await post.send(LAST, {"n": 3, "k": "a"})
    assert third.run_id == second.run_id
    await post.at(30)
    await post.work()
    assert [(await output_of(sql, run.run_id))["n"] for run in (first, second)] == [1, 3]
    await all_is_well(post.database)


@pytest.mark.parametrize("how", [LAST, ALL])
async def test_a_run_to_which_is_being_added_is_not_claimed(
    sql: Connection, post: Post, database: str, how: Gathering
) -> None:
    """Between the lock and the commit of who adds, a worker whose clock is ahead looks for work."""
    first = await post.send(how, {"n": 1, "k": "a"})
    async with pool(database, size=1) as elsewhere:
        ahead = worker(Store(elsewhere))
        adder = await asyncpg.connect(database)
        try:
            await adder.execute("SELECT set_config('meshhook.fake_now', $1, false)", (NOON + 9 * SECOND).isoformat())
            transaction = adder.transaction()
            await transaction.start()
            added = await gather_by(adder, post.endpoint, how, {"n": 2, "k": "a"})
            assert added == ("added", first.run_id)
            await Clock(elsewhere).put(NOON + 11 * SECOND)
            assert await ahead.turn(0) == 0
            await transaction.commit()
        finally:
            await adder.close()
        assert await ahead.turn(0) == (1 if how is ALL else 0)  # debounce has put it off
        await Clock(elsewhere).put(NOON + 19 * SECOND)
        await until_idle(ahead)
    output = await output_of(sql, first.run_id)
    assert output == ([{"n": 1, "k": "a"}, {"n": 2, "k": "a"}] if how is ALL else {"n": 2, "k": "a"})


async def gather_by(connection: Connection, endpoint: int, how: Gathering, body: Any) -> tuple[str, str]:
    """``gather()`` as a part of a transaction."""
    from meshhook.gathering import key_of
    from meshhook.ids import make_run_id

    trigger = json.dumps({"body": body})
    row = await connection.fetchrow(
        "SELECT * FROM meshhook.gather(0::smallint, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        [make_run_id(0, int(NOON.timestamp() * 1000))], [endpoint], [None], [b"h"], [trigger], [key_of(how, trigger)],
        [how.kind], [how.size_max], [timedelta(seconds=how.wait_s)], [timedelta(seconds=how.longest_s)], BYTES_MAX, DAY,
    )  # fmt: skip
    return row["outcome"], str(row["run_id"])


async def test_who_dies_before_the_commit_has_stored_nothing(sql: Connection, post: Post, database: str) -> None:
    first = await post.send(ALL, {"n": 1, "k": "a"})
    dying = await asyncpg.connect(database)
    await dying.execute("SELECT set_config('meshhook.fake_now', $1, false)", NOON.isoformat())
    await dying.execute("BEGIN")
    assert await gather_by(dying, post.endpoint, ALL, {"n": 2, "k": "a"}) == ("added", first.run_id)
    waiting = asyncio.create_task(post.send(ALL, {"n": 3, "k": "a"}))  # behind it, for the same gathering
    dying.terminate()
    assert (await waiting).run_id == first.run_id
    await post.at(10)
    await post.work()
    assert [item["n"] for item in await output_of(sql, first.run_id)] == [1, 3]


async def test_to_cancel_or_to_pause_the_run_ends_the_gathering(sql: Connection, post: Post) -> None:
    for kind, status in (("cancel", "cancelled"), ("pause", "paused")):
        told, untold = (await post.send(ALL, {"k": kind})).run_id, (await post.send(ALL, {"k": "x" + kind})).run_id
        run_id = (await run_of(sql, told))["id"]
        await post.store.signal(0, [Signal(run_id, kind, "{}")])
        after = await post.send(ALL, {"k": kind})
        assert after.run_id != told
        await post.work()
        assert (await run_of(sql, told))["status"] == status
        assert (await run_of(sql, untold))["status"] == "queued"
    await all_is_well(post.database)


async def test_a_gathered_run_keeps_the_limits_of_its_workflow(sql: Connection, post: Post) -> None:
    """It gets in line when it starts, and not before: in the lane of what the run sees."""
    limits = {"settings": {"concurrency": {"limit": 1, "key": "length(input)"}, "queue_ttl_s": 5}}
    await publish(sql, ECHO | limits)
    run = (await post.send_all(ALL, {"k": "a"}, {"k": "a"}))[0]
    await post.work()
    assert (await run_of(sql, run))["status"] == "queued"
    await post.at(10)
    await post.work()
    assert await output_of(sql, run) == [{"k": "a"}] * 2
    assert await sql.fetchval("SELECT key FROM meshhook.lanes WHERE key IS NOT NULL") == "2"


@pytest.mark.parametrize("settings", [{}, {"settings": {"concurrency": {"limit": 1}}}])
async def test_why_it_does_not_run_is_told(sql: Connection, post: Post, settings: dict[str, Any]) -> None:
    await publish(sql, ECHO | settings)
    run_id = (await post.send_all(LAST, {}, {}))[0]
    (reason,) = [found for found in (await why(post.database, 0, run_id)).reasons if found.kind != "no-worker"]
    assert (reason.kind, reason.until) == ("gathering", NOON + 10 * SECOND)
    assert "2 so far" in reason.text


@pytest.mark.parametrize("how", [LAST, ALL])
async def test_what_begins_a_gathered_run_again_begins_with_all_of_it(
    sql: Connection, post: Post, how: Gathering
) -> None:
    bodies = [{"n": n, "k": "a"} for n in range(3)]
    run_id, *_ = [(await post.send(how, body)).run_id for body in bodies]
    await post.at(30)
    await post.work()
    replayed = await replaying.replay(post.database, 0, run_id, key="once", keep=DAY)
    assert await replaying.replay(post.database, 0, run_id, key="once", keep=DAY) == replayed
    resumed = await replaying.resume_from(post.database, 0, run_id, "s1")
    await post.work()
    again = await replaying.replay(post.database, 0, resumed.run_id)
    await post.work()
    for begun in (replayed, resumed, again):
        assert await output_of(sql, begun.run_id) == await output_of(sql, run_id)
    await all_is_well(post.database)


async def test_trimming_takes_every_delivery_and_leaves_the_story(sql: Connection, post: Post) -> None:
    run_id = (await post.send_all(ALL, *({"n": n, "k": "secret"} for n in range(3))))[0]
    await post.work()
    rows = await sql.fetch("SELECT events FROM meshhook.journal WHERE run_id = $1 ORDER BY seq", run_id)
    trimmed = [trimming.trimmed(row["events"]) for row in rows]
    assert "secret" not in str(trimmed)
    state = fold(event for row in trimmed for event in json.loads(row or "[]"))
    assert (state.status, state.deliveries, state.gathers) == ("completed", 3, "batch")


def test_a_delivery_comes_before_everything_else() -> None:
    first = {"type": "run.accepted", "workflow": "w", "version": 1, "version_id": 1, "trigger": {"body": 1}}
    added = {"type": "delivery.added", "key": None, "trigger": {"body": 2}}
    paused = {"type": "run.paused", "by": "me"}
    assert fold([first | {"gathers": "batch"}, added]).trigger == {"body": [1, 2]}
    assert first["trigger"] == {"body": 1}
    for journal in ([first, added], [first | {"gathers": "batch"}, paused, added]):
        with pytest.raises(JournalError, match="adds a delivery"):
            fold(journal)


async def test_gatherings_that_are_over_are_forgotten(sql: Connection, post: Post) -> None:
    await post.send_all(ALL, {"k": "a"})
    await post.at(5)
    await post.send_all(ALL, {"k": "b"})
    await post.at(10)
    await post.store.forget()
    assert await sql.fetchval("SELECT array_agg(key) FROM meshhook.gatherings") == ['"b"']


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"debounce": {"wait_s": 1}, "batch": {"size_max": 2, "wait_s": 1}}, "$.batch"),
        ({"debounce": {"wait_s": 1}, "mode": "sync"}, "$.debounce"),
        ({"debounce": {"wait_s": 5, "max_wait_s": 4}}, "$.debounce.max_wait_s"),
        ({"debounce": {"wait_s": 5, "key": "input."}}, "$.debounce.key"),
        ({"debounce": {"wait_s": 8 * 86_400}}, "$.debounce.wait_s"),
        ({"batch": {"size_max": 1_001, "wait_s": 1}}, "$.batch.size_max"),
        ({"batch": {"size_max": 10, "wait_s": 1, "keys": "a"}}, "$.batch"),
        ({"batch": {"wait_s": 1}}, "$.batch"),
    ],
)
def test_settings_that_make_no_sense_are_refused(config: dict[str, Any], place: str) -> None:
    with pytest.raises(EndpointConfigError) as error:
        parse_config(json.dumps(config))
    assert [fault.path for fault in error.value.faults] == [place]


@pytest.mark.parametrize(("seed", "shards"), [(0, 1), (1, 1), (2, 1), (3, 1), (4, 3), (5, 3)])
async def test_every_delivery_is_in_one_run_whoever_comes_between(
    sql: Connection, database: str, seed: int, shards: int
) -> None:
    """Two API processes and two workers at once, deliveries sent again, workers that die in their turn, time that jumps."""
    chance = random.Random(seed)
    how: Gathering = chance.choice(
        [Debounce(key="input.k", wait_s=3, max_wait_s=8), BatchByKey(key="input.k", size_max=4, wait_s=3)]
    )
    endpoint = await publish(sql, ECHO)
    answers: dict[str, set[str]] = {}
    bodies: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        posts = [Post(await stack.enter_async_context(pool(database, size=1)), endpoint, shards) for _ in range(4)]
        doors, workers = posts[:2], posts[2:]

        async def deliver(door: Post, key: str) -> None:
            body = bodies.setdefault(key, {"id": key, "k": chance.choice("abc")})
            answers.setdefault(key, set()).add((await door.send(how, body, key)).run_id)

        async def turn(post: Post, shard: int) -> None:
            if chance.random() < 0.7:
                await post.worker.turn(shard)
                return
            with suppress(ZeroDivisionError):
                async with post.store.turn(shard) as turn:
                    await turn.claim(10)
                    await asyncio.sleep(0)
                    raise ZeroDivisionError

        now = 0.0
        for step in range(25):
            now += chance.choice([0, 0.5, 1, 3])
            await asyncio.gather(*(post.at(now) for post in posts))
            sent = [deliver(chance.choice(doors), f"{step}.{n}") for n in range(chance.randrange(6))]
            sent += [deliver(chance.choice(doors), chance.choice(sorted(bodies))) for _ in range(2) if bodies]
            turns = [turn(post, shard) for post in workers for shard in range(shards)]
            things = sent + turns
            chance.shuffle(things)
            await asyncio.gather(*things)
        for later in (10, 20):
            await asyncio.gather(*(post.at(now + later) for post in posts))
            await workers[0].work()
        await all_is_well(posts[0].database)

    assert all(len(runs) == 1 for runs in answers.values())  # who sends again is told the same
    found: Counter[str] = Counter()
    for row in await sql.fetch("SELECT id, status, delivery_key FROM meshhook.runs"):
        events = await events_of(sql, str(row["id"]))
        keys = [row["delivery_key"], *(event["key"] for event in events if event["type"] == "delivery.added")]
        found.update(keys)
        assert row["status"] == "completed"
        assert all(answers[key] == {str(row["id"])} for key in keys)
        assert len({bodies[key]["k"] for key in keys}) == 1
        seen = [bodies[key] for key in keys]
        assert events[-1]["output"] == (seen if how.kind == "batch" else seen[-1])
        assert how.kind == "debounce" or len(keys) <= how.size_max
    assert found == dict.fromkeys(bodies, 1)
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs") < len(bodies)


async def test_through_two_api_processes(database: str, sql: Connection) -> None:
    for path, config in (
        ("all", {"batch": {"key": "input.k", "size_max": 40, "wait_s": 3600}}),
        ("last", {"debounce": {"wait_s": 0.1}, "cloudevents": {"batch": True}}),
    ):
        await publish(sql, ECHO, path)
        await sql.execute("UPDATE meshhook.endpoints SET config = $2 WHERE path = $1", path, json.dumps(config))
    async with (
        Running("serve", database) as one,
        Running("serve", database) as two,
        Running("work", database),
        aiohttp.ClientSession() as http,
    ):

        async def send(server: Running, n: int) -> dict[str, Any]:
            headers = {"idempotency-key": str(n // 2)}  # each twice: once to each process
            async with http.post(f"{server.url}/hooks/all", json={"k": 1, "n": n // 2}, headers=headers) as answer:
                assert answer.status == 202
                return await answer.json()

        answers = await asyncio.gather(*(send(two if n % 2 else one, n) for n in range(80)))
        assert len({answer["run_id"] for answer in answers}) == 1
        assert all(answer["gathered"] for answer in answers)
        assert sum(answer["duplicate"] for answer in answers) == 40
        run_id = answers[0]["run_id"]

        async def ended() -> bool:
            return bool(await sql.fetchval("SELECT finished_at IS NOT NULL FROM meshhook.runs WHERE id = $1", run_id))

        await one.until(ended)
        assert sorted(item["n"] for item in await output_of(sql, run_id)) == list(range(40))

        events = [{"specversion": "1.0", "id": str(n), "source": "s", "type": "t", "data": n} for n in range(5)]
        headers = {"content-type": "application/cloudevents-batch+json"}
        async with http.post(f"{two.url}/hooks/last", data=json.dumps(events), headers=headers) as answer:
            items = (await answer.json())["items"]
        assert len({item["run_id"] for item in items}) == 1
        run_id = items[0]["run_id"]
        await one.until(ended)
        assert await output_of(sql, run_id) == 4
