"""``/api/v1/operations``: one thing done to many runs."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from meshhook import operations
from meshhook.api.openapi import TakesOperation
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.operations import PAGE_MAX, Operation, OperationPage, OperationWanted, Preview


@post(
    "/api/v1/operations",
    status_code=202,
    summary="Replay, cancel or discard many runs",
    operation_class=TakesOperation,
    responses={
        202: ResponseSpec(Operation, description="It has begun.", generate_examples=False),
        200: ResponseSpec(Preview, description="With `dry_run`: what it would go over now."),
        **problems_of(404, 408, 409, 411, 413),
    },
)
async def begin_operation(caller: NamedDependency[Caller], request: Request[Any, Any, Any]) -> Response[Any]:
    """Workers do it in batches, once to each run, at a bounded rate. With `dry_run` nothing is done but counting."""
    wanted = decoded(await request.body(), OperationWanted)
    if wanted.dry_run:
        return Response(await operations.preview(caller.database, caller.project_id, wanted), status_code=200)
    return Response(await operations.begin(caller.database, caller.project_id, wanted), status_code=202)


@get("/api/v1/operations", summary="List operations, newest first", responses=problems_of())
async def list_operations(
    caller: NamedDependency[Caller],
    before: Annotated[UUID | None, QueryParameter(description="`before` of the page before.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="Operations a page, at most.")] = 50,
) -> OperationPage:
    """Those under way, and those that are over."""
    return await operations.operations(caller.database, caller.project_id, before=before, limit=limit)


@get("/api/v1/operations/{id:str}", summary="Read an operation", responses=problems_of(404))
async def get_operation(caller: NamedDependency[Caller], id: FromPath[str]) -> Operation:
    """How far it is, and what was refused for which reason."""
    return await operations.operation(caller.database, caller.project_id, id)


@delete("/api/v1/operations/{id:str}", status_code=200, summary="Stop an operation", responses=problems_of(404))
async def stop_operation(caller: NamedDependency[Caller], id: FromPath[str]) -> Operation:
    """It ends after the batch it is at. What was done stays done; one that is over stays as it is."""
    return await operations.stop(caller.database, caller.project_id, id)


HANDLERS = [begin_operation, list_operations, get_operation, stop_operation]
