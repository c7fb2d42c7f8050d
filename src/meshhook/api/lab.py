"""``/api/v1/lab``: concurrency tests, begun and read from here. For operators: a test takes what the machine has.

The stream of a test is not here but in ``lab_stream``.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from meshhook import catalog
from meshhook.api.openapi import TakesTest
from meshhook.api.shared import Caller, decoded, problems_of
from meshhook.definition import parse
from meshhook.errors import Refusal
from meshhook.keys import is_operator
from meshhook.lab import comparison, wanted
from meshhook.lab.bench import Lab
from meshhook.lab.comparison import Comparison
from meshhook.lab.shelf import Test, TestBrief
from meshhook.lab.suite import Offers
from meshhook.lab.wanted import TestWanted

SIDE_MAX: Final = 50

REPORT_POLICY: Final = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report has an origin of its own: no cookie, no call, no storage of ours is within its reach. Of scripts its own policy lets in
no more than the two it was made with."""


class LabLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How far a test may go."""

    rate_max: float = wanted.RATE_MAX
    duration_s_max: float = wanted.DURATION_S_MAX
    levels_max: int = wanted.LEVELS_MAX
    in_flight_max: int = wanted.IN_FLIGHT_MAX
    workers_max: int = wanted.WORKERS_MAX


class LabStanding(msgspec.Struct, frozen=True, kw_only=True):
    """Whether tests can be begun here, and what with. ``why_not`` says what to do. ``running``: the test under way."""

    available: bool
    why_not: str | None
    running: str | None
    offers: Offers | None
    limits: LabLimits


class Tests(msgspec.Struct, frozen=True):
    """Every test that is kept, newest first."""

    items: list[TestBrief]


@get("/api/v1/lab", summary="What the Lab can do", responses=problems_of(403))
async def get_lab(caller: NamedDependency[Caller], lab: NamedDependency[Lab]) -> LabStanding:
    """Whether concurrency tests can be begun here, which, and within which limits. For keys of the project `default`."""
    _check_operator(caller)
    obstacle = lab.obstacle()
    return LabStanding(
        available=obstacle is None,
        why_not=None if obstacle is None else obstacle.detail,
        running=await asyncio.to_thread(lab.shelf.running),
        offers=None if obstacle is not None else await lab.offers(),
        limits=LabLimits(),
    )


@post(
    "/api/v1/lab/tests",
    status_code=202,
    summary="Begin a test",
    operation_class=TakesTest,
    responses=problems_of(403, 404, 408, 409, 411, 413, 422),
)
async def begin_test(
    caller: NamedDependency[Caller], lab: NamedDependency[Lab], request: Request[Any, Any, Any]
) -> Test:
    """Starts an engine of its own on an embedded Postgres in a temporary folder, drives it, and proves what became of each webhook.

    One at a time. It never touches the database of this server, and calls of a workflow go to a server of the suite.
    """
    _check_operator(caller)
    asked = decoded(await request.body(), TestWanted)
    definition = None if asked.workflow is None else await _definition(caller, asked.workflow, asked.version)
    id = await lab.begin(asked, definition)
    return await asyncio.to_thread(lab.shelf.test, id)


@get("/api/v1/lab/tests", summary="List tests", responses=problems_of(403))
async def list_tests(caller: NamedDependency[Caller], lab: NamedDependency[Lab]) -> Tests:
    """Every test that is kept, newest first."""
    _check_operator(caller)
    return Tests(await asyncio.to_thread(lab.shelf.briefs))


@get("/api/v1/lab/tests/{id:str}", summary="Read a test", responses=problems_of(403, 404))
async def get_test(caller: NamedDependency[Caller], lab: NamedDependency[Lab], id: FromPath[str]) -> Test:
    """What was asked for, where it stands, its figures, and every invariant with its counterexamples."""
    _check_operator(caller)
    return await asyncio.to_thread(lab.shelf.test, id)


@post(
    "/api/v1/lab/tests/{id:str}/cancel", status_code=202, summary="Cancel a test", responses=problems_of(403, 404, 409)
)
async def cancel_test(caller: NamedDependency[Caller], lab: NamedDependency[Lab], id: FromPath[str]) -> Test:
    """It is broken off, and nothing of its engine is left; its end is seen some seconds later."""
    _check_operator(caller)
    found = await asyncio.to_thread(lab.shelf.test, id)
    if found.state != "running":
        raise Refusal(
            409, "test-is-over", "The test is over", "A test that is over can't be cancelled. Read its verdict."
        )
    await asyncio.to_thread(lab.shelf.cancel, id)
    return found


@delete("/api/v1/lab/tests/{id:str}", summary="Delete a test", responses=problems_of(403, 404, 409))
async def delete_test(caller: NamedDependency[Caller], lab: NamedDependency[Lab], id: FromPath[str]) -> None:
    """With all of its evidence."""
    _check_operator(caller)
    await asyncio.to_thread(lab.shelf.remove, id)


@get(
    "/api/v1/lab/tests/{id:str}/report",
    summary="Read the report of a test",
    media_type="text/html",
    responses={
        200: ResponseSpec(str, description="One page that needs nothing else.", media_type="text/html"),
        **problems_of(403, 404, 409),
    },
)
async def get_report(
    caller: NamedDependency[Caller],
    lab: NamedDependency[Lab],
    id: FromPath[str],
    download: Annotated[bool, QueryParameter(description="To be saved, not shown.")] = False,
) -> Response[bytes]:
    """One HTML page, as `meshproof` makes it. Shown, it stands in an origin of its own and reaches nothing of this server."""
    _check_operator(caller)
    page = await asyncio.to_thread(lab.shelf.evidence, id) / "report.html"
    try:
        text = await asyncio.to_thread(page.read_bytes)
    except FileNotFoundError:
        raise Refusal(
            409,
            "test-without-figures",
            "There is no report",
            "It is made when the test has come to its end, not before.",
        ) from None
    headers = {"content-security-policy": REPORT_POLICY}
    if download:
        headers["content-disposition"] = f'attachment; filename="{_file_name(page)}"'
    return Response(text, media_type="text/html", headers=headers)


@get("/api/v1/lab/comparison", summary="Compare tests", responses=problems_of(403, 404, 409))
async def compare_tests(
    caller: NamedDependency[Caller],
    lab: NamedDependency[Lab],
    a: Annotated[str, QueryParameter(description="Ids of tests, with commas between them.")],
    b: Annotated[str, QueryParameter(description="Those to be compared with them.")],
) -> Comparison:
    """For each figure whether B is better, worse or no different, as `meshproof compare` says: that takes five tests of each."""
    _check_operator(caller)
    if (obstacle := lab.obstacle()) is not None:
        raise obstacle
    return await comparison.compare(lab.shelf, _ids("a", a), _ids("b", b))


async def _definition(caller: Caller, name: str, version: int | str | None) -> dict[str, Any]:
    """What is tested of a workflow, once it is known to be sound. Raises Refusal, DefinitionError."""
    found = await catalog.workflow(caller.database, caller.project_id, name)
    if version == "draft":
        definition: dict[str, Any] = found.draft
    else:
        number = found.published if version is None else int(version)
        if number is None:
            raise Refusal(
                409,
                "not-published",
                "The workflow is not published",
                "Publish it first, or test its draft: `version`: `draft`.",
            )
        definition = (await catalog.version(caller.database, caller.project_id, name, number)).definition
    parse(definition)
    return definition


def _check_operator(caller: Caller) -> None:
    if not is_operator(caller.project_id):
        raise Refusal(
            403,
            "not-operator",
            "This is for operators",
            "A test takes what the machine has. Ask with a key of the project `default`.",
        )


def _ids(name: str, text: str) -> list[str]:
    found = [id for id in text.split(",") if id]
    if not 1 <= len(found) <= SIDE_MAX:
        raise Refusal(400, "bad-request", "The request has faults", f"{name}: give 1 to {SIDE_MAX} ids of tests.")
    return found


def _file_name(page: Path) -> str:
    return f"meshproof-{page.parent.parent.name[:13]}.html"


HANDLERS = [
    *(get_lab, begin_test, list_tests, get_test, cancel_test, delete_test),
    *(get_report, compare_tests),
]
