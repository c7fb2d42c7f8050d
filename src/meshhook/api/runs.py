"""``/api/v1/runs``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from meshhook import history, listing
from meshhook.api.shared import Caller, problems_of
from meshhook.history import EVENTS_MAX, EventPage, RunDefinition, RunDetail
from meshhook.listing import PAGE_MAX, TEXT_LENGTH_MAX, RunFilter, RunPage
from meshhook.model import RunStatus


@get("/api/v1/runs", summary="List runs, newest first", responses=problems_of(404))
async def list_runs(
    caller: NamedDependency[Caller],
    status: Annotated[
        list[RunStatus] | None, QueryParameter(description="Only runs that stand so. May be repeated.")
    ] = None,
    workflow: Annotated[
        list[str] | None, QueryParameter(description="Only runs of this workflow. May be repeated.")
    ] = None,
    endpoint: Annotated[str | None, QueryParameter(description="Only what came in at this endpoint.")] = None,
    test: Annotated[bool | None, QueryParameter(description="Only test runs of drafts, or only the others.")] = None,
    since: Annotated[datetime | None, QueryParameter(description="Only what was accepted then or later.")] = None,
    until: Annotated[datetime | None, QueryParameter(description="Only what was accepted before.")] = None,
    q: Annotated[
        str | None,
        QueryParameter(
            max_length=TEXT_LENGTH_MAX,
            description="A run id or its beginning, a dedupe key, or a text in what started a run or came of it.",
        ),
    ] = None,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="Runs a page, at most.")] = 50,
) -> RunPage:
    """A page may be short, even empty, and still have a `next` (`cut_short`): go on with it until it is `null`."""
    wanted = RunFilter(
        statuses=status or [], workflows=workflow or [], endpoint=endpoint, test=test, since=since, until=until, q=q
    )
    return await listing.runs(caller.database, caller.project_id, wanted, cursor=cursor, limit=limit)


@get("/api/v1/runs/{id:str}", summary="Read a run", responses=problems_of(404))
async def get_run(caller: NamedDependency[Caller], id: FromPath[str]) -> RunDetail:
    """Where a run stands, what started it, and what came of it."""
    return await history.run(caller.database, caller.project_id, id)


@get("/api/v1/runs/{id:str}/definition", summary="Read what a run runs", responses=problems_of(404))
async def get_run_definition(caller: NamedDependency[Caller], id: FromPath[str]) -> RunDefinition:
    """The definition that the run is pinned to: that of its version, or what a test run was started with."""
    return await history.definition(caller.database, caller.project_id, id)


@get("/api/v1/runs/{id:str}/events", summary="Read the journal of a run", responses=problems_of(404))
async def get_events(
    caller: NamedDependency[Caller],
    id: FromPath[str],
    after: Annotated[int, QueryParameter(ge=0, le=2**31 - 1, description="Only events behind this `seq`.")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=EVENTS_MAX, description="Events a page, at most.")] = EVENTS_MAX,
) -> EventPage:
    """What happened to a run, event by event. A page has some MiB at most; go on with `after` = `next`."""
    return await history.events(caller.database, caller.project_id, id, after=after, limit=limit)


HANDLERS = [list_runs, get_run, get_run_definition, get_events]
