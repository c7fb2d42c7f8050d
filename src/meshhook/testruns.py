"""Test runs: a draft is run before anybody else gets it. The run is a real one, under a version that is its own.

Such a version has no number: it is never published or listed, and goes when the run goes. It holds what is really run, so the run
can be verified, repeated and resumed like any other. A test run waits for no limit of the workflow and takes no slot, and is no
dead letter when it fails. What it calls is called, and what it starts is started: pin a node to keep it from doing its work.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from meshhook import audit
from meshhook.catalog import check_known, compact, unknown_workflow, workflow_deleted
from meshhook.checking import Check, check_here
from meshhook.db.connect import Connection, Database, Row
from meshhook.delivery import BODY_DEPTH_MAX
from meshhook.errors import Refusal
from meshhook.ids import any_shard, make_run_id
from meshhook.jsontext import deeper_than
from meshhook.pinning import Pin, pinned, without_limits
from meshhook.replaying import Beginning, beginning_of, take_over
from meshhook.store import RunStart, start_runs

_NO_KEYS: Final = timedelta(0)
_encode = msgspec.json.Encoder().encode

_WORKFLOW: Final = "SELECT id, draft, deleted_at FROM meshhook.workflows WHERE project_id = $1 AND name = $2"
_VERSION: Final = """
INSERT INTO meshhook.versions (workflow_id, definition, limited, priority, test_run)
VALUES ($1, $2::json, $3, $4, $5) RETURNING id
"""
_SHARDS: Final = "SELECT value::int FROM meshhook.settings WHERE name = 'shards'"


class TestRunWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a test run is started with.

    At most one of: `input`, the body of its trigger; `trigger`, all of it; `run_id`, a run that was started with the same. Without
    `definition` it runs the draft. `pins` by node id: what these nodes give instead of doing their work.
    """

    __test__ = False  # pytest would take it for a test

    input: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    trigger: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    run_id: str | None = None
    definition: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    pins: dict[str, Pin] = {}


async def start(
    database: Database, project_id: int, workflow: str, wanted: TestRunWanted, check: Check = check_here
) -> str:
    """Start a test run; returns its id after its commit.

    Raises:
        Refusal: there is no such workflow, or no such run to take the trigger from, or it can't be started so.
        DefinitionError: what is to be run, or a pin, has faults.
    """
    check_known(workflow)
    given = _given(wanted)
    row = await _workflow(database, project_id, workflow)
    text = compact(bytes(other).decode()) if (other := _definition(wanted)) else row["draft"]
    (await check(text)).or_refused()
    rewritten = without_limits(pinned(msgspec.json.decode(text), wanted.pins))
    text = _encode(rewritten).decode()
    found = (await check(text)).or_refused()
    members: dict[str, Any] = {"source": "test", "test": True, "pinned": sorted(wanted.pins)}
    async with database.transaction() as connection:
        begins = await _beginning(connection, project_id, wanted.run_id, given)
        shard = any_shard(await connection.fetchval(_SHARDS))
        run_id = make_run_id(shard, time.time_ns() // 1_000_000)
        arguments = (row["id"], text, found.limited, found.priority, run_id)
        version_id = await connection.fetchval(_VERSION, *arguments)
        made = RunStart(
            run_id=run_id,
            project_id=project_id,
            workflow=workflow,
            version_id=version_id,
            scope=None,
            key=None,
            body_hash=None,
            trigger=begins.trigger,
            members=_encode({**members, **begins.members}).decode(),
        )
        await start_runs(connection, shard, [made], _NO_KEYS)
        await take_over(connection, shard, run_id, begins.added)
        await audit.record(connection, project_id, "workflow.tested", workflow, {"run_id": run_id})
    return run_id


async def _workflow(database: Database, project_id: int, name: str) -> Row:
    rows = await database.read(_WORKFLOW, project_id, name)
    if not rows:
        raise unknown_workflow(name)
    if rows[0]["deleted_at"] is not None:
        raise workflow_deleted(name, rows[0]["deleted_at"], status=404)
    return rows[0]


def _given(wanted: TestRunWanted) -> str | None:
    """The trigger, as JSON text; ``None`` when it is that of another run.

    Raises:
        Refusal: more than one is given, or it is no trigger.
    """
    raw = [it for it in (wanted.input, wanted.trigger) if isinstance(it, msgspec.Raw)]
    if len(raw) + (wanted.run_id is not None) > 1:
        raise _refusal("`input`, `trigger` and `run_id` exclude each other: a run has one trigger")
    if any(deeper_than(bytes(it), BODY_DEPTH_MAX + 1) for it in raw):
        raise _refusal(f"the input is nested deeper than {BODY_DEPTH_MAX} levels")
    if isinstance(wanted.trigger, msgspec.Raw):
        if not bytes(wanted.trigger).startswith(b"{"):
            raise _refusal("`trigger` is an object, as the runs of the workflow have it")
        return bytes(wanted.trigger).decode()
    body = bytes(wanted.input).decode() if isinstance(wanted.input, msgspec.Raw) else "null"
    return None if wanted.run_id is not None else f'{{"key":null,"body":{body}}}'


def _definition(wanted: TestRunWanted) -> msgspec.Raw | None:
    """What is to be run in place of the draft; ``null`` says no more than leaving it out."""
    definition = wanted.definition
    return definition if isinstance(definition, msgspec.Raw) and bytes(definition) != b"null" else None


async def _beginning(connection: Connection[Row], project_id: int, run_id: str | None, given: str | None) -> Beginning:
    if run_id is not None:
        return await beginning_of(connection, project_id, run_id)
    assert given is not None
    return Beginning(given, _NOTHING, ())


_NOTHING: Final[Mapping[str, Any]] = {}


def _refusal(reason: str) -> Refusal:
    return Refusal(400, "invalid-body", "The body has the wrong shape", f"{reason}. No run was started.")
