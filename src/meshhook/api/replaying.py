"""Finished runs begun again."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter

from meshhook import replaying
from meshhook.api.openapi import ReplayWrite, ResumeWrite, TakesReplay, TakesStep
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.delivery import dedupe_key
from meshhook.replaying import Begun


@post(
    "/api/v1/runs/{id:str}/replay",
    status_code=202,
    summary="Replay a finished run",
    operation_class=TakesReplay,
    responses=problems_of(404, 408, 409, 411, 413, 422, 429),
)
async def replay_run(
    caller: NamedDependency[Caller],
    id: FromPath[str],
    request: Request[Any, Any, Any],
    idempotency_key: Annotated[
        str | None, HeaderParameter(name="idempotency-key", description="The same key begins one run alone.")
    ] = None,
) -> Begun:
    """A new run with the same trigger. The finished run stays as it is, and is no dead letter any more."""
    caller.admit(caller.project_id)
    body = await request.body()
    wanted = decoded(body, ReplayWrite) if body.strip() else ReplayWrite()
    return await replaying.replay(
        caller.database,
        caller.project_id,
        id,
        version=wanted.version,
        key=dedupe_key(idempotency_key, None),
        keep=caller.keep,
    )


@post(
    "/api/v1/runs/{id:str}/resume-from",
    status_code=202,
    summary="Resume a finished run from a step",
    operation_class=TakesStep,
    responses=problems_of(404, 408, 409, 411, 413, 429),
)
async def resume_run_from(caller: NamedDependency[Caller], id: FromPath[str], request: Request[Any, Any, Any]) -> Begun:
    """A new run of the same version that takes over what was done before the step, and goes on from there."""
    caller.admit(caller.project_id)
    step = decoded(await request.body(), ResumeWrite).step
    return await replaying.resume_from(caller.database, caller.project_id, id, step)


HANDLERS = [replay_run, resume_run_from]
