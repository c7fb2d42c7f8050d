"""``/api/v1/endpoints``."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from meshhook import catalog
from meshhook.api.openapi import TakesEndpoint, TakesNewEndpoint
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.catalog import Endpoint
from meshhook.errors import EndpointConfigError, Fault


class Endpoints(msgspec.Struct, frozen=True):
    """Every endpoint, by path."""

    items: list[Endpoint]


class _Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``openapi.EndpointWrite``, its settings as they came: their faults are told one by one."""

    workflow: str
    methods: list[str] = msgspec.field(default_factory=lambda: ["POST"])
    config: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    def config_text(self) -> str | None:
        return None if isinstance(self.config, msgspec.UnsetType) else bytes(self.config).decode()


class _WantedNew(_Wanted, frozen=True, kw_only=True, forbid_unknown_fields=True):
    path: str


@post(
    "/api/v1/endpoints",
    summary="Make an endpoint",
    operation_class=TakesNewEndpoint,
    responses=problems_of(404, 408, 409, 411, 413, 422),
)
async def create_endpoint(caller: NamedDependency[Caller], request: Request[Any, Any, Any]) -> Endpoint:
    """From now on `POST /hooks/{path}` starts a run of the workflow. What is there already is not touched."""
    wanted = decoded(await request.body(), _WantedNew)
    return await _saved(catalog.create_endpoint, caller, wanted.path, wanted)


@put(
    "/api/v1/endpoints/{path:path}",
    summary="Make or change an endpoint",
    operation_class=TakesEndpoint,
    responses=problems_of(404, 408, 409, 411, 413, 422),
)
async def save_endpoint(
    caller: NamedDependency[Caller], path: FromPath[str], request: Request[Any, Any, Any]
) -> Endpoint:
    """From now on `POST /hooks/{path}` starts a run of the workflow. Without `config` what it asks for stays as it is."""
    wanted = decoded(await request.body(), _Wanted)
    return await _saved(catalog.save_endpoint, caller, path.removeprefix("/"), wanted)


@get("/api/v1/endpoints", summary="List endpoints", responses=problems_of())
async def list_endpoints(caller: NamedDependency[Caller]) -> Endpoints:
    """Every endpoint of the project, by path."""
    return Endpoints(await catalog.endpoints(caller.database, caller.project_id))


@get("/api/v1/endpoints/{path:path}", summary="Read an endpoint", responses=problems_of(404))
async def get_endpoint(caller: NamedDependency[Caller], path: FromPath[str]) -> Endpoint:
    """Where it leads, and what it asks of a delivery. Settings hold names of secrets, never the secrets."""
    return await catalog.endpoint(caller.database, caller.project_id, path.removeprefix("/"))


@delete("/api/v1/endpoints/{path:path}", summary="Take an endpoint away", responses=problems_of(404))
async def delete_endpoint(caller: NamedDependency[Caller], path: FromPath[str]) -> None:
    """Nothing comes in there any more. Its runs stay, and those that live go on."""
    await catalog.delete_endpoint(caller.database, caller.project_id, path.removeprefix("/"))
    caller.on_change()


async def _saved(save: Any, caller: Caller, path: str, wanted: _Wanted) -> Endpoint:
    try:
        saved: Endpoint = await save(
            caller.database, caller.project_id, path, wanted.workflow, wanted.methods, wanted.config_text()
        )
    except EndpointConfigError as error:  # the settings are a part of what was sent
        raise EndpointConfigError([_below_config(fault) for fault in error.faults]) from None
    caller.on_change()
    return saved


def _below_config(fault: Fault) -> Fault:
    return Fault("$.config" + fault.path.removeprefix("$"), fault.code, fault.message)


HANDLERS = [create_endpoint, save_endpoint, list_endpoints, get_endpoint, delete_endpoint]
