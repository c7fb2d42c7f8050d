"""How many runs there were, what became of them, and how long they took: over time, and for each workflow. In bounded work.

There are no counters: each accepted run would pay for them. What is told is counted in the runs themselves, and where there are too
many of them, in a sample (see ``sql/functions/runs_statistics.sql``); ``share`` says how much was looked at. A run counts at the
time it was accepted, whenever it ended: so the figures of one time are about the same runs.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from meshhook import history
from meshhook.briefly import Briefly
from meshhook.db.connect import Database, Row
from meshhook.errors import Refusal

BUCKETS_MAX: Final = 500
HOURS_MAX: Final = 31 * 24
KEEP_S: Final = 3.0
BLOCKS_MAX: Final = 1_500
"""So many pages of runs are read for an answer: some 50,000 runs."""

_HURRY: Final = "SET LOCAL statement_timeout = '10s'"
_COUNT: Final = "SELECT * FROM meshhook.runs_statistics($1, $2, $3, $4, $5, $6, $7)"
_WORKFLOWS: Final = "SELECT id, name FROM meshhook.workflows WHERE project_id = $1 ORDER BY name"


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """Runs accepted in a time, and how many of them have completed, failed and been cancelled by now; the others are live.

    ``p50_s``, ``p95_s`` and ``p99_s`` are how long those took from acceptance to end that completed or failed: so many in a hundred
    took no longer. ``null`` when there are none.
    """

    accepted: int
    completed: int
    failed: int
    cancelled: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None


class Bucket(Outcomes, frozen=True, kw_only=True):
    """The runs accepted from ``at`` on, for ``bucket_s`` seconds."""

    at: datetime


class _Looked(msgspec.Struct, frozen=True, kw_only=True):
    since: datetime
    until: datetime
    bucket_s: int
    share: float


class Statistics(_Looked, frozen=True, kw_only=True):
    """Runs over time, from ``since`` on to ``until`` (exclusive; the last bucket may not be over yet).

    ``share`` is the part that was looked at. At 1 the figures are exact; below, counts are estimated from that part.
    """

    total: Outcomes
    buckets: list[Bucket]


class WorkflowStatistics(Outcomes, frozen=True, kw_only=True):
    """The runs of one workflow in the whole time. The lists have a figure for each bucket."""

    workflow: str
    accepted_by_bucket: list[int]
    failed_by_bucket: list[int]


class WorkflowsStatistics(_Looked, frozen=True, kw_only=True):
    """The runs of every workflow, by name; also of those that had none. The rest as for statistics over time.

    When ``share`` is below 1, a workflow with few runs among many of others may be told to have none.
    """

    items: list[WorkflowStatistics]


class Window(NamedTuple):
    """``buckets`` times of ``bucket_s`` seconds from ``since`` on."""

    since: datetime
    bucket_s: int
    buckets: int

    @property
    def until(self) -> datetime:
        """The end, exclusive."""
        return self.since + timedelta(seconds=self.bucket_s * self.buckets)


_NONE: Final = Outcomes(accepted=0, completed=0, failed=0, cancelled=0, p50_s=None, p95_s=None, p99_s=None)


class Statistician:
    """Counts for one API process, and remembers for a moment what it has counted. ``clock``: seconds of Unix time."""

    def __init__(
        self, database: Database, *, blocks_max: int = BLOCKS_MAX, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._blocks_max = blocks_max
        self._clock = clock
        self._over_time: Briefly[Statistics] = Briefly(KEEP_S)
        self._by_workflow: Briefly[WorkflowsStatistics] = Briefly(KEEP_S)

    async def over_time(
        self,
        project_id: int,
        *,
        workflow: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        buckets: int = 60,
    ) -> Statistics:
        """What became of the runs of a project, or of one workflow, bucket by bucket; by default of the last 24 hours.

        Raises:
            Refusal: there is no such workflow, or the time makes no sense. Unavailable: there is no answer in time.
        """
        window = window_of(since, until, buckets, self._clock())
        return await self._over_time.get(
            (project_id, workflow, window), lambda: self._read_over_time(project_id, workflow, window)
        )

    async def by_workflow(self, project_id: int, *, hours: int = 24, buckets: int = 24) -> WorkflowsStatistics:
        """What became of the runs of each workflow of a project in the last hours.

        Raises:
            Unavailable: there is no answer in time.
        """
        window = last_hours(hours, buckets, self._clock())
        return await self._by_workflow.get((project_id, window), lambda: self._read_by_workflow(project_id, window))

    async def _read_over_time(self, project_id: int, workflow: str | None, window: Window) -> Statistics:
        rows = await self._count(project_id, workflow, window, by_workflow=False)
        found = {row["bucket"]: row for row in rows}
        buckets = []
        for index in range(window.buckets):
            told = msgspec.structs.asdict(_outcomes(found.get(index)))
            buckets.append(Bucket(at=window.since + timedelta(seconds=index * window.bucket_s), **told))
        return Statistics(
            since=window.since,
            until=window.until,
            bucket_s=window.bucket_s,
            share=_share(rows),
            total=_outcomes(found.get(None)),
            buckets=buckets,
        )

    async def _read_by_workflow(self, project_id: int, window: Window) -> WorkflowsStatistics:
        rows = await self._count(project_id, None, window, by_workflow=True)
        found: defaultdict[int, dict[int | None, Row]] = defaultdict(dict)
        for row in rows:
            found[row["workflow_id"]][row["bucket"]] = row
        items = []
        for workflow in await self._database.read(_WORKFLOWS, project_id):
            of = found[workflow["id"]]
            by_bucket = [_outcomes(of.get(index)) for index in range(window.buckets)]
            items.append(
                WorkflowStatistics(
                    workflow=workflow["name"],
                    accepted_by_bucket=[one.accepted for one in by_bucket],
                    failed_by_bucket=[one.failed for one in by_bucket],
                    **msgspec.structs.asdict(_outcomes(of.get(None))),
                )
            )
        return WorkflowsStatistics(
            since=window.since, until=window.until, bucket_s=window.bucket_s, share=_share(rows), items=items
        )

    async def _count(self, project_id: int, workflow: str | None, window: Window, *, by_workflow: bool) -> list[Row]:
        async with self._database.transaction() as connection:
            await connection.execute(_HURRY)
            id = None if workflow is None else await history.workflow_id_of(connection, project_id, workflow)
            width_ms, blocks = window.bucket_s * 1000, self._blocks_max
            of = (project_id, id, window.since, width_ms, window.buckets, by_workflow, blocks)
            rows: list[Row] = await connection.fetch(_COUNT, *of)
            return rows


def window_of(since: datetime | None, until: datetime | None, buckets: int, now_s: float) -> Window:
    """Buckets for a time: of whole seconds, and beginning at a multiple of their length, so that they stay where they are from one
    look to the next. There may be one more than asked for.

    Raises:
        Refusal: the time is empty, or longer than can be asked for.
    """
    if since is None and until is None:
        return last_hours(24, buckets, now_s)
    end_s = now_s if until is None else _unix_s("until", until)
    begin_s = end_s - 24 * 3600 if since is None else _unix_s("since", since)
    if not 0 < end_s - begin_s <= HOURS_MAX * 3600:
        raise _bad_window(f"since is before until, by {HOURS_MAX // 24} days at most")
    width_s = math.ceil((end_s - begin_s) / buckets)
    first, last = math.floor(begin_s / width_s), math.ceil(end_s / width_s)
    return Window(_moment(first * width_s), width_s, last - first)


def last_hours(hours: int, buckets: int, now_s: float) -> Window:
    """As many buckets as asked for; the last one is not over yet."""
    width_s = math.ceil(hours * 3600 / buckets)
    return Window(_moment((math.ceil(now_s / width_s) - buckets) * width_s), width_s, buckets)


def _outcomes(row: Row | None) -> Outcomes:
    if row is None:
        return _NONE
    counts = {name: round(row[name]) for name in ("accepted", "completed", "failed", "cancelled")}
    return Outcomes(**counts, p50_s=row["p50_s"], p95_s=row["p95_s"], p99_s=row["p99_s"])


def _share(rows: list[Row]) -> float:
    return float(rows[0]["share"]) if rows else 1.0


def _moment(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def _unix_s(name: str, moment: datetime) -> float:
    if not 1971 <= moment.year <= 9000:
        raise _bad_window(f"{name} is a moment between the years 1971 and 9000")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _bad_window(reason: str) -> Refusal:
    return Refusal(400, "bad-request", "The request has faults", f"{reason}.")
