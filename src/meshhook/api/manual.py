"""``POST /api/v1/workflows/{name}/runs``: a run started by hand."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter

from meshhook import manual
from meshhook.api.openapi import Accepted, TakesInput
from meshhook.api.shared import Caller, problems_of
from meshhook.delivery import dedupe_key


@post(
    "/api/v1/workflows/{name:str}/runs",
    status_code=202,
    summary="Start a run by hand",
    operation_class=TakesInput,
    responses=problems_of(404, 408, 409, 411, 413, 422, 429),
)
async def start_run(
    caller: NamedDependency[Caller],
    name: FromPath[str],
    request: Request[Any, Any, Any],
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(name="idempotency-key", description="The same key with the same input starts one run alone."),
    ] = None,
) -> Response[Accepted]:
    """The body is the `input` of the run: any JSON, or nothing. Answered when the run is stored, not when it is done."""
    caller.admit(caller.project_id)
    made = await manual.start(
        caller.store,
        caller.project_id,
        name,
        await request.body(),
        dedupe_key(idempotency_key, None),
        keep=caller.keep,
    )
    return Response(Accepted(made.run_id, f"/api/v1/runs/{made.run_id}", made.duplicate), status_code=202)


HANDLERS = [start_run]
