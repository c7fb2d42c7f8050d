"""``/api/v1/schedules``: runs that start by the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from meshhook import schedules
from meshhook.api.openapi import ScheduleWrite, TakesSchedule
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.schedules import NEXT_MAX, Schedule
from meshhook.timetable import Shown, Timetable, upcoming


class Schedules(msgspec.Struct, frozen=True):
    """Every schedule, by name."""

    items: list[Schedule]


class NextTicks(msgspec.Struct, frozen=True):
    """The next ticks, in order."""

    items: list[Shown]


@put(
    "/api/v1/schedules/{name:str}",
    summary="Make or change a schedule",
    operation_class=TakesSchedule,
    responses=problems_of(404, 408, 411, 413, 422),
)
async def save_schedule(
    caller: NamedDependency[Caller], name: FromPath[str], request: Request[Any, Any, Any]
) -> Schedule:
    """From now on the workflow runs by the clock. What is left out of the body has its default, whatever it was before."""
    wanted = decoded(await request.body(), ScheduleWrite)
    told = msgspec.structs.asdict(wanted)
    workflow = told.pop("workflow")
    return await schedules.save(caller.database, caller.project_id, name, workflow, Timetable(**told))


@get("/api/v1/schedules", summary="List schedules", responses=problems_of())
async def list_schedules(caller: NamedDependency[Caller]) -> Schedules:
    """Every schedule of the project, by name."""
    return Schedules(await schedules.schedules(caller.database, caller.project_id))


@get("/api/v1/schedules/{name:str}", summary="Read a schedule", responses=problems_of(404))
async def get_schedule(caller: NamedDependency[Caller], name: FromPath[str]) -> Schedule:
    """What it was told, and where it stands."""
    return await schedules.schedule(caller.database, caller.project_id, name)


@get("/api/v1/schedules/{name:str}/next", summary="Read the next ticks of a schedule", responses=problems_of(404))
async def get_next(
    caller: NamedDependency[Caller],
    name: FromPath[str],
    count: Annotated[int, QueryParameter(ge=1, le=NEXT_MAX, description="Ticks, at most.")] = 10,
    after: Annotated[datetime | None, QueryParameter(description="Ticks after this moment instead of now.")] = None,
) -> NextTicks:
    """When it will tick, paused or not: on the clock of its time zone, and in UTC."""
    found = await schedules.schedule(caller.database, caller.project_id, name)
    moment = (
        await schedules.now(caller.database) if after is None else after if after.tzinfo else after.replace(tzinfo=UTC)
    )
    return NextTicks(upcoming(found, moment, count))


@post("/api/v1/schedules/{name:str}/pause", status_code=200, summary="Pause a schedule", responses=problems_of(404))
async def pause_schedule(caller: NamedDependency[Caller], name: FromPath[str]) -> Schedule:
    """It starts nothing until it is resumed; what passes meanwhile is not made up for."""
    return await schedules.pause(caller.database, caller.project_id, name)


@post("/api/v1/schedules/{name:str}/resume", status_code=200, summary="Resume a schedule", responses=problems_of(404))
async def resume_schedule(caller: NamedDependency[Caller], name: FromPath[str]) -> Schedule:
    """It goes on with the next tick after now."""
    return await schedules.resume(caller.database, caller.project_id, name)


@delete("/api/v1/schedules/{name:str}", summary="Delete a schedule", responses=problems_of(404))
async def delete_schedule(caller: NamedDependency[Caller], name: FromPath[str]) -> None:
    """Its runs stay, and those that live go on."""
    await schedules.delete(caller.database, caller.project_id, name)


HANDLERS = [
    *(save_schedule, list_schedules, get_schedule, get_next),
    *(pause_schedule, resume_schedule, delete_schedule),
]
