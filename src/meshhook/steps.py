"""The steps of one run, as pages draw them: read from its journal, in bounded work, and told by ``story``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

import msgspec

from meshhook import checking, history
from meshhook.db.connect import Connection, Database, Row
from meshhook.errors import Refusal
from meshhook.evaluating import Evaluated
from meshhook.model import TRIGGER, Definition, RunStatus, split_path
from meshhook.side_process import SideProcess
from meshhook.side_work import ToEvaluate
from meshhook.story import Iteration, Moment, Payload, Step, Story, View, cut, decode_row, payload

ITEMS_MAX: Final = 200
STEPS_MAX: Final = 2_000
"""A page of items has as many as make so many steps, but always one."""

JOURNAL_BYTES_MAX: Final = 32 * 1024 * 1024
"""So much of a journal is read; what comes behind is not told, and the answer says so."""

_DEFINITIONS_MAX: Final = 50
_AT_ONCE: Final = 2_000
_PREFETCH: Final = 8
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}(\[[0-9]{1,9}\]\.[A-Za-z_][A-Za-z0-9_]{0,63}){0,8}")
_RUN: Final = """
SELECT r.status, r.version_id FROM meshhook.runs r WHERE r.shard = $1 AND r.id = $2 AND r.project_id = $3
"""
_TEXT: Final = """
SELECT v.definition FROM meshhook.runs r JOIN meshhook.versions v ON v.id = r.version_id
WHERE r.shard = $1 AND r.id = $2 AND r.project_id = $3
"""
_DEFINITION: Final = "SELECT definition FROM meshhook.versions WHERE id = $1"
_JOURNAL: Final = """
SELECT seq, epoch, claimed_at, at, events::text AS events FROM meshhook.journal
WHERE shard = $1 AND run_id = $2 ORDER BY seq
"""


class StepPage(msgspec.Struct, frozen=True, kw_only=True):
    """Steps of a run: all that are not in a loop, or, ``within`` a loop, those of some of its items.

    ``seq`` is the last event that was looked at: go on with the stream of the run from there. ``complete`` is false when the
    journal is longer than what is read at once; then what came behind ``seq`` is not told here. ``iterations`` are the items of the
    page, of ``count`` in all; ``next`` is the item to ask for as ``start`` to go on, ``null`` at the end.
    """

    run_id: UUID
    status: RunStatus
    seq: int
    complete: bool
    within: str | None
    count: int | None
    items: list[Step]
    iterations: list[Iteration]
    next: int | None


class StepDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One step with all of its input and output. The rest as for a page of steps."""

    run_id: UUID
    status: RunStatus
    seq: int
    complete: bool
    step: Step


