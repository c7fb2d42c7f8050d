"""``/api/v1/audit``: who changed what, and used which secret."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import QueryParameter

from meshhook import audit
from meshhook.api.shared import Caller, problems_of
from meshhook.audit import PAGE_MAX


@get("/api/v1/audit", summary="Read the audit log, newest first", responses=problems_of())
async def list_audit(
    caller: NamedDependency[Caller],
    action: Annotated[str | None, QueryParameter(description="Only this action, or a group of them: `secret`.")] = None,
    subject: Annotated[str | None, QueryParameter(description="Only what was done to this.")] = None,
    before: Annotated[
        int | None, QueryParameter(ge=1, le=2**63 - 1, description="`before` of the page before.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="Entries a page, at most.")] = 100,
) -> audit.Page:
    """What was done in the project, and what concerns the whole installation."""
    return await audit.entries(
        caller.database, caller.project_id, action=action, subject=subject, before=before, limit=limit
    )


HANDLERS = [list_audit]
