"""Advice on the definition of a workflow that is there: what lies around it is read, and weighed in ``lint``."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from meshhook import endpoint_config
from meshhook.db.connect import Database
from meshhook.errors import DatabaseError, EndpointConfigError
from meshhook.lint import Advice, Around, children_of, lint
from meshhook.store import Store

WORKFLOWS_MAX: Final = 100
"""Of those that workflows start, and theirs; what lies further away is not looked at."""

_ENDPOINTS: Final = """
SELECT e.path, e.config::text AS config FROM meshhook.endpoints e JOIN meshhook.workflows w ON w.id = e.workflow_id
WHERE w.project_id = $1 AND w.name = $2
"""
_DEFINITIONS: Final = """
SELECT w.name, v.definition FROM meshhook.workflows w JOIN meshhook.versions v ON v.id = w.published_version_id
WHERE w.project_id = $1 AND w.name = ANY ($2::text[])
"""
_ARRIVALS: Final = """
SELECT a.per_s, a.hold_s FROM meshhook.workflows w, meshhook.arrivals($3, w.id) a WHERE w.project_id = $1 AND w.name = $2
"""


async def advice(database: Database, project_id: int, name: str, text: str | None = None) -> list[Advice]:
    """What may be a mistake in a valid definition: in ``text``, or in the draft of the workflow.

    It never fails: what can't be read at this moment is not told.
    """
    try:
        document = msgspec.json.decode(await _draft(database, project_id, name) if text is None else text)
        return lint(document, await _around(database, project_id, name, document))
    except DatabaseError:
        return []


async def _draft(database: Database, project_id: int, name: str) -> str:
    query = "SELECT draft FROM meshhook.workflows WHERE project_id = $1 AND name = $2"
    rows = await database.read(query, project_id, name)
    return rows[0]["draft"] if rows else '{"nodes": [], "edges": []}'


async def _around(database: Database, project_id: int, name: str, document: Any) -> Around:
    endpoints = {row["path"]: _is_sync(row["config"]) for row in await database.read(_ENDPOINTS, project_id, name)}
    workflows = await _started_by(database, project_id, name, document)
    per_s, hold_s = 0.0, 0.0
    for shard in range(await Store(database).shards()):
        for row in await database.read(_ARRIVALS, project_id, name, shard):
            per_s += row["per_s"]
            hold_s = max(hold_s, row["hold_s"])
    return Around(name, endpoints, workflows, per_s, hold_s)


def _is_sync(config: str) -> bool:
    try:
        return endpoint_config.parse(config).mode == "sync"
    except EndpointConfigError:
        return False


async def _started_by(database: Database, project_id: int, name: str, document: Any) -> dict[str, Any]:
    """The published definitions of the workflows that a definition starts, and of those that they start."""
    known: dict[str, Any] = {name: document}
    wanted = children_of(document) - known.keys()
    while wanted and len(known) + len(wanted) <= WORKFLOWS_MAX:
        rows = await database.read(_DEFINITIONS, project_id, sorted(wanted))
        found = {row["name"]: msgspec.json.decode(row["definition"]) for row in rows}
        known |= {name: found.get(name) for name in wanted}
        wanted = {child for definition in found.values() for child in children_of(definition)} - known.keys()
    return known
