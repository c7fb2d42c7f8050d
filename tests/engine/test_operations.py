"""Operations over many runs: once to each, whoever dies when; bounded, stoppable, and told in the audit log. On a real database."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine.conftest import DAY, Connection, chain, delivery, events_of, pool, publish
from tests.engine.processes import Running
from tests.engine.test_signals import WAITING
from tests.engine.test_worker import until_idle, worker

from meshhook import audit, dead_letters, operations, replaying
from meshhook.db.connect import Database
from meshhook.dead_letters import LetterFilter
from meshhook.errors import Refusal, Unavailable
from meshhook.operations import Operation, OperationWanted
from meshhook.store import Store

FAILS = chain("sum(input)")


@pytest.fixture
async def opened(database: str) -> Any:
    async with pool(database) as it:
        yield it


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches follow each other at once, so that tests need not wait."""
    monkeypatch.setattr(operations, "PER_S", 10**9)


async def accept(
    sql: Connection, store: Store, count: int, definition: dict[str, Any] = FAILS, name: str = "work", shard: int = 0
) -> list[str]:
    endpoint = await publish(sql, definition, name)
    deliveries = [delivery(endpoint, str(number), shard=shard) for number in range(count)]
    await store.accept(shard, deliveries, DAY)
    return sorted(made.run_id for made in deliveries)


async def failed(sql: Connection, store: Store, count: int, **options: Any) -> list[str]:
    run_ids = await accept(sql, store, count, **options)
    await until_idle(worker(store))
    return run_ids


async def finished(database: Database, begun: Operation, shards: int = 1) -> Operation:
    while await operations.take_batch(database, shards):
        pass
    return await operations.operation(database, 0, str(begun.id))


async def letters(sql: Connection) -> set[str]:
    return {str(row["run_id"]) for row in await sql.fetch("SELECT run_id FROM meshhook.dead_letters")}


async def replays(sql: Connection) -> list[str]:
    """Of which runs there are replays, as the journals say."""
    rows = await sql.fetch("SELECT event FROM meshhook.run_events WHERE seq = 1 AND type = 'run.accepted'")
    return sorted(event["replay_of"] for row in rows if "replay_of" in (event := json.loads(row["event"])))


async def recorded(sql: Connection) -> list[str]:
    return [row["action"] for row in await sql.fetch("SELECT action FROM meshhook.audit_log ORDER BY id")]


async def test_every_failed_run_is_replayed_once(
    sql: Connection, store: Store, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "BATCH", 10)
    run_ids = await failed(sql, store, 25)
    with audit.acting_as("key:ops"):
        begun = await operations.begin(opened, 0, OperationWanted(kind="replay"))
    assert (begun.state, begun.expected, begun.matched) == ("working", 25, 0)
    ended = await finished(opened, begun)
    assert (ended.state, ended.matched, ended.done, ended.refused) == ("done", 25, 25, 0)
    assert ended.finished_at is not None
    assert await replays(sql) == run_ids
    assert await letters(sql) == set()
    assert await recorded(sql) == ["operation.begin", *["operation.replay"] * 3, "operation.done"]
    assert await sql.fetchval("SELECT count(*) FROM meshhook.audit_log WHERE actor <> 'key:ops'") == 0


async def test_replays_fill_a_project_no_further_than_it_may_be(
    sql: Connection, store: Store, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "HELD_BACK", timedelta(0))
    await failed(sql, store, 8)
    await sql.execute("UPDATE meshhook.projects SET backlog_max = 3")
    begun = await operations.begin(opened, 0, OperationWanted(kind="replay"))
    done = []
    for _ in range(3):
        for _ in range(3):
            await operations.take_batch(opened, 1)
        done.append((await operations.operation(opened, 0, str(begun.id))).done)
        await until_idle(worker(store))
    assert done == [3, 6, 8]
    assert (await finished(opened, begun)).state == "done"


async def test_what_fails_again_is_not_replayed_again(sql: Connection, store: Store, opened: Database) -> None:
    await failed(sql, store, 3)
    begun = await operations.begin(opened, 0, OperationWanted(kind="replay"))
    assert await operations.take_batch(opened, 2)  # of the first shard; there may be more in the second
    await until_idle(worker(store))
    assert len(await letters(sql)) == 3  # of the replays
    ended = await finished(opened, begun)
    assert (ended.done, len(await replays(sql))) == (3, 3)


