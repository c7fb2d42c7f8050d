"""``/api/v1/runs/{id}/why``: why a run is not running."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from meshhook import why
from meshhook.api.shared import Caller, problems_of
from meshhook.why import Why


@get("/api/v1/runs/{id:str}/why", summary="Ask why a run is not running", responses=problems_of(404))
async def get_why(caller: NamedDependency[Caller], id: FromPath[str]) -> Why:
    """Everything that holds it up, in words and with a `kind` for programs, and what to do about each."""
    return await why.why(caller.database, caller.project_id, id)


HANDLERS = [get_why]
