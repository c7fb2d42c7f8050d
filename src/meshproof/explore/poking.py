"""Poking runs whose inbox somebody has put something into: a transaction of its own, as the engine does it."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from meshproof.explore.session import Session
from meshproof.explore.world import World

POKE = "SELECT meshhook.poke($1, $2)"


async def poke(session: Session, world: World, runs: Collection[UUID]) -> str:
    """Poke these runs; what lay in their inboxes before is known to be poked after."""
    numbers = {told.number for told in world.seen.signals if told.run in runs}
    await session.fetch(world.now, POKE, world.shard, sorted(runs))
    await session.commit()
    world.poked |= numbers
    for run in runs:
        known = world.runs[run]
        known.due = min(known.due, world.now_s)
    return "pokes " + ", ".join(sorted(map(world.name, runs)))
