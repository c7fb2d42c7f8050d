"""``/api/v1/lanes``: who waits for whom, where workflows have limits."""

from __future__ import annotations

import msgspec
from litestar import get
from litestar.di import NamedDependency

from meshhook import waiting
from meshhook.api.shared import Caller, problems_of


class Lanes(msgspec.Struct, frozen=True):
    """The lanes in which somebody stands, the longest lines first; at most 200 of each shard."""

    items: list[waiting.Lane]


@get("/api/v1/lanes", summary="Lanes in which runs wait or are worked on", responses=problems_of())
async def list_lanes(caller: NamedDependency[Caller]) -> Lanes:
    """A lane is the runs of a workflow with one key. `live` runs have a slot, `waiting` ones wait for it."""
    return Lanes(await waiting.lanes(caller.database, caller.project_id, await caller.store.shards()))


HANDLERS = [list_lanes]
