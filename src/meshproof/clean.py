"""Removes from an engine what runs of the suite left there: only what carries a namespace, and never a run that is still live.

Through the API: endpoints are taken away, live runs cancelled, dead letters discarded. The API takes away no workflow and no run,
since an engine keeps its history; where the database is given, with a role that may delete, they go as well. What is in the audit
log stays: it is append-only.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import asyncpg
import msgspec

from meshproof import namespace
from meshproof.rest import Api
from meshproof.sql import statement

ENDED_S_MAX: Final = 60.0
LOOK_S: Final = 0.1


class CleanError(RuntimeError):
    """Something could not be removed; the message says what, and what is left."""


class Trace(msgspec.Struct, frozen=True):
    """What one run of the suite left behind. Runs are counted up to 100,000."""

    namespace: str
    endpoints: list[str]
    workflows: list[str]
    live: int
    dead_letters: int
    runs: int | None
    """How many are stored; None without the database."""


class Removed(msgspec.Struct, frozen=True):
    """What was removed of a trace, and what is left of it."""

    namespace: str
    endpoints: int
    cancelled: int
    dead_letters: int
    workflows: int
    runs: int
    left: list[str]
    """Workflows that stay, with their runs."""


async def find(api: Api, dsn: str | None, wanted: str | None = None) -> list[Trace]:
    """What there is, by namespace; only that of the one `wanted`, if it is given."""
    places: dict[str, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
    for which, names in enumerate((await api.endpoints(), await api.workflows())):
        for name in names:
            if (found := namespace.of(name)) is not None and wanted in (None, found):
                places[found][which].append(name)
    return [await _trace(api, dsn, found, *places[found]) for found in sorted(places)]


async def remove(api: Api, dsn: str | None, trace: Trace, say: Callable[[str], None] = lambda _: None) -> Removed:
    """Remove a trace. Raises CleanError, ApiError."""
    doors = await _endpoint_ids(dsn, trace) if dsn is not None else []
    say(f"Taking away {len(trace.endpoints)} endpoints of {trace.namespace}")
    for path in trace.endpoints:
        await api.unbind(path)
    say(f"Cancelling what is live of {trace.namespace}")
    cancelled = await _end_all(api, "cancel", trace.workflows)
    if dsn is None:
        discarded = await _end_all(api, "discard", trace.workflows)
        return Removed(trace.namespace, len(trace.endpoints), cancelled, discarded, 0, 0, trace.workflows)
    say(f"Deleting workflows and runs of {trace.namespace}")
    workflows, runs = await _delete(dsn, trace, doors)
    left = [name for name in trace.workflows if name not in workflows]
    return Removed(trace.namespace, len(trace.endpoints), cancelled, trace.dead_letters, len(workflows), runs, left)


async def _trace(api: Api, dsn: str | None, found: str, endpoints: list[str], workflows: list[str]) -> Trace:
    live = sum([await api.count("cancel", name) for name in workflows])
    letters = sum([await api.count("discard", name) for name in workflows])
    return Trace(found, endpoints, workflows, live, letters, await _stored(dsn, found) if dsn is not None else None)


async def _end_all(api: Api, kind: str, workflows: list[str]) -> int:
    """Cancel or discard everything of these workflows, and wait until nothing is left; returns how many there were."""
    total = 0
    deadline = time.monotonic() + ENDED_S_MAX
    for name in workflows:
        if count := await api.count(kind, name):
            total += count
            await api.operate(kind, name)
    for name in workflows:
        while count := await api.count(kind, name):
            if time.monotonic() > deadline:
                what = "live" if kind == "cancel" else "dead letters"
                raise CleanError(
                    f"{count:,} runs of {name} are still {what} after {ENDED_S_MAX:g} s. Are workers running? Run this again."
                )
            await asyncio.sleep(LOOK_S)
    return total


async def _stored(dsn: str, found: str) -> int:
    connection = await _connect(dsn)
    try:
        return int(await connection.fetchval(statement("clean_runs"), found))
    finally:
        await connection.close()


async def _endpoint_ids(dsn: str, trace: Trace) -> list[int]:
    """Their ids, as long as there are endpoints."""
    connection = await _connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT id FROM meshhook.endpoints WHERE path = ANY ($1::text[])", trace.endpoints
        )
        return [row["id"] for row in rows]
    finally:
        await connection.close()


async def _delete(dsn: str, trace: Trace, doors: list[int]) -> tuple[list[str], int]:
    connection = await _connect(dsn)
    try:
        row = await connection.fetchrow(statement("clean"), trace.namespace, doors)
    except asyncpg.InsufficientPrivilegeError as error:
        raise CleanError(
            f"The endpoints are gone, but the role of --database may not delete: {error}. docs/concurrency/deployed.md says what"
            " it needs."
        ) from error
    finally:
        await connection.close()
    assert row is not None
    return list(row["workflows"]), int(row["runs"])


async def _connect(dsn: str) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(dsn, timeout=10.0, server_settings={"application_name": "meshproof"})
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        raise CleanError(f"The database cannot be reached: {error}. See --database.") from error
