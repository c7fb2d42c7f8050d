"""``/api/v1/secrets``: values go in, and never come out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from litestar import Request, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from meshhook import secret_catalog
from meshhook.api.openapi import SecretWrite, TakesSecret
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.errors import Refusal
from meshhook.secret_catalog import OVERLAP_HOURS_MAX, Secret


class Secrets(msgspec.Struct, frozen=True):
    """Every secret, by name."""

    items: list[Secret]


@put(
    "/api/v1/secrets/{name:str}",
    summary="Set a secret",
    operation_class=TakesSecret,
    responses=problems_of(408, 411, 413, 422),
)
async def set_secret(caller: NamedDependency[Caller], name: FromPath[str], request: Request[Any, Any, Any]) -> Secret:
    """The value before still verifies signatures for `overlap_hours`. No call ever answers with a value."""
    wanted = decoded(await request.body(), SecretWrite)
    saved = await secret_catalog.set_secret(
        caller.database,
        caller.keychain,
        caller.project_id,
        name,
        wanted.value.encode(),
        overlap=_overlap(wanted.overlap_hours),
    )
    caller.on_change()
    return saved


@get("/api/v1/secrets", summary="List secrets", responses=problems_of())
async def list_secrets(caller: NamedDependency[Caller]) -> Secrets:
    """Names, versions and times; never values."""
    return Secrets(await secret_catalog.secrets(caller.database, caller.project_id))


@delete("/api/v1/secrets/{name:str}", summary="Delete a secret", responses=problems_of(404))
async def delete_secret(caller: NamedDependency[Caller], name: FromPath[str]) -> None:
    """What uses it fails from now on, within two seconds everywhere."""
    await secret_catalog.delete_secret(caller.database, caller.project_id, name)
    caller.on_change()


def _overlap(hours: float) -> timedelta:
    if not 0 <= hours <= OVERLAP_HOURS_MAX:
        detail = f"overlap_hours is a number from 0 to {OVERLAP_HOURS_MAX:g}."
        raise Refusal(400, "invalid-body", "The body has the wrong shape", detail)
    return timedelta(hours=hours)


HANDLERS = [set_secret, list_secrets, delete_secret]
