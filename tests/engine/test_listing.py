"""What a list of runs tells, and what it can be asked for: several states, a place, a time, and whatever somebody types."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine.conftest import DAY, Connection, chain, delivery, publish

from meshhook import control, listing, manual, replaying
from meshhook.errors import Refusal
from meshhook.ids import make_run_id, unix_ms_of
from meshhook.listing import ListedRun, RunFilter, RunPage, id_span
from meshhook.origin import Origin, origin_in
from meshhook.store import Store
from meshhook.worker import Worker

NOW_MS = int(datetime.now(UTC).timestamp() * 1000)


async def accept(store: Store, endpoint: int, *bodies: Any, key: str | None = None, ago_ms: int = 0) -> list[str]:
    """Runs a millisecond apart, the newest first."""
    made = [delivery(endpoint, body, key, ms=NOW_MS - ago_ms - place) for place, body in enumerate(bodies)]
    await store.accept(0, made, DAY)
    return [one.run_id for one in made]


async def work(store: Store) -> None:
    async def no_call(*_: object) -> Any:
        raise AssertionError("no workflow here makes calls")

    worker = Worker(store, no_call, name="w", shards=1, batch_max=500, hold_s=60.0, lease_s=30.0, poll_s=1.0)
    while await worker.turn(0):
        pass


async def listed(store: Store, project_id: int = 0, limit: int = 50, **filter: Any) -> RunPage:
    return await listing.runs(store._database, project_id, RunFilter(**filter), limit=limit)


async def ids(store: Store, **filter: Any) -> list[str]:
    return [str(run.id) for run in (await listed(store, **filter)).items]


async def one(store: Store, id: str) -> ListedRun:
    [run] = (await listed(store, q=id)).items
    return run


async def test_several_states_workflows_and_a_place(sql: Connection, store: Store) -> None:
    good = await publish(sql, chain("input"), "good")
    bad = await publish(sql, chain("sum(input)"), "bad", path="in/bad")
    done, failed = await accept(store, good, 1), await accept(store, bad, "x", ago_ms=10)
    await work(store)
    queued = await accept(store, good, 2, ago_ms=20)
    assert await ids(store) == [*done, *failed, *queued]
    assert await ids(store, statuses=["failed", "queued"]) == [*failed, *queued]
    assert await ids(store, workflows=["bad", "good"], statuses=["completed"]) == done
    assert await ids(store, endpoint="in/bad") == failed
    for wrong in ({"workflows": ["nobody"]}, {"endpoint": "nowhere"}):
        with pytest.raises(Refusal, match="unknown"):
            await listed(store, **wrong)


async def test_a_time_is_a_place_in_the_key(sql: Connection, store: Store) -> None:
    runs = await accept(store, await publish(sql, chain("input")), *range(10))

    def moment(index: int) -> datetime:
        return datetime.fromtimestamp(unix_ms_of(runs[index]) / 1000, UTC)

    assert await ids(store, since=moment(3)) == runs[:4]
    assert await ids(store, until=moment(3)) == runs[4:]
    assert await ids(store, since=moment(6), until=moment(2).replace(tzinfo=None)) == runs[3:7]
    assert await ids(store, since=moment(0) + timedelta(hours=1)) == []
    with pytest.raises(Refusal, match="years"):
        await listed(store, since=datetime(1, 1, 1, tzinfo=UTC))


async def test_an_id_is_found_by_its_beginning(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input"))
    runs = await accept(store, endpoint, *range(3))
    [other] = await accept(store, endpoint, 9, ago_ms=3 * 65_536)
    for part in (runs[1], runs[1].upper(), f" {runs[1]} ", runs[1][:24]):
        page = await listed(store, q=part)
        assert ([str(run.id) for run in page.items], page.matched, page.next) == ([runs[1]], "id", None)
    assert await ids(store, q=other[:8]) == [other]
    assert await ids(store, q=runs[1], statuses=["failed"]) == []
    assert (await listed(store, q=make_run_id(0, NOW_MS))).items == []


async def test_a_key_leads_to_its_run_however_old_that_is(sql: Connection, store: Store) -> None:
    [old] = await accept(store, await publish(sql, chain("input"), "other"), 1, key="order-77")
    page = await listed(store, q="order-77")
    assert ([str(run.id) for run in page.items], page.matched) == ([old], "key")
    assert await ids(store, q="order-77", workflows=["other"]) == [old]
    assert await ids(store, q="order-77", statuses=["failed"]) == []
    assert await ids(store, q="order-77", project_id=1) == []
    page = await listed(store, q="ORDER-")  # its beginning is looked for in the newest runs
    assert ([str(run.id) for run in page.items], page.matched) == ([old], "text")


async def test_a_text_is_found_in_what_came_in_and_what_came_out(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input.name", "join('-', [@.input, 'Done'])"))
    came = await accept(store, endpoint, {"name": 'Müller "Bob" \\ & <b>'}, {"name": "other"})
    [broken] = await accept(store, await publish(sql, chain("sum(input)"), "bad"), {"a": 1}, ago_ms=50)
    await work(store)
    assert await ids(store, q='müller "bob" \\') == came[:1]
    assert await ids(store, q="-done") == came
    assert await ids(store, q='"a": 1') == [broken]
    assert await ids(store, q="expression", statuses=["failed"]) == [broken]
    assert (await listed(store, q="nobody ever wrote this")).next is None
    for wrong in ("x" * 201, "a\0b"):
        with pytest.raises(Refusal, match="at most"):
            await listed(store, q=wrong)


async def test_looking_for_a_text_is_bounded_and_says_so(
    sql: Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = await publish(sql, chain("input"))
    runs = await accept(store, endpoint, *range(40), "needle")
    monkeypatch.setattr(listing, "SEARCHED_RUNS", 10)
    page = await listed(store, q="needle")
    assert (page.items, page.cut_short, page.matched) == ([], True, "text")
    assert page.looked_to == datetime.fromtimestamp(unix_ms_of(runs[10]) / 1000, UTC)
    looks, found = 0, list(page.items)
    while page.next is not None:
        page = await listing.runs(store._database, 0, RunFilter(q="needle"), cursor=page.next)
        found += page.items
        looks += 1
    assert ([str(run.id) for run in found], looks, page.cut_short, page.looked_to) == ([runs[-1]], 3, False, None)
    monkeypatch.setattr(listing, "SEARCHED_BYTES", 1)
    assert (await listed(store, q="needle")).looked_to == datetime.fromtimestamp(unix_ms_of(runs[0]) / 1000, UTC)


async def test_why_a_run_ended_badly_is_told_in_a_line(sql: Connection, store: Store) -> None:
    bad = await publish(sql, chain("sum(input)"))
    [failed, large] = await accept(store, bad, "x", {"large": "x" * 200_000, "n": [f"{n:x}" for n in range(50_000)]})
    [cancelled] = await accept(store, bad, 1, ago_ms=10)
    await control.tell(store._database, 0, cancelled, "cancel", "wrong price\nlist")
    await work(store)
    for id in (failed, large):
        told = (await one(store, id)).failure
        assert told is not None
        assert (told.type, told.node) == ("expression", "s1")
        assert "sum" in told.reason
    told = (await one(store, cancelled)).failure
    assert told is not None
    assert (told.type, told.reason) == ("cancelled", "wrong price")
    begun = await replaying.replay(store._database, 0, failed)  # no dead letter any more
    told = (await one(store, failed)).failure
    assert told is not None
    assert told.type == "expression"
    assert (await one(store, begun.run_id)).failure is None


async def test_what_began_a_run_is_told(sql: Connection, store: Store) -> None:
    endpoint = await publish(sql, chain("input", "input"))
    [came] = await accept(store, endpoint, {"source": "replay", "replay_of": "no"})
    await work(store)
    by_hand = await manual.start(store, 0, "work", b'{"trigger": 1}', None, keep=DAY)
    again = await replaying.replay(store._database, 0, came)
    further = await replaying.resume_from(store._database, 0, came, "s2")
    assert (await one(store, came)).origin == Origin(kind="webhook", run_id=None, step=None)
    assert (await one(store, by_hand.run_id)).origin == Origin(kind="manual", run_id=None, step=None)
    assert (await one(store, again.run_id)).origin == Origin(kind="replay", run_id=uuid.UUID(came), step=None)
    assert (await one(store, further.run_id)).origin == Origin(kind="resumption", run_id=uuid.UUID(came), step="s2")
    huge = await manual.start(store, 0, "work", json.dumps([f"{n:x}" for n in range(90_000)]).encode(), None, keep=DAY)
    assert (await one(store, huge.run_id)).origin is None


async def test_a_duration_is_from_acceptance_to_the_end(sql: Connection, store: Store) -> None:
    [id] = await accept(store, await publish(sql, chain("input")), 1)
    assert (await one(store, id)).duration_s is None
    await work(store)
    run = await one(store, id)
    assert run.finished_at is not None
    assert run.duration_s == (run.finished_at - run.accepted_at).total_seconds() > 0


# Pure -----------------------------------------------------------------------------------------------------------------

ID = "019a20b4-9c00-7003-8abc-0123456789ab"
AT_MS = 0x019A20B49C00


@pytest.mark.parametrize("length", [8, 9, 13, 14, 18, 19, 23, 24, 30, 36])
def test_a_beginning_spans_the_ids_that_have_it(length: int) -> None:
    span = id_span(ID[:length], AT_MS)
    assert span is not None
    low, high = span
    assert low <= uuid.UUID(ID) < high
    stem = ID[:length].rstrip("-")
    assert str(low).startswith(stem)
    assert str(uuid.UUID(int=high.int - 1)).startswith(stem)
    assert not str(high).startswith(stem)
    assert not str(uuid.UUID(int=low.int - 1)).startswith(stem)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "019a20b",
        "019a20b49c00",
        "019a-20b4",
        "019a20b4-9c00-4003",
        "deadbeef",
        "00000001",
        "20251031",
        ID + "0",
        "019a20bg",
    ],
)
def test_what_is_no_beginning_of_an_id_spans_nothing(text: str) -> None:
    assert id_span(text, AT_MS) is None


def test_nobody_can_write_an_origin_for_himself() -> None:
    head = '[{"type":"run.accepted","workflow":"a","version":1,"version_id":1,"trigger":{"source":"manual","replay_of":"x"}}]'
    assert origin_in(head) == Origin(kind="webhook", run_id=None, step=None)
    assert origin_in(head[:40]) is None