async def test_a_batch_that_breaks_off_leaves_nothing_and_is_done_again(
    sql: Connection, store: Store, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ids = await failed(sql, store, 5)
    begun = await operations.begin(opened, 0, OperationWanted(kind="replay"))
    whole, calls = operations.replay_in, 0

    async def breaks(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Unavailable("the connection broke")
        return await whole(*arguments, **options)

    monkeypatch.setattr(operations, "replay_in", breaks)
    with pytest.raises(Unavailable):
        await operations.take_batch(opened, 1)
    assert (await replays(sql), await letters(sql)) == ([], set(run_ids))
    ended = await finished(opened, begun)
    assert (ended.done, await replays(sql)) == (5, run_ids)


async def test_workers_at_one_moment_do_not_meet(
    sql: Connection, store: Store, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "BATCH", 3)
    monkeypatch.setattr(
        operations, "LAG_S_MAX", 3_600
    )  # nobody works the replays off here: on a slow machine they wait
    run_ids = await failed(sql, store, 40)
    begun = [await operations.begin(opened, 0, OperationWanted(kind="replay")) for _ in range(2)]

    async def work() -> None:
        working = "SELECT count(*) FROM meshhook.operations WHERE state = 'working'"
        while (await opened.read(working))[0][0]:
            await operations.take_batch(opened, 1)

    async with asyncio.timeout(60):
        await asyncio.gather(*(work() for _ in range(3)))
    ended = [await operations.operation(opened, 0, str(it.id)) for it in begun]
    assert [it.state for it in ended] == ["done", "done"]
    assert sum(it.done for it in ended) == 40
    assert await replays(sql) == run_ids


async def test_a_run_that_can_not_be_replayed_is_told_with_the_reason(
    sql: Connection, store: Store, opened: Database
) -> None:
    run_ids = await failed(sql, store, 7)
    await sql.execute("UPDATE meshhook.workflows SET published_version_id = NULL")
    ended = await finished(opened, await operations.begin(opened, 0, OperationWanted(kind="replay")))
    assert (ended.done, ended.refused) == (0, 7)
    (refused,) = ended.refusals
    assert (refused.problem, refused.count, len(refused.runs)) == ("not-published", 7, 5)
    assert "Publish it" in refused.detail
    assert await letters(sql) == set(run_ids)
    ended = await finished(opened, await operations.begin(opened, 0, OperationWanted(kind="replay", version="same")))
    assert (ended.done, ended.refused) == (7, 0)


async def test_a_filter_picks_what_is_meant(sql: Connection, store: Store, opened: Database) -> None:
    await failed(sql, store, 3)
    other = await failed(sql, store, 2, name="other", definition=chain("input", "sum(input)"))
    for filter, count in (
        (LetterFilter(), 5),
        (LetterFilter(workflow="other"), 2),
        (LetterFilter(node="s1"), 3),
        (LetterFilter(error_type="call"), 0),
        (LetterFilter(error_type="expression", node="s2"), 2),
        (LetterFilter(since=datetime.now(UTC) + timedelta(hours=1)), 0),
        (LetterFilter(until=datetime.now(UTC) - timedelta(hours=1)), 0),
    ):
        assert (await operations.preview(opened, 0, OperationWanted(kind="discard", filter=filter))).matched == count, (
            filter
        )
        assert len((await dead_letters.letters(opened, 0, filter)).items) == count, filter
    assert (await operations.preview(opened, 1, OperationWanted(kind="discard"))).matched == 0
    assert len(await letters(sql)) == 5  # looking changes nothing
    wanted = OperationWanted(kind="discard", filter=LetterFilter(workflow="other"))
    ended = await finished(opened, await operations.begin(opened, 0, wanted))
    assert (ended.done, ended.filter) == (2, wanted.filter)
    assert not await letters(sql) & set(other)
    assert len(await letters(sql)) == 3
    assert await replays(sql) == []


async def test_every_shard_is_gone_over(sql: Connection, store: Store, opened: Database) -> None:
    await sql.execute("UPDATE meshhook.settings SET value = '3' WHERE name = 'shards'")
    run_ids = await accept(sql, store, 2) + await accept(sql, store, 2, shard=2)
    await until_idle(worker(store, shards=3))
    ended = await finished(opened, await operations.begin(opened, 0, OperationWanted(kind="replay")), shards=3)
    assert (ended.expected, ended.done) == (4, 4)
    assert await replays(sql) == sorted(run_ids)


async def test_live_runs_are_cancelled_with_the_reason(
    sql: Connection, store: Store, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "BATCH", 4)
    waiting = await accept(sql, store, 6, definition=WAITING)
    await until_idle(worker(store))
    queued = await accept(sql, store, 3, definition=WAITING)
    spared = await accept(sql, store, 2, definition=WAITING, name="other")
    wanted = OperationWanted(kind="cancel", filter=LetterFilter(workflow="work"), reason="wrong price list")
    with audit.acting_as("key:ops"):
        begun = await operations.begin(opened, 0, wanted)
    ended = await finished(opened, begun)
    assert (ended.state, ended.expected, ended.done) == ("done", 9, 9)
    await until_idle(worker(store))
    for run_id in waiting + queued:
        last = (await events_of(sql, run_id))[-1]
        assert (last["type"], last["by"], last["reason"]) == ("run.cancelled", "key:ops", "wrong price list")
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs WHERE status = 'cancelled'") == 9
    assert {str(row["run_id"]) for row in await sql.fetch("SELECT run_id FROM meshhook.tasks")} == set(spared)


async def test_an_operation_is_stopped_after_its_batch(
    sql: Connection, store: Store, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "BATCH", 4)
    await failed(sql, store, 10)
    begun = await operations.begin(opened, 0, OperationWanted(kind="discard"))
    await operations.take_batch(opened, 1)
    stopped = await operations.stop(opened, 0, str(begun.id))
    assert (stopped.state, stopped.done) == ("stopped", 4)
    assert not await operations.take_batch(opened, 1)
    assert len(await letters(sql)) == 6
    assert (await operations.stop(opened, 0, str(begun.id))).state == "stopped"  # and once more changes nothing
    assert await recorded(sql) == ["operation.begin", "operation.discard", "operation.stop"]


async def test_replays_wait_while_new_work_waits(sql: Connection, store: Store, opened: Database) -> None:
    await failed(sql, store, 3)
    waiting = await accept(sql, store, 1)
    await sql.execute("UPDATE meshhook.tasks SET due_at = meshhook.now() - interval '10 s'")
    begun = await operations.begin(opened, 0, OperationWanted(kind="replay"))
    assert await operations.take_batch(opened, 1)
    assert not await operations.take_batch(opened, 1)  # not before a second has passed
    assert (await operations.operation(opened, 0, str(begun.id))).matched == 0
    await until_idle(worker(store))
    await sql.execute("UPDATE meshhook.operations SET next_at = meshhook.now()")
    assert (await finished(opened, begun)).done == 3
    assert set(waiting) <= await letters(sql)  # it failed after the operation had begun


async def test_batches_keep_their_distance(
    sql: Connection, store: Store, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "PER_S", 2)
    monkeypatch.setattr(operations, "BATCH", 4)
    await failed(sql, store, 6)
    await operations.begin(opened, 0, OperationWanted(kind="discard"))
    await operations.take_batch(opened, 1)
    row = await sql.fetchrow("SELECT next_at - meshhook.now() AS pause FROM meshhook.operations")
    assert timedelta(seconds=1) < row["pause"] <= timedelta(seconds=2)
    assert not await operations.take_batch(opened, 1)


async def test_what_makes_no_sense_is_refused(opened: Database) -> None:
    for wanted, problem in (
        (OperationWanted(kind="cancel", filter=LetterFilter(error_type="call")), "bad-request"),
        (OperationWanted(kind="replay", reason="x"), "bad-request"),
        (OperationWanted(kind="discard", version="same"), "bad-request"),
        (OperationWanted(kind="cancel", reason="\0"), "bad-request"),
        (OperationWanted(kind="replay", filter=LetterFilter(node="\0")), "bad-request"),
        (OperationWanted(kind="replay", filter=LetterFilter(since=datetime(1, 1, 1))), "bad-request"),  # noqa: DTZ001
        (OperationWanted(kind="replay", filter=LetterFilter(workflow="nowhere")), "unknown-workflow"),
    ):
        with pytest.raises(Refusal) as refused:
            await operations.begin(opened, 0, wanted)
        assert refused.value.problem == problem, wanted


async def test_only_so_many_work_at_once(opened: Database) -> None:
    for _ in range(operations.WORKING_MAX):
        await operations.begin(opened, 0, OperationWanted(kind="discard"))
    with pytest.raises(Refusal, match="too-many-operations"):
        await operations.begin(opened, 0, OperationWanted(kind="discard"))
    page = await operations.operations(opened, 0, limit=6)
    rest = await operations.operations(opened, 0, before=page.before)
    assert (len(page.items), len(rest.items), rest.before) == (6, 4, None)


async def test_a_dead_letter_tells_how_far_the_run_had_come(sql: Connection, store: Store, opened: Database) -> None:
    (run_id,) = await failed(sql, store, 1, definition=chain("input", "sum(input)"))
    found = await dead_letters.letter(opened, 0, run_id)
    assert (found.node, found.last_step, found.resume_from, found.error_type) == ("s2", "s1", "s2", "expression")
    assert found.error["expression"] == "sum(input)"
    with pytest.raises(Refusal, match="unknown-dead-letter"):
        await dead_letters.letter(opened, 1, run_id)
    await dead_letters.discard(opened, 0, run_id)
    with pytest.raises(Refusal, match="unknown-dead-letter"):
        await dead_letters.discard(opened, 0, run_id)
    assert await recorded(sql) == ["dead-letter.discard"]
    await replaying.replay(opened, 0, run_id)  # what is off the list can still be begun again


async def test_dead_letters_come_in_pages(sql: Connection, store: Store, opened: Database) -> None:
    run_ids = await failed(sql, store, 7)
    found: list[str] = []
    cursor = None
    for size in (3, 3, 1):
        page = await dead_letters.letters(opened, 0, LetterFilter(), cursor=cursor, limit=3)
        found += [str(it.run_id) for it in page.items]
        cursor = page.next
        assert len(page.items) == size
    assert (found, cursor) == (run_ids[::-1], None)


async def test_dead_letters_of_days_that_are_gone_are_forgotten(sql: Connection, store: Store) -> None:
    (kept,) = await failed(sql, store, 1)
    await sql.execute(
        "INSERT INTO meshhook.dead_letters (shard, run_id, project_id, workflow_id, failed_at, error_type, reason) "
        "SELECT 0, meshhook.uuid_floor('2020-02-01'::timestamptz + d * interval '36 h'), 0, 1, meshhook.now(), 'call', '' "
        "FROM generate_series(1, 3) d"
    )
    assert await store.forget() == 3
    assert await letters(sql) == {kept}


async def test_operations_are_forgotten_a_month_after_their_end(
    sql: Connection, store: Store, opened: Database
) -> None:
    old, new, working = [await operations.begin(opened, 0, OperationWanted(kind="discard")) for _ in range(3)]
    for it, days in ((old, 31), (new, 29)):
        await operations.stop(opened, 0, str(it.id))
        await sql.execute(
            "UPDATE meshhook.operations SET finished_at = finished_at - $2::interval WHERE id = $1", it.id, days * DAY
        )
    await store.forget()
    page = await operations.operations(opened, 0)
    assert {it.id for it in page.items} == {new.id, working.id}


async def test_a_cancellation_whose_worker_dies_before_it_says_so_is_found(
    sql: Connection, store: Store, opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the commit and the poke: what lies in the inboxes is found by the chores."""
    run_ids = await accept(sql, store, 3, definition=WAITING)
    await until_idle(worker(store))
    await operations.begin(opened, 0, OperationWanted(kind="cancel"))

    async def dies(*_: object) -> None:
        raise Unavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "poke", dies)
        with pytest.raises(Unavailable):
            await operations.take_batch(opened, 1)
    await until_idle(worker(store))
    assert await sql.fetchval("SELECT count(*) FROM meshhook.runs WHERE status = 'cancelled'") == 0
    assert await store.poke_forgotten(0, timedelta(0)) == 3
    await until_idle(worker(store))
    assert [(await events_of(sql, run_id))[-1]["type"] for run_id in run_ids] == ["run.cancelled"] * 3


async def test_a_bulk_replay_survives_its_workers(
    database: str, sql: Connection, store: Store, opened: Database
) -> None:
    """Real processes, killed as soon as so many are done: every failed run is replayed exactly once."""
    run_ids = await failed(sql, store, 350)
    begun = await operations.begin(opened, 0, OperationWanted(kind="replay"))
    for share in (100, 200):
        async with Running("work", database) as process:

            async def far_enough(share: int = share) -> bool:
                return (await operations.operation(opened, 0, str(begun.id))).done >= share

            await process.until(far_enough)
            process.kill()
            await process.ended()
    async with Running("work", database) as process:

        async def done() -> bool:
            return (await operations.operation(opened, 0, str(begun.id))).state == "done"

        await process.until(done)
    assert (await operations.operation(opened, 0, str(begun.id))).done == 350
    assert await replays(sql) == run_ids
