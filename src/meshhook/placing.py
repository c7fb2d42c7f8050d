"""Placing a run that was just accepted: its lane, bucket and priority are computed from its data, by the settings of its version.

This is done by a worker and not at the door: the version is pinned in the same snapshot that stores a delivery, every source of
runs takes the same road, and an expression that goes wrong fails the run in its journal, not a webhook.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from meshhook.errors import ExpressionError
from meshhook.held import Held
from meshhook.model import Placing
from meshhook.store import Turn

_OVERTAKEN: Final = "a newer run with the same key came"
_REJECTED: Final = {"type": "rejected", "reason": "its lane has as many live runs as its concurrency limit allows"}


async def place_all(turn: Turn, entering: Sequence[Held]) -> tuple[list[Held], set[UUID]]:
    """Get runs that were claimed from their entry in line.

    Returns those that end at once, for reasons that are in their pending events, and runs elsewhere that were told to cancel:
    they are to be poked after the commit.
    """
    placings = [(held, placing) for held in entering if (placing := _placing_of(held)) is not None]
    fates = await turn.place([held.claimed for held, _ in placings], [of for _, of in placings]) if placings else {}
    for held, _ in placings:
        match fates.pop(held.claimed.run_id, None):
            case "rejected":
                held.give_up(_REJECTED)
            case "overtaken":
                held.cancel(_OVERTAKEN)
    return [held for held in entering if held.finished], set(fates)


def _placing_of(held: Held) -> Placing | None:
    """Where the run is to wait; ``None`` when it has ended, because it can't be said."""
    if held.finished or held.execution is None:
        return None
    place = held.execution.definition.place
    if (
        place is None
    ):  # the version says there is a limit, the definition that there is none: an older MeshHook wrote it
        return Placing(None, None, "queue", None, None, None, 1, None)
    try:
        return place({"input": held.state.trigger["body"], "trigger": held.state.trigger})
    except ExpressionError as failure:
        held.give_up({"type": "expression", "reason": failure.reason, "expression": failure.expression})
        return None


def overdue(held: Held) -> dict[str, Any] | None:
    """Why a run is given up before it has started; ``None`` when it is in time."""
    ttl_s = held.execution.definition.ttl_s if held.execution is not None else None
    if ttl_s is None or held.finished or held.claimed.epoch > 1 or held.claimed.waited_s < ttl_s:
        return None
    return {"type": "queue-ttl", "reason": f"not started within {ttl_s:g} s of its acceptance"}
