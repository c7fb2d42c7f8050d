"""Which scenarios of a run have no reference model: workflows that are tested as they are (meshproof.own)."""

from __future__ import annotations

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.invariant import Finding


def without_model(facts: Facts) -> list[str]:
    """Their names, in order. A scenario that nobody knows is none of them: whoever weighs its runs says so."""
    known = facts.plan["scenarios"].keys() & set(scenarios.names())
    return [name for name in sorted(known) if not scenarios.load(name).modelled]


def no_model_alone(facts: Facts, checked: int, what: str) -> Finding | None:
    """The finding on what only a model could say, where no scenario has one: nothing was asked. Otherwise None."""
    if len(without_model(facts)) < len(facts.plan["scenarios"]):
        return None
    return Finding(checked, "plans", 0, [], note=f"not judged: no model says {what}")


def varies(facts: Facts) -> list[str]:
    """Why runs of one body may rightly end differently, for those that may."""
    return [reason for name in without_model(facts) if (reason := scenarios.load(name).varies)]
