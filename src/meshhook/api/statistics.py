"""``/api/v1/statistics``: how many runs there were, what became of them, and how long they took."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from meshhook.api.shared import Caller, problems_of
from meshhook.statistics import BUCKETS_MAX, HOURS_MAX, Statistician, Statistics, WorkflowsStatistics


@get("/api/v1/statistics", summary="Runs over time", responses=problems_of(404))
async def get_statistics(
    caller: NamedDependency[Caller],
    statistician: NamedDependency[Statistician],
    workflow: Annotated[str | None, QueryParameter(description="Only runs of this workflow.")] = None,
    since: Annotated[datetime | None, QueryParameter(description="The beginning; a day before the end.")] = None,
    until: Annotated[datetime | None, QueryParameter(description="The end, exclusive; now.")] = None,
    buckets: Annotated[int, QueryParameter(ge=1, le=BUCKETS_MAX, description="Into so many times, or one more.")] = 60,
) -> Statistics:
    """Accepted, completed, failed and cancelled runs, and how long they took, for each of some times of equal length.

    A run counts at the time it was accepted. When `share` is below 1, figures are estimated from that part of the runs.
    """
    return await statistician.over_time(caller.project_id, workflow=workflow, since=since, until=until, buckets=buckets)


@get("/api/v1/statistics/workflows", summary="Runs of each workflow lately", responses=problems_of())
async def get_statistics_by_workflow(
    caller: NamedDependency[Caller],
    statistician: NamedDependency[Statistician],
    hours: Annotated[int, QueryParameter(ge=1, le=HOURS_MAX, description="The last so many hours.")] = 24,
    buckets: Annotated[int, QueryParameter(ge=1, le=100, description="Into so many times.")] = 24,
) -> WorkflowsStatistics:
    """For a list of workflows with a line each: runs and failures by time, and how long runs took over all of it."""
    return await statistician.by_workflow(caller.project_id, hours=hours, buckets=buckets)


HANDLERS = [get_statistics, get_statistics_by_workflow]
