"""What is done to runs that live: events for those that wait, cancel, pause, resume."""

from __future__ import annotations

from typing import Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from meshhook import control
from meshhook.api.openapi import EventForRun, EventWrite, Reason, TakesEvent, TakesEventForRun, TakesReason
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.control import Sent, Told, Wish

_BODY_STATUSES = (404, 408, 411, 413)


@post(
    "/api/v1/events",
    status_code=202,
    summary="Send an event",
    operation_class=TakesEvent,
    responses=problems_of(*_BODY_STATUSES),
)
async def send_event(caller: NamedDependency[Caller], request: Request[Any, Any, Any]) -> Sent:
    """For every run that waits for its name and key, now or later. With an `id` it counts once, however often it is sent."""
    event = decoded(await request.body(), EventWrite)
    return await control.send_event(
        caller.database,
        caller.project_id,
        name=event.name,
        key=event.key,
        payload=bytes(event.payload),
        id=event.id,
        keep=caller.keep_events,
    )


@post(
    "/api/v1/runs/{id:str}/signals",
    status_code=202,
    summary="Send an event to one run",
    operation_class=TakesEventForRun,
    responses=problems_of(*_BODY_STATUSES),
)
async def signal_run(caller: NamedDependency[Caller], id: FromPath[str], request: Request[Any, Any, Any]) -> Sent:
    """For the next wait of this run for the name, whatever key it waits with."""
    event = decoded(await request.body(), EventForRun)
    return await control.send_event(
        caller.database,
        caller.project_id,
        name=event.name,
        payload=bytes(event.payload),
        id=event.id,
        to=id,
        keep=caller.keep_events,
    )


@post(
    "/api/v1/runs/{id:str}/cancel",
    status_code=202,
    summary="Cancel a run",
    operation_class=TakesReason,
    responses=problems_of(*_BODY_STATUSES, 409),
)
async def cancel_run(caller: NamedDependency[Caller], id: FromPath[str], request: Request[Any, Any, Any]) -> Told:
    """From any live state; children it waits for are cancelled with it. How a call then under way ends, nobody will know."""
    body = await request.body()
    reason = decoded(body, Reason).reason if body.strip() else None
    return await control.tell(caller.database, caller.project_id, id, "cancel", reason)


@post("/api/v1/runs/{id:str}/pause", status_code=202, summary="Pause a run", responses=problems_of(404, 409))
async def pause_run(caller: NamedDependency[Caller], id: FromPath[str]) -> Told:
    """No step begins until it is resumed. A call under way ends, and its answer is kept."""
    return await _tell(caller, id, "pause")


@post("/api/v1/runs/{id:str}/resume", status_code=202, summary="Resume a paused run", responses=problems_of(404, 409))
async def resume_run(caller: NamedDependency[Caller], id: FromPath[str]) -> Told:
    """It goes on where it was."""
    return await _tell(caller, id, "resume")


async def _tell(caller: Caller, id: str, wish: Wish) -> Told:
    return await control.tell(caller.database, caller.project_id, id, wish)


HANDLERS = [send_event, signal_run, cancel_run, pause_run, resume_run]
