"""What the processes tell Prometheus: that all of it is documented, bounded, and true of a real database."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.core import Metric
from tests.engine.conftest import DAY, Connection, FakeClock, chain, delivery, pool, publish

from meshhook.buckets import BOUNDS_S, Buckets
from meshhook.counts import OTHER, WORKFLOWS_MAX, Counts, Stopwatch
from meshhook.db.figures import Queued
from meshhook.db.queries import query
from meshhook.hosts import Hosts
from meshhook.metrics.door import DoorMetrics
from meshhook.metrics.exposition import Exposition
from meshhook.metrics.families import FAMILIES, reference
from meshhook.metrics.process import registry_of
from meshhook.metrics.state import PERIOD_S, PROJECTS_MAX, ByProject, StateMetrics, bounded
from meshhook.metrics.worker import WorkerMetrics
from meshhook.model import CallError, Response
from meshhook.store import Store
from meshhook.worker import Worker

BOUND_S = 60.0
ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "reference" / "metrics.md"
SUFFIXES = r"(_bucket|_sum|_count|_created)?"


async def never(*_: Any) -> Response:
    raise AssertionError("nothing here calls")


def worker(store: Store) -> Worker:
    return Worker(store, never, name="w", shards=1, batch_max=100, hold_s=60.0, lease_s=30.0, poll_s=0.01)


def told(collector: Any) -> dict[str, Metric]:
    return {metric.name: metric for metric in collector.collect()}


def value(collector: Any, name: str, **labels: str) -> float:
    """One sample of a collector."""
    found = [
        sample.value
        for metric in collector.collect()
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, found)
    return found[0]


def test_the_reference_is_what_the_program_tells() -> None:
    assert reference() in PAGE.read_text(), "run: python tools/reference.py"


def test_names_follow_the_conventions() -> None:
    for family in FAMILIES.values():
        assert re.fullmatch(r"meshhook_[a-z_]+[a-z]", family.name)
        assert family.name.endswith("_total") == (family.kind == "counter"), family.name
        assert family.kind != "histogram" or family.name.endswith("_seconds"), family.name
        assert family.help.endswith("."), family.name
        assert family.by_project == ("project" in family.labels and family.who == "api"), family.name


def test_every_metric_a_page_or_a_rule_speaks_of_is_one_there_is() -> None:
    known = set(FAMILIES)
    for page in [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]:
        for name in re.findall(r"`(meshhook_\w+)`", page.read_text()):
            if name in ("meshhook_tasks", "meshhook_signals", "meshhook_answers"):
                continue  # channels
            assert re.sub(SUFFIXES + "$", "", name) in known or name in known, f"{page.name} speaks of {name}"


def test_buckets_count_like_a_histogram_of_prometheus() -> None:
    buckets = Buckets()
    for seconds in (0.0005, 0.001, 0.0011, 59.0, 61.0, -3.0):
        buckets.observe(seconds)
    cumulative = dict(buckets.cumulative())
    assert (cumulative["0.001"], cumulative["0.0025"], cumulative["30.0"]) == (3, 4, 4)
    assert (cumulative["60.0"], cumulative["+Inf"], buckets.count) == (5, 6, 6)
    assert buckets.sum_s == pytest.approx(120.0026)
    assert (BOUNDS_S[0], BOUNDS_S[-1]) == (0.001, 60.0)


def test_workflows_beyond_the_bound_share_a_place_and_none_is_lost() -> None:
    counts = Counts()
    for number in range(WORKFLOWS_MAX + 50):
        counts.note_end("p", f"w{number}", "completed", 0.1)
    counts.note_end("p", "w3", "failed", 0.1)
    assert len(counts.workflows) == WORKFLOWS_MAX + 1
    assert counts.workflows[OTHER, OTHER].ended["completed"] == 50
    assert counts.workflows["p", "w3"].ended == {"completed": 1, "failed": 1, "cancelled": 0}
    assert (counts.completed, counts.failed) == (WORKFLOWS_MAX + 50, 1)


def test_projects_beyond_the_bound_are_one_and_the_largest_keep_their_names() -> None:
    queue = [Queued(f"p{number}", "ready", number + 1, 0, float(number)) for number in range(PROJECTS_MAX + 10)]
    found = {one.project: one for one in bounded(queue)}
    assert len(found) == PROJECTS_MAX + 1
    assert found[f"p{PROJECTS_MAX + 9}"].runs == PROJECTS_MAX + 10
    assert found[OTHER] == Queued(OTHER, "ready", sum(range(1, 11)), 0, 9.0)


def test_calls_are_counted_by_what_came_of_them() -> None:
    counts = Counts()
    for result, attempt in (
        (Response(201, {}, None), 1),
        (Response(503, {}, None), 2),
        (CallError("timeout", "", "unknown"), 3),
    ):
        counts.note_call(result, 0.2, attempt)
    assert dict(counts.call_outcomes) == {"2xx": 1, "5xx": 1, "timeout": 1}
    assert (counts.calls, counts.calls_again, counts.call_seconds.count) == (3, 2, 3)


def test_a_stopwatch_tells_the_stages_apart() -> None:
    counts = Counts()
    watch = Stopwatch(counts.stages, FakeClock(step=0.5))
    watch.lap("claim")
    watch.lap("advance")
    assert (counts.stages["claim"].sum_s, counts.stages["advance"].sum_s, counts.stages["commit"].count) == (
        0.5,
        0.5,
        0,
    )


def test_methods_and_labels_of_strangers_do_not_multiply() -> None:
    metrics = DoorMetrics()
    for number in range(100):
        metrics.requested(f"M{number}", 405, 0.01)
    metrics.requested("GET", 200, 0.01)
    (family,) = (metric for metric in metrics.collect() if metric.name == "meshhook_api_requests")
    assert {sample.labels["method"] for sample in family.samples} == {"other", "GET"}


async def test_what_a_worker_does_is_what_it_tells(sql: Connection, store: Store) -> None:
    good, bad = await publish(sql, chain("input", "input"), "good"), await publish(sql, chain("abs(input)"), "bad")
    await store.accept(0, [*(delivery(good, number) for number in range(5)), delivery(bad, "no number")], DAY)
    working = worker(store)
    await working.turn(0)
    metrics = WorkerMetrics(working, Hosts())
    place = {"project": "default"}
    assert value(metrics, "meshhook_runs_started_total", **place, workflow="good") == 5
    assert value(metrics, "meshhook_runs_ended_total", **place, workflow="good", status="completed") == 5
    assert value(metrics, "meshhook_runs_ended_total", **place, workflow="bad", status="failed") == 1
    assert value(metrics, "meshhook_run_seconds_count", **place, workflow="good") == 5
    assert 0 < value(metrics, "meshhook_run_seconds_sum", **place, workflow="good") < 5 * BOUND_S
    assert value(metrics, "meshhook_run_start_delay_seconds_count") == 6
    assert value(metrics, "meshhook_run_resume_delay_seconds_count") == 0
    assert value(metrics, "meshhook_worker_claimed_total") == 6
    assert value(metrics, "meshhook_worker_turn_seconds_count", stage="commit") == 1


async def test_a_run_that_is_taken_up_again_is_begun_once_and_its_lateness_is_seen(
    sql: Connection, store: Store
) -> None:
    nap = {
        "nodes": [{"id": "nap", "type": "delay", "config": {"seconds": 3600}}],
        "edges": [{"from": "trigger", "to": "nap"}],
    }
    endpoint = await publish(sql, nap, "nap")
    await store.accept(0, [delivery(endpoint)], DAY)
    working = worker(store)
    await working.turn(0)
    await sql.execute("UPDATE meshhook.tasks SET due_at = clock_timestamp() - interval '2 min'")
    assert await working.turn(0) == 1
    metrics = WorkerMetrics(working, Hosts())
    assert value(metrics, "meshhook_runs_started_total", workflow="nap") == 1
    assert value(metrics, "meshhook_run_start_delay_seconds_count") == 1
    assert value(metrics, "meshhook_run_resume_delay_seconds_bucket", le="60.0") == 0
    assert value(metrics, "meshhook_run_resume_delay_seconds_sum") == pytest.approx(120, abs=BOUND_S)


async def test_the_state_of_the_queue_is_that_of_its_rows(database: str, sql: Connection) -> None:
    await sql.execute("INSERT INTO meshhook.projects (id, name) VALUES (7, 'seven')")
    for columns in (
        {"queue": 0, "due_at": "clock_timestamp() - interval '1 min'"},
        {"queue": 0, "due_at": "clock_timestamp()"},
        {"queue": 1, "lane": 5},
        {"queue": 1, "lane": 6},
        {"queue": 2, "due_at": "clock_timestamp() + interval '1 h'"},
        {"queue": 2, "due_at": "'9999-01-01'"},
        {"queue": 2, "owner": "'w'", "due_at": "clock_timestamp() + interval '1 min'"},
        {"queue": 2, "owner": "'w'", "due_at": "clock_timestamp() - interval '30 s'"},
    ):
        row = {"shard": 0, "run_id": "gen_random_uuid()", "project_id": 7, "due_at": "clock_timestamp()"} | columns
        await sql.execute(f"INSERT INTO meshhook.tasks ({', '.join(row)}) VALUES ({', '.join(map(str, row.values()))})")
    async with pool(database) as opened:
        state = StateMetrics(opened, 30)
        await state.refresh()
    samples = told(ByProject(state))["meshhook_queue_runs"].samples
    found = {sample.labels["state"]: sample.value for sample in samples if sample.labels["project"] == "seven"}
    assert {sample.value for sample in samples if sample.labels["project"] == "default"} == {0}
    assert found == {"ready": 2, "in_lane": 2, "sleeping": 1, "waiting": 1, "leased": 1, "expired": 1}
    by_project = ByProject(state)
    assert 60 <= value(by_project, "meshhook_queue_oldest_seconds", project="seven", state="ready") < 60 + BOUND_S
    assert value(by_project, "meshhook_lanes_waiting", project="seven") == 2
    assert value(state, "meshhook_queue_looked_at_ratio") == 1
    assert value(state, "meshhook_table_bytes", table="tasks") > 0
    assert value(state, "meshhook_table_bytes", table="journal") > 0
    assert value(state, "meshhook_days_ahead") == 7


async def test_a_long_queue_is_sampled_and_the_sample_stands_for_all_of_it(database: str, sql: Connection) -> None:
    await sql.execute(
        "INSERT INTO meshhook.tasks (shard, run_id, due_at, queue) "
        "SELECT 0, gen_random_uuid(), clock_timestamp(), 0 FROM generate_series(1, 20000)"
    )
    rows = await sql.fetch(query("figures_queue"), 60)
    (row,) = rows
    assert row["share"] < 0.5
    assert row["runs"] / row["share"] == pytest.approx(20_000, rel=0.6)  # 60 blocks, more or less
    plan = await sql.fetchval("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query("figures_queue").replace("$1", "60"))
    (node,) = [node for node in nodes_of(json.loads(plan)[0]["Plan"]) if node["Node Type"] == "Sample Scan"]
    assert node["Shared Hit Blocks"] + node["Shared Read Blocks"] < 200


async def test_state_is_read_once_for_all_who_scrape_and_again_when_it_is_time(
    database: str, fake_clock: Callable[..., FakeClock]
) -> None:
    clock = fake_clock()
    async with pool(database) as opened:
        state = StateMetrics(opened, 30, clock)
        await asyncio.gather(*(state.refresh() for _ in range(20)))
        once = opened.waited.count
        await state.refresh()
        assert opened.waited.count == once
        clock.now += PERIOD_S
        await state.refresh()
        assert opened.waited.count == once + 1
    clock.now += PERIOD_S  # the pool is closed: there is no database any more
    await state.refresh()
    assert state.latest() is not None
    assert value(state, "meshhook_state_age_seconds") == PERIOD_S
    clock.now += 60
    assert state.latest() is None
    assert "meshhook_dead_letters" not in told(state)


async def test_who_has_a_key_of_another_project_learns_no_names(database: str, sql: Connection) -> None:
    await sql.execute("INSERT INTO meshhook.projects (id, name) VALUES (7, 'somebody-elses')")
    await sql.execute(
        "INSERT INTO meshhook.tasks (shard, run_id, due_at, project_id) VALUES (0, gen_random_uuid(), now(), 7)"
    )
    async with pool(database) as opened:
        exposition = Exposition(registry_of("serve", opened), StateMetrics(opened, 30), DoorMetrics())
        whole, part = await exposition.text(whole=True), await exposition.text(whole=False)
    assert b'meshhook_queue_runs{project="somebody-elses",state="ready"} 1.0' in whole
    assert b"somebody-elses" not in part
    assert b'meshhook_build_info{role="serve",version=' in part
    assert b"process_resident_memory_bytes" in part
    families = {family.name for family in FAMILIES.values() if family.by_project}
    assert not [name for name in families if name.encode() in part]


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes_of(inner)
