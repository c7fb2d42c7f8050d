"""``/api/v1/workflows`` and the JSON Schema of definitions."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, QueryParameter

from meshhook import catalog, drafts, linting, shelf
from meshhook.api.openapi import PublishWrite, TagsWrite, TakesDefinition, TakesNote, TakesTags
from meshhook.api.preconditions import ETAG, IfMatch, IfNoneMatch, condition
from meshhook.api.shared import Caller, ProblemFault, decoded, problems_of, text_of, told
from meshhook.catalog import Version, VersionDetail, Workflow, WorkflowDetail
from meshhook.definition import SCHEMA
from meshhook.lint import Advice
from meshhook.side_process import SideProcess


class Workflows(msgspec.Struct, frozen=True):
    """Every workflow, by name."""

    items: list[Workflow]


class Versions(msgspec.Struct, frozen=True):
    """Every version, newest first."""

    items: list[Version]


class SavedWorkflow(Workflow, frozen=True, kw_only=True):
    """A workflow whose draft was saved. ``etag`` is what the next ``If-Match`` takes.

    ``errors`` are the faults it was allowed to have, ``warnings`` what is allowed in it and may still be a mistake.
    """

    etag: str
    errors: list[ProblemFault]
    warnings: list[Advice]


class PublishedVersion(Version, frozen=True, kw_only=True):
    """The version that runs get from now on. ``warnings``: what is allowed in it and may still be a mistake."""

    warnings: list[Advice]


@put(
    "/api/v1/workflows/{name:str}",
    summary="Save the draft of a workflow",
    operation_class=TakesDefinition,
    response_headers=[ETAG],
    responses=problems_of(408, 409, 411, 412, 413, 422),
)
async def save_draft(
    caller: NamedDependency[Caller],
    side: NamedDependency[SideProcess],
    name: FromPath[str],
    request: Request[Any, Any, Any],
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
    faulty: Annotated[bool, QueryParameter(description="Keep a draft that has faults, and tell them.")] = False,
) -> Response[SavedWorkflow]:
    """The body is a workflow definition. Every fault is reported at once, with its JSON path; then nothing is saved.

    With `faulty=true` unfinished work is kept: the draft is saved all the same, and `errors` lists the faults. It can't be
    published before they are gone. `warnings` hold what may be a mistake; nothing is refused for it.
    """
    text = text_of(await request.body())
    only = condition(if_match, if_none_match)
    saved = await drafts.save(
        caller.database, caller.project_id, name, text, only=only, faulty=faulty, check=side.check
    )
    caller.on_change()
    warnings = [] if saved.faults else await linting.advice(caller.database, caller.project_id, name, text)
    answer = SavedWorkflow(
        **msgspec.structs.asdict(saved.workflow), etag=saved.etag, errors=told(saved.faults), warnings=warnings
    )
    return Response(answer, headers={"etag": saved.etag})


@post(
    "/api/v1/workflows/{name:str}/versions",
    summary="Publish the draft",
    operation_class=TakesNote,
    responses={
        200: ResponseSpec(PublishedVersion, description="It was published already."),
        **problems_of(404, 408, 409, 411, 413, 422),
    },
)
async def publish(
    caller: NamedDependency[Caller],
    side: NamedDependency[SideProcess],
    name: FromPath[str],
    request: Request[Any, Any, Any],
) -> Response[PublishedVersion]:
    """Makes the draft the next immutable version, which runs accepted from now on get (201). The body may hold a `note` on it.

    When the draft is what is published already, nothing changes and that version is the answer (200).
    """
    body = await request.body()
    note = decoded(body, PublishWrite).note if body.strip() else None
    version, is_new = await catalog.publish(caller.database, caller.project_id, name, note, side.check)
    caller.on_change()
    warnings = await linting.advice(caller.database, caller.project_id, name)
    published = PublishedVersion(**msgspec.structs.asdict(version), warnings=warnings)
    return Response(published, status_code=201 if is_new else 200)


@get("/api/v1/workflows", summary="List workflows", responses=problems_of())
async def list_workflows(
    caller: NamedDependency[Caller],
    tag: Annotated[str | None, QueryParameter(description="Only those with this tag.")] = None,
    deleted: Annotated[bool, QueryParameter(description="Those that are deleted, instead of the others.")] = False,
) -> Workflows:
    """Every workflow of the project, by name."""
    return Workflows(await catalog.workflows(caller.database, caller.project_id, tag=tag, deleted=deleted))


@get(
    "/api/v1/workflows/{name:str}",
    summary="Read a workflow and its draft",
    response_headers=[ETAG],
    responses=problems_of(404),
)
async def get_workflow(caller: NamedDependency[Caller], name: FromPath[str]) -> Response[WorkflowDetail]:
    """One workflow with its draft. `ETag` is that of the draft: send it back with `If-Match` to change this very draft."""
    found = await catalog.workflow(caller.database, caller.project_id, name)
    return Response(found, headers={"etag": found.etag})


@get("/api/v1/workflows/{name:str}/versions", summary="List the versions of a workflow", responses=problems_of(404))
async def list_versions(caller: NamedDependency[Caller], name: FromPath[str]) -> Versions:
    """Every version of a workflow, newest first."""
    return Versions(await catalog.versions(caller.database, caller.project_id, name))


@get("/api/v1/workflows/{name:str}/versions/{number:int}", summary="Read one version", responses=problems_of(404))
async def get_version(caller: NamedDependency[Caller], name: FromPath[str], number: FromPath[int]) -> VersionDetail:
    """One version with its definition."""
    return await catalog.version(caller.database, caller.project_id, name, number)


@put(
    "/api/v1/workflows/{name:str}/tags",
    summary="Tag a workflow",
    operation_class=TakesTags,
    responses=problems_of(404, 408, 411, 413),
)
async def tag_workflow(
    caller: NamedDependency[Caller], name: FromPath[str], request: Request[Any, Any, Any]
) -> Workflow:
    """The workflow has these tags from now on, and no others: 20 at most, each of 40 characters at most."""
    tags = decoded(await request.body(), TagsWrite).tags
    return await shelf.tag(caller.database, caller.project_id, name, tags)


@delete("/api/v1/workflows/{name:str}", summary="Delete a workflow", responses=problems_of(404))
async def delete_workflow(caller: NamedDependency[Caller], name: FromPath[str]) -> None:
    """Nothing starts it any more: endpoints answer 409, schedules pass. Runs that live go on, its name stays taken, and it can be
    restored.
    """
    await shelf.delete(caller.database, caller.project_id, name)
    caller.on_change()


@post("/api/v1/workflows/{name:str}/restore", status_code=200, summary="Restore a workflow", responses=problems_of(404))
async def restore_workflow(caller: NamedDependency[Caller], name: FromPath[str]) -> Workflow:
    """Takes a deleted workflow back as it was, publication included. One that is not deleted stays as it is."""
    restored = await shelf.restore(caller.database, caller.project_id, name)
    caller.on_change()
    return restored


@get(
    "/api/v1/schemas/definition.json",
    summary="The JSON Schema of definitions",
    media_type="application/schema+json",
    responses=problems_of(),
)
async def get_schema() -> dict[str, Any]:
    """What `meshhook workflow schema` prints."""
    return SCHEMA


HANDLERS = [
    *(save_draft, publish, list_workflows, get_workflow, list_versions, get_version, get_schema),
    *(tag_workflow, delete_workflow, restore_workflow),
]
