"""``/api/v1/runs/{id}/steps``: a run step by step."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from meshhook.api.shared import Caller, problems_of
from meshhook.steps import ITEMS_MAX, StepDetail, StepPage, Storyteller


@get("/api/v1/runs/{id:str}/steps", summary="Read the steps of a run", responses=problems_of(404, 422))
async def get_steps(
    caller: NamedDependency[Caller],
    storyteller: NamedDependency[Storyteller],
    id: FromPath[str],
    within: Annotated[str | None, QueryParameter(description="Path of a loop: the steps of its items.")] = None,
    start: Annotated[int, QueryParameter(ge=0, le=10**9, description="From this item on.")] = 0,
    limit: Annotated[int, QueryParameter(ge=1, le=ITEMS_MAX, description="Items a page, at most.")] = 50,
    failed: Annotated[bool, QueryParameter(description="Only items that failed.")] = False,
) -> StepPage:
    """Every node of the definition with what became of it: begin, end, attempts, waits, input, output, error.

    Payloads of more than 4 KiB are told by their size and beginning.
    """
    return await storyteller.steps(caller.project_id, id, within=within, start=start, limit=limit, failed=failed)


@get("/api/v1/runs/{id:str}/steps/{path:str}", summary="Read one step of a run", responses=problems_of(404, 422))
async def get_step(
    caller: NamedDependency[Caller],
    storyteller: NamedDependency[Storyteller],
    id: FromPath[str],
    path: FromPath[str],
) -> StepDetail:
    """With all of its input and output. `path` is that of a step, such as `charge`, or in a loop `each[3].charge`."""
    return await storyteller.step(caller.project_id, id, path)


HANDLERS = [get_steps, get_step]
