"""``/api/v1/endpoints``."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from meshhook import catalog
from meshhook.api.openapi import EndpointWrite, TakesEndpoint
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.catalog import Endpoint


class Endpoints(msgspec.Struct, frozen=True):
    """Every endpoint, by path."""

    items: list[Endpoint]


@put(
    "/api/v1/endpoints/{path:path}",
    summary="Make or change an endpoint",
    operation_class=TakesEndpoint,
    responses=problems_of(404, 408, 409, 411, 413),
)
async def save_endpoint(
    caller: NamedDependency[Caller], path: FromPath[str], request: Request[Any, Any, Any]
) -> Endpoint:
    """From now on `POST /hooks/{path}` starts a run of the workflow."""
    wanted = decoded(await request.body(), EndpointWrite)
    saved = await catalog.save_endpoint(
        caller.database, caller.project_id, path.removeprefix("/"), wanted.workflow, wanted.methods
    )
    caller.on_change()
    return saved


@get("/api/v1/endpoints", summary="List endpoints", responses=problems_of())
async def list_endpoints(caller: NamedDependency[Caller]) -> Endpoints:
    """Every endpoint of the project, by path."""
    return Endpoints(await catalog.endpoints(caller.database, caller.project_id))


HANDLERS = [save_endpoint, list_endpoints]
