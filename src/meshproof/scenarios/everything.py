"""One of each: every scenario that can share an engine with the others, taken from the folder."""

from __future__ import annotations

from typing import Final

from meshproof import scenarios
from meshproof.scenarios.simple import DEFINITION, model, payload

__all__ = ["BLEND", "DEFINITION", "model", "payload"]

# Its deliveries are those of the others; a workflow of its own it has for the form.
LONGEST_S: Final = 120.0
"""What sleeps for longer is driven alone."""


def shares(name: str) -> bool:
    """Whether a scenario can be blended: with no backlog, nothing done to the engine meanwhile, and no settings of its own."""
    scenario = scenarios.load(name)
    members = [scenarios.load(member) for member in scenario.members]
    return scenario.backlog is None and not any(
        each.acts or each.engine or each.backlog or each.drain_s > LONGEST_S for each in members
    )


BLEND = {
    member: 1
    for name in scenarios.built_in()
    if name not in ("everything", "smoke") and shares(name)
    for member in scenarios.load(name).blend
}
