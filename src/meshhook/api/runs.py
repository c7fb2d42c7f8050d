"""``/api/v1/runs``."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from meshhook import history
from meshhook.api.shared import Caller, problems_of
from meshhook.history import EVENTS_MAX, PAGE_MAX, EventPage, RunDetail, RunPage
from meshhook.model import RunStatus


@get("/api/v1/runs", summary="List runs, newest first", responses=problems_of(404))
async def list_runs(
    caller: NamedDependency[Caller],
    status: Annotated[RunStatus | None, QueryParameter(description="Only runs that stand so.")] = None,
    workflow: Annotated[str | None, QueryParameter(description="Only runs of this workflow.")] = None,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="Runs a page, at most.")] = 50,
) -> RunPage:
    """A page may be short, even empty, and still have a `next`: go on with it until it is `null`."""
    return await history.runs(
        caller.database,
        caller.project_id,
        status=status,
        workflow=workflow,
        cursor=cursor,
        limit=limit,
    )


@get("/api/v1/runs/{id:str}", summary="Read a run", responses=problems_of(404))
async def get_run(caller: NamedDependency[Caller], id: FromPath[str]) -> RunDetail:
    """Where a run stands, what started it, and what came of it."""
    return await history.run(caller.database, caller.project_id, id)


@get("/api/v1/runs/{id:str}/events", summary="Read the journal of a run", responses=problems_of(404))
async def get_events(
    caller: NamedDependency[Caller],
    id: FromPath[str],
    after: Annotated[int, QueryParameter(ge=0, le=2**31 - 1, description="Only events behind this `seq`.")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=EVENTS_MAX, description="Events a page, at most.")] = EVENTS_MAX,
) -> EventPage:
    """What happened to a run, event by event. A page has some MiB at most; go on with `after` = `next`."""
    return await history.events(caller.database, caller.project_id, id, after=after, limit=limit)


HANDLERS = [list_runs, get_run, get_events]
