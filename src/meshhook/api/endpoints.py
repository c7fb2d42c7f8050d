"""``/api/v1/endpoints``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from meshhook import catalog
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.catalog import Endpoint


class EndpointWrite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which workflow an endpoint starts, and for which methods."""

    workflow: str
    methods: Annotated[list[str], msgspec.Meta(min_length=1, max_length=10)] = msgspec.field(
        default_factory=lambda: ["POST"]
    )


class Endpoints(msgspec.Struct, frozen=True):
    """Every endpoint, by path."""

    items: list[Endpoint]


@put("/api/v1/endpoints/{path:path}", summary="Make or change an endpoint", responses=problems_of(400, 404, 409, 413))
async def save_endpoint(
    caller: NamedDependency[Caller], path: FromPath[str], request: Request[Any, Any, Any]
) -> Endpoint:
    """From now on `POST /hooks/{path}` starts a run of the workflow."""
    wanted = decoded(await request.body(), EndpointWrite)
    saved = await catalog.save_endpoint(
        caller.database, caller.project_id, str(path).removeprefix("/"), wanted.workflow, wanted.methods
    )
    caller.on_change()
    return saved


@get("/api/v1/endpoints", summary="List endpoints")
async def list_endpoints(caller: NamedDependency[Caller]) -> Endpoints:
    """Every endpoint of the project, by path."""
    return Endpoints(await catalog.endpoints(caller.database, caller.project_id))


HANDLERS = [save_endpoint, list_endpoints]
