"""Reading the feed, and the journal of one run, as pages of journal rows. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from meshhook.db.connect import Database, Row
from meshhook.frames import Position, Written
from meshhook.history import place_of, unknown_run

_ROWS_MAX: Final = 500
_LOOKED_AT_MAX: Final = 5_000


@dataclass(frozen=True, slots=True)
class Page:
    """Some journal rows in the order of the feed. ``upto`` is where to go on; ``more``: there is more right now.

    ``forgotten``: some of what was asked for is gone, and there are no rows.
    """

    rows: list[Written]
    upto: Position
    more: bool
    forgotten: bool = False


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some journal rows of one run; ``ended``: the run has, and this was the last of it. ``status``: where it stands."""

    rows: list[Written]
    more: bool
    ended: bool
    status: str


class Feed:
    """The feed of one database."""

    def __init__(self, database: Database, shards: int) -> None:
        self._database = database
        self._shards = shards

    async def end(self) -> Position:
        """Where what comes from now on begins."""
        rows = await self._database.read("SELECT meshhook.feed_end()")
        return Position(rows[0][0] + 1)

    async def page(
        self,
        after: Position,
        bytes_max: int,
        *,
        project_id: int | None = None,
        workflows: Collection[str] | None = None,
    ) -> Page:
        """What was written behind a position: in all projects, in one, or in some of its workflows.

        The row the position stands in is told whole. A page looks at a bounded number of rows, and ends with the one that makes
        it as long as ``bytes_max``; it may be empty, and yet there is more.

        Raises:
            Unavailable: there is no answer.
        """
        *rows, last = await self._database.read(
            "SELECT * FROM meshhook.feed_page($1, $2, $3, $4, $5, $6, $7)",
            self._shards,
            after.place,
            after.ordinal,
            project_id,
            None if workflows is None else list(workflows),
            _ROWS_MAX if project_id is None else _LOOKED_AT_MAX,
            bytes_max,
        )
        if last["place"] is None:
            return Page([], after, more=True, forgotten=True)
        return Page([_written(row) for row in rows], Position(last["place"], last["ordinal"]), not last["finished"])

    async def run_page(self, project_id: int, id: str, after: int, bytes_max: int) -> RunPage:
        """What was written to a run behind event ``after``. The row that event stands in is told whole.

        Raises:
            Refusal: there is no such run. Unavailable: there is no answer.
        """
        run_id, shard = place_of(id)
        found = await self._database.read(
            "SELECT * FROM meshhook.run_page($1, $2, $3, $4, $5, $6)",
            shard,
            run_id,
            project_id,
            after,
            _ROWS_MAX,
            bytes_max,
        )
        if not found:
            raise unknown_run(id)
        *rows, last = found
        return RunPage([_written(row) for row in rows], last["ordinal"] == 1, last["finished"], last["status"])


def _written(row: Row) -> Written:
    place = row["place"]
    return Written(
        None if place is None else Position(place, row["ordinal"]),
        row["run_id"],
        row["project_id"],
        row["workflow"],
        row["seq"],
        row["epoch"],
        row["at"],
        row["status"],
        row["finished"],
        row["events"],
    )
