"""Test runs: a draft tried before anybody else gets it; and what a run really runs."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from meshhook import testruns
from meshhook.api.openapi import TakesTestRun
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.side_process import SideProcess
from meshhook.testruns import TestRunWanted


class TestRunBegun(msgspec.Struct, frozen=True, kw_only=True):
    """A test run is stored, and will be worked on."""

    run_id: str
    status_url: str


@post(
    "/api/v1/workflows/{name:str}/test-runs",
    status_code=202,
    summary="Try the draft",
    operation_class=TakesTestRun,
    responses=problems_of(404, 408, 409, 411, 413, 422, 429),
)
async def start_test_run(
    caller: NamedDependency[Caller],
    side: NamedDependency[SideProcess],
    name: FromPath[str],
    request: Request[Any, Any, Any],
) -> TestRunBegun:
    """A real run of the draft, or of a `definition`. Answered when it is stored, not when it is done.

    It waits for no limit of the workflow, and is no dead letter when it fails. What it calls is called: pin a node to keep it from
    doing its work.
    """
    caller.admit(caller.project_id)
    body = await request.body()
    wanted = decoded(body, TestRunWanted) if body.strip() else TestRunWanted()
    run_id = await testruns.start(caller.database, caller.project_id, name, wanted, side.check)
    return TestRunBegun(run_id=run_id, status_url=f"/api/v1/runs/{run_id}")


HANDLERS = [start_test_run]