class Storyteller:
    """Tells the steps of runs, for one API process. Remembers compiled definitions, for versions never change."""

    def __init__(self, database: Database, side: SideProcess, *, journal_bytes_max: int = JOURNAL_BYTES_MAX) -> None:
        self._database = database
        self._side = side
        self._bytes_max = journal_bytes_max
        self._definitions: dict[int, Definition] = {}

    async def steps(
        self,
        project_id: int,
        id: str,
        *,
        within: str | None = None,
        start: int = 0,
        limit: int = 50,
        failed: bool = False,
    ) -> StepPage:
        """The steps of a run, or, ``within`` the loop of this path, those of its items from ``start`` on.

        Args:
            failed: only the items that failed.

        Raises:
            Refusal: there is no such run, or no such loop in its definition.
            DefinitionError: the definition of the run is not valid any more.
        """
        if within is None:
            read = await self._read(project_id, id, View(""))
            return read.page(None, None)
        body = (await self._definition_of(project_id, id, f"{within}[0].x"))[1]
        limit = max(1, min(limit, STEPS_MAX // len(body.nodes)))
        if not failed:
            read = await self._read(project_id, id, View(within, range(start, start + limit)))
            return read.page(within, start + limit if start + limit < read.story.count else None)
        known = await self._read(project_id, id, View(within, ()))
        wanted = sorted(index for index in known.story.failed_items if index >= start)
        read = await self._read(project_id, id, View(within, frozenset(wanted[:limit])))
        return read.page(within, wanted[limit] if len(wanted) > limit else None)

    async def step(self, project_id: int, id: str, path: str) -> StepDetail:
        """One step, with all of its input and output.

        Raises:
            Refusal: there is no such run, or no such step in its definition.
            DefinitionError: the definition of the run is not valid any more.
        """
        _, around = await self._definition_of(project_id, id, path)
        scope, node = split_path(path)
        if node not in around.nodes:
            raise _unknown_step(path)
        before = {source for source, edges in around.out_edges.items() for edge in edges if edge.target == node}
        read = await self._read(project_id, id, View(scope, None, frozenset({node, *before})))
        found = _in(read.story, node)
        if scope and found.input_from == [TRIGGER]:
            found.input = await self._item(project_id, id, scope)
        return StepDetail(
            run_id=read.run_id, status=read.status, seq=read.story.events, complete=read.complete, step=found
        )

    async def _item(self, project_id: int, id: str, scope: str) -> Payload | None:
        """The item that an iteration is about. It is in no journal: the loop is asked for it again, with what it saw."""
        loop, _, index = scope.removesuffix("]").rpartition("[")
        seen = await self._seen_by(project_id, id, loop)
        if seen is None:
            return None
        run_id, shard = history.place_of(id)
        rows = await self._database.read(_TEXT, shard, run_id, project_id)
        source = f"({_items_of(rows[0]['definition'], loop)})[{index}]"
        asked = {"expressions": [{"kind": "expression", "source": source}], "context": seen}
        try:
            [answer] = await self._side.ask(ToEvaluate(msgspec.Raw(msgspec.json.encode(asked))), list[Evaluated])
        except Refusal:  # too busy: the step is told without it
            return None
        if not answer.ok:
            return None
        if answer.left_out:
            return cut(answer.size_bytes, None)
        return payload(msgspec.Raw(msgspec.json.encode(answer.result)), None)

    async def _seen_by(self, project_id: int, id: str, path: str) -> dict[str, Any] | None:
        """What the expressions of a step saw; ``None`` when not all of it can be told."""
        around = (await self._definition_of(project_id, id, path))[1]
        scope, node = split_path(path)
        read = await self._read(project_id, id, View(scope, None, frozenset({TRIGGER, *around.nodes})))
        step, steps = _in(read.story, node), read.story.led_to(node)
        about = {"id": id, "workflow": read.story.workflow, "version": read.story.version}
        seen: dict[str, Any] = {"trigger": read.story.trigger(), "run": about, "steps": {}}
        if scope:
            loop, _, index = scope.removesuffix("]").rpartition("[")
            outer, item = await self._seen_by(project_id, id, loop), await self._item(project_id, id, scope)
            if outer is None or item is None or item.truncated:
                return None
            seen["steps"] = outer["steps"]
            seen["loop"] = {
                "item": item.value,
                "index": int(index),
                "count": read.story.count,
                "outer": outer.get("loop"),
            }
            if step.input_from == [TRIGGER]:
                step.input = item
        if step.input is None or step.input.truncated:
            return None
        seen["steps"] = seen["steps"] | {of: output.value for of, output in steps.items()}
        return seen | {"input": step.input.value}

    async def _definition_of(self, project_id: int, id: str, path: str) -> tuple[Definition, Definition]:
        """The definition of a run, and what the step of a path stands in: that, or the body of a loop."""
        run_id, shard = history.place_of(id)
        async with self._database.connection() as connection:
            definition = await self._definition(connection, await _version_of(connection, shard, run_id, project_id))
        around = definition
        for name in _loops_in(path):
            body = around.nodes[name].body if name in around.nodes else None
            if body is None:
                raise _unknown_step(path)
            around = body
        return definition, around

    async def _read(self, project_id: int, id: str, view: View) -> _Read:
        run_id, shard = history.place_of(id)
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_RUN, shard, run_id, project_id)
            if row is None:
                raise history.unknown_run(id)
            story = Story(await self._definition(connection, row["version_id"]), view)
            complete = await self._tell(connection, shard, run_id, story)
        return _Read(run_id, story.status or row["status"], story, complete)

    async def _tell(self, connection: Connection[Row], shard: int, run_id: UUID, story: Story) -> bool:
        """Let a story take the journal of a run; says whether that was all of it."""
        before, size = None, 0
        async for row in connection.cursor(_JOURNAL, shard, run_id, prefetch=_PREFETCH):
            size += len(row["events"])
            if size > self._bytes_max and story.events:
                return False
            at = row["at"]
            # What is in a row was done since its writer took the run, or since the row before, whichever came last.
            since = at if row["claimed_at"] is None else max(row["claimed_at"], before or row["claimed_at"])
            moment = Moment(at, since, row["epoch"] == 0)
            for number, entry in enumerate(decode_row(row["events"])):
                story.take(entry, moment)
                if number % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)  # webhooks come first
            before = at
        return True

    async def _definition(self, connection: Connection[Row], version_id: int) -> Definition:
        known = self._definitions.get(version_id)
        if known is None:
            known = await checking.compiled(await connection.fetchval(_DEFINITION, version_id))
            if len(self._definitions) >= _DEFINITIONS_MAX:
                self._definitions.clear()
            self._definitions[version_id] = known
        return known


class _Read(msgspec.Struct, frozen=True):
    run_id: UUID
    status: RunStatus
    story: Story
    complete: bool

    def page(self, within: str | None, next: int | None) -> StepPage:
        return StepPage(
            run_id=self.run_id,
            status=self.status,
            seq=self.story.events,
            complete=self.complete,
            within=within,
            count=None if within is None else self.story.count,
            items=self.story.steps(),
            iterations=self.story.iterations(),
            next=next,
        )


def _in(story: Story, node: str) -> Step:
    return next(step for step in story.steps() if step.node == node)


def _items_of(definition: str, loop: str) -> str:
    """The expression that gives the items of a loop."""
    around = msgspec.json.decode(definition)
    config: dict[str, Any] = {}
    for name in (part.partition("[")[0] for part in loop.split(".")):
        config = next(node["config"] for node in around["nodes"] if node["id"] == name)
        around = config["body"]
    return str(config["items"])


async def _version_of(connection: Connection[Row], shard: int, run_id: UUID, project_id: int) -> int:
    row = await connection.fetchrow(_RUN, shard, run_id, project_id)
    if row is None:
        raise history.unknown_run(str(run_id))
    return int(row["version_id"])


def _loops_in(path: str) -> Collection[str]:
    """The nodes of the loops that a path leads through.

    Raises:
        Refusal: it is no path.
    """
    if not _PATH.fullmatch(path):
        raise _unknown_step(path)
    return [part.partition("[")[0] for part in path.split(".")[:-1]]


def _unknown_step(path: str) -> Refusal:
    return Refusal(
        404,
        "unknown-step",
        "There is no such step",
        f"The version of this run has no {path[:100]!r}. A step is a node, or in a loop such as each[3].charge.",
    )
