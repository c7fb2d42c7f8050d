"""``/api/v1/dead-letters``: failed runs that nobody has dealt with yet."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from meshhook import dead_letters
from meshhook.api.shared import Caller, problems_of
from meshhook.dead_letters import PAGE_MAX, DeadLetterDetail, DeadLetterPage, LetterFilter


@get("/api/v1/dead-letters", summary="List dead letters, newest run first", responses=problems_of(404))
async def list_dead_letters(
    caller: NamedDependency[Caller],
    workflow: Annotated[str | None, QueryParameter(description="Only runs of this workflow.")] = None,
    error_type: Annotated[str | None, QueryParameter(description="Only errors of this type, such as `call`.")] = None,
    node: Annotated[str | None, QueryParameter(description="Only those that failed in this step.")] = None,
    since: Annotated[datetime | None, QueryParameter(description="Only what failed then or later.")] = None,
    until: Annotated[datetime | None, QueryParameter(description="Only what failed before.")] = None,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="Dead letters a page, at most.")] = 50,
) -> DeadLetterPage:
    """A page may be short, even empty, and still have a `next`: go on with it until it is `null`."""
    wanted = LetterFilter(workflow=workflow, error_type=error_type, node=node, since=since, until=until)
    return await dead_letters.letters(caller.database, caller.project_id, wanted, cursor=cursor, limit=limit)


@get("/api/v1/dead-letters/{id:str}", summary="Read a dead letter", responses=problems_of(404))
async def get_dead_letter(caller: NamedDependency[Caller], id: FromPath[str]) -> DeadLetterDetail:
    """By the id of its run: all of its error, the last step that was completed, and where to resume it from."""
    return await dead_letters.letter(caller.database, caller.project_id, id)


@delete("/api/v1/dead-letters/{id:str}", summary="Discard a dead letter", responses=problems_of(404))
async def discard_dead_letter(caller: NamedDependency[Caller], id: FromPath[str]) -> None:
    """The run goes off the list; it stays as it is, and can still be replayed."""
    await dead_letters.discard(caller.database, caller.project_id, id)


HANDLERS = [list_dead_letters, get_dead_letter, discard_dead_letter]
