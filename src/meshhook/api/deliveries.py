"""``/api/v1/deliveries``: the delivery log of an endpoint, and test deliveries."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from meshhook import deliveries
from meshhook.api.openapi import TakesTrial
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.deliveries import PAGE_MAX, DeliveryPage, Outcome
from meshhook.trial import Trial, Trials


class _Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    endpoint: str
    body: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


@get("/api/v1/deliveries", summary="List deliveries to an endpoint, newest first", responses=problems_of(404))
async def list_deliveries(
    caller: NamedDependency[Caller],
    endpoint: Annotated[str, QueryParameter(description="Path of the endpoint.")],
    outcome: Annotated[Outcome | None, QueryParameter(description="Only those that ended so.")] = None,
    cursor: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="Deliveries a page, at most.")] = 50,
) -> DeliveryPage:
    """Refused ones with the reason (a sample when there are many; `refused` counts all), accepted ones with their run."""
    return await deliveries.deliveries(
        caller.database, caller.project_id, endpoint, outcome=outcome, cursor=cursor, limit=limit
    )


@post(
    "/api/v1/deliveries/test",
    summary="Send a test delivery",
    operation_class=TakesTrial,
    status_code=200,
    responses=problems_of(404, 408, 409, 411, 413),
)
async def test_delivery(
    caller: NamedDependency[Caller], trials: NamedDependency[Trials], request: Request[Any, Any, Any]
) -> Trial:
    """Signed as the sender would, through the real door of this server. What it starts is a run like any other."""
    wanted = decoded(await request.body(), _Wanted)
    body = None if isinstance(wanted.body, msgspec.UnsetType) else bytes(wanted.body)
    return await trials.send(caller.project_id, wanted.endpoint.removeprefix("/hooks/"), body)


HANDLERS = [list_deliveries, test_delivery]
