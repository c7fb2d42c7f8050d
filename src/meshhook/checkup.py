"""What is well in an installation and what is not, and what to do about it: facts in, checks out. Pure.

``meshhook doctor`` and ``GET /api/v1/doctor`` tell them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from meshhook.db.health import Days, Health, Holder, Queue, Server

CLOCK_S_WARN = 1.0
TRANSACTION_S_WARN = 60.0
DAYS_AHEAD_WARN = 2
DAYS_LATE_WARN = 2
CONNECTIONS_SHARE_WARN = 0.8
BACKLOG_SHARE_WARN = 0.5
DUE_S_WARN = 10.0
DEAD_WARN = 100_000
DISK_BYTES_FAIL = 1 * 1024**3
DISK_BYTES_WARN = 5 * 1024**3


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at. ``advice`` is what to do, empty when there is nothing to do."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str


def judge_disk(folder: Path, free_bytes: int) -> Check:
    found = f"{free_bytes / 1024**3:.1f} GiB free at {folder}"
    if free_bytes < DISK_BYTES_FAIL:
        return Check("disk", "fail", found, "Postgres stops when the disk is full: make room now.")
    if free_bytes < DISK_BYTES_WARN:
        return Check("disk", "warn", found, "Up to 4 GiB go to the write-ahead log alone: make room.")
    return Check("disk", "ok", found, "")


def judge(health: Health, backlog_max: int, retention_days: int = 0) -> Iterator[Check]:
    yield from judge_server(health.server, health.holders)
    if health.queue is None:
        yield Check("schema", "fail", f"{len(health.pending)} migrations missing", "Run `meshhook migrate`.")
        return
    yield Check("schema", "ok", "up to date", "")
    yield from judge_queue(health.queue, backlog_max)
    if health.days is None:
        yield Check("days", "fail", "none", "Runs can't be stored: run `meshhook migrate`.")
    else:
        yield from judge_days(health.days, retention_days)


def judge_server(server: Server, holders: list[Holder]) -> Iterator[Check]:
    found = (
        f"Postgres {server.version // 10_000}.{server.version % 10_000}, round trip {server.round_trip_s * 1e3:.1f} ms"
    )
    if server.version < 150_000:
        yield Check("database", "fail", found, "Use Postgres 15 or newer.")
    else:
        yield Check("database", "ok", found, "")

    found = f"{server.connections} of {server.connections_max} in use"
    if server.connections > CONNECTIONS_SHARE_WARN * server.connections_max:
        yield Check("connections", "warn", found, "Raise max_connections, or put a pooler in front.")
    else:
        yield Check("connections", "ok", found, "")

    # Run ids and logs carry our clock; leases and timers use the database's alone, so nothing breaks.
    found = f"{server.clock_ahead_s:+.3f} s from ours"
    if abs(server.clock_ahead_s) > CLOCK_S_WARN + server.round_trip_s / 2:
        yield Check("clock", "warn", found, "Set both clocks by NTP: times in logs and run ids are off.")
    else:
        yield Check("clock", "ok", found, "")

    old = [holder for holder in holders if holder.age_s is None or holder.age_s > TRANSACTION_S_WARN]
    found = f"oldest open for {server.oldest_transaction_s:.0f} s"
    if old:
        names = "; ".join(
            f"{it.what} ({it.who}) {'' if it.age_s is None else f'for {it.age_s:.0f} s'}".strip() for it in old
        )
        advice = "They keep dead rows from being removed, and the queue slows down: end them."
        yield Check("transactions", "warn", f"{found}: {names}", advice)
    elif server.oldest_transaction_s > TRANSACTION_S_WARN:
        yield Check(
            "transactions", "warn", found, "It keeps dead rows from being removed: find it in pg_stat_activity."
        )
    else:
        yield Check("transactions", "ok", found, "")


def judge_queue(queue: Queue, backlog_max: int) -> Iterator[Check]:
    found = f"{queue.workers_alive} alive"
    if queue.workers_alive:
        yield Check("workers", "ok", found, "")
    elif queue.live_runs:
        yield Check("workers", "fail", f"{found}, {queue.live_runs:,} runs wait", "Start `meshhook work`.")
    else:
        yield Check("workers", "warn", found, "Nothing would execute a run: start `meshhook work`.")

    found = f"{queue.live_runs:,} live runs of at most {backlog_max:,}"
    if queue.live_runs >= backlog_max:
        yield Check("backlog", "fail", found, "Deliveries are refused: start more workers.")
    elif queue.live_runs > BACKLOG_SHARE_WARN * backlog_max:
        yield Check("backlog", "warn", found, "Start more workers before deliveries are refused.")
    else:
        yield Check("backlog", "ok", found, "")

    found = f"the longest wait is {max(0.0, queue.oldest_due_s):.1f} s"
    if queue.oldest_due_s > DUE_S_WARN:
        yield Check("lateness", "warn", found, "Workers do not keep up: start more, or see what they say.")
    else:
        yield Check("lateness", "ok", found, "")

    found = f"{queue.tasks_dead:,} dead rows in tasks, {queue.tasks_bytes / 1024**2:.1f} MiB"
    if queue.tasks_dead > DEAD_WARN:
        yield Check(
            "bloat", "warn", found, "Autovacuum is behind: look for old transactions, then VACUUM meshhook.tasks."
        )
    else:
        yield Check("bloat", "ok", found, "")


def judge_days(days: Days, retention_days: int) -> Iterator[Check]:
    found = f"{days.days_ahead} prepared ahead"
    if not days.has_today:
        yield Check(
            "days", "fail", found, "Today is missing, so nothing can be stored: run `meshhook migrate` or a worker."
        )
    elif days.days_ahead < DAYS_AHEAD_WARN:
        yield Check("days", "warn", found, "Workers prepare seven: start one, or see what it says.")
    else:
        yield Check("days", "ok", found, "")

    kept_for = f"{retention_days} days" if retention_days else "ever"
    found = f"oldest {days.oldest_days} days ago, {days.bytes / 1024**3:.1f} GiB in all, kept for {kept_for}"
    if days.kept:
        yield Check(
            "retention",
            "warn",
            f"{found}; live runs in {', '.join(days.kept[:5])}",
            "A day goes when its last run has ended.",
        )
    elif days.begun or (retention_days and days.oldest_days > retention_days + DAYS_LATE_WARN):
        yield Check(
            "retention", "warn", f"{found}; {days.begun} half way out", "Somebody reads old days: see transactions."
        )
    else:
        yield Check("retention", "ok", found, "")
