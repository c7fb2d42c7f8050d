"""`meshhook doctor`: what it makes of the facts, and what it says of a real database."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from meshhook.checkup import judge, judge_disk
from meshhook.db.health import Days, Health, Holder, Queue, Server, look

SERVER = Server(
    version=180004,
    version_text="PostgreSQL 18.4",
    connections=5,
    connections_max=100,
    database_bytes=1,
    oldest_transaction_s=0.0,
    clock_ahead_s=0.0,
    round_trip_s=0.001,
)
QUEUE = Queue(workers_alive=1, workers_known=1, live_runs=0, oldest_due_s=0.0, tasks_dead=0, tasks_bytes=8192)

DAYS = Days(days_ahead=7, has_today=True, oldest_days=30, bytes=1, begun=0, kept=[])


def statuses(
    server: Server = SERVER,
    queue: Queue | None = QUEUE,
    pending: tuple[str, ...] = (),
    holders: tuple[Holder, ...] = (),
    days: Days = DAYS,
) -> dict[str, str]:
    health = Health(server, list(pending), queue, list(holders), days)
    checks = list(judge(health, backlog_max=1000, retention_days=30))
    assert all(bool(check.advice) == (check.status != "ok") for check in checks), (
        "advice where there is something to do"
    )
    return {check.name: check.status for check in checks}


def test_a_sound_installation_is_ok() -> None:
    assert set(statuses().values()) == {"ok"}


def test_an_old_server_fails() -> None:
    assert statuses(replace(SERVER, version=140012))["database"] == "fail"


def test_missing_migrations_fail_and_nothing_behind_them_is_asked() -> None:
    assert statuses(queue=None, pending=("0001",)) == {
        "database": "ok",
        "connections": "ok",
        "clock": "ok",
        "transactions": "ok",
        "schema": "fail",
    }


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"connections": 81}, "connections"),
        ({"clock_ahead_s": -1.5}, "clock"),
        ({"clock_ahead_s": 1.5}, "clock"),
        ({"oldest_transaction_s": 61.0}, "transactions"),
    ],
)
def test_a_server_that_is_not_well_warns(change: dict[str, Any], name: str) -> None:
    found = statuses(replace(SERVER, **change))
    assert [each for each in found if found[each] != "ok"] == [name]
    assert found[name] == "warn"


@pytest.mark.parametrize(
    ("change", "name", "status"),
    [
        ({"workers_alive": 0}, "workers", "warn"),
        ({"workers_alive": 0, "live_runs": 3}, "workers", "fail"),
        ({"live_runs": 501}, "backlog", "warn"),
        ({"live_runs": 1000}, "backlog", "fail"),
        ({"oldest_due_s": 11.0}, "lateness", "warn"),
        ({"tasks_dead": 100_001}, "bloat", "warn"),
    ],
)
def test_a_queue_that_is_not_well_says_so(change: dict[str, Any], name: str, status: str) -> None:
    found = statuses(queue=replace(QUEUE, **change))
    assert {each: found[each] for each in found if found[each] != "ok"} == {name: status}


@pytest.mark.parametrize(
    ("change", "name", "status"),
    [
        ({"has_today": False}, "days", "fail"),
        ({"days_ahead": 1}, "days", "warn"),
        ({"kept": ["2026-01-01"]}, "retention", "warn"),
        ({"begun": 1}, "retention", "warn"),
        ({"oldest_days": 33}, "retention", "warn"),
    ],
)
def test_days_that_are_missing_or_stay_too_long_are_told(change: dict[str, Any], name: str, status: str) -> None:
    found = statuses(days=replace(DAYS, **change))
    assert {each: found[each] for each in found if found[each] != "ok"} == {name: status}


def test_whoever_keeps_dead_rows_is_named() -> None:
    forgotten = Holder("prepared transaction", "gid7, user me", 90.0)
    slot = Holder("replication slot", "standby2", None)
    checks = judge(Health(SERVER, [], QUEUE, [forgotten, slot, Holder("transaction", "new", 1.0)], DAYS), 1000, 30)
    (told,) = [check for check in checks if check.status != "ok"]
    assert told.found.endswith("prepared transaction (gid7, user me) for 90 s; replication slot (standby2)")


async def test_an_open_transaction_is_found_with_its_name(database: str) -> None:
    holder = await asyncpg.connect(database, server_settings={"application_name": "forgetful"})
    try:
        async with holder.transaction(isolation="repeatable_read"):
            await holder.fetchval("SELECT count(*) FROM meshhook.tasks")
            found = [it for it in (await look(database)).holders if "forgetful" in it.who]
        assert [it.what for it in found] == ["transaction"]
        assert not [it for it in (await look(database)).holders if "forgetful" in it.who]
    finally:
        await holder.close()


def test_a_disk_that_fills_warns_and_then_fails() -> None:
    assert [judge_disk(Path("/"), gib * 1024**3).status for gib in (100, 4, 0)] == ["ok", "warn", "fail"]


def run_doctor(*arguments: str) -> tuple[int, dict[str, str]]:
    command = [sys.executable, "-m", "meshhook", "doctor", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, {check["name"]: check["status"] for check in json.loads(done.stdout)}


def test_a_migrated_database_is_well_but_for_its_workers(database: str) -> None:
    code, found = run_doctor("--database-url", database)
    assert code == 0
    assert {name for name, status in found.items() if status != "ok"} == {"workers"}


def test_an_empty_database_fails_on_its_schema(dsn: str) -> None:
    code, found = run_doctor("--database-url", dsn)
    assert (code, found["database"], found["schema"]) == (1, "ok", "fail")


def test_a_database_that_is_not_there_fails(tmp_path: Path) -> None:
    assert run_doctor("--database-url", f"postgresql:///x?host={tmp_path}")[1]["database"] == "fail"
    code, found = run_doctor("--data-dir", str(tmp_path))
    assert (code, found["database"]) == (1, "fail")
