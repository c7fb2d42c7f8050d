"""What a run that resumes another one from a step takes over from its journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from meshhook.errors import Refusal
from meshhook.frontier import Scope
from meshhook.model import Completed, Definition, split_path

Journaled = Mapping[str, Any]


def kept_events(definition: Definition, events: Iterable[Journaled], step: str) -> list[Journaled]:
    """The ends of all steps of the run itself that ``step`` does not lead to; a loop is kept or redone as a whole.

    Raises:
        Refusal: there is no such step, or the run never came to it.
    """
    if step not in definition.nodes:
        raise Refusal(
            404,
            "unknown-step",
            "There is no such step",
            f"The version of this run has no node {step[:100]!r}. Resume from a node of the workflow, not from one within a loop.",
        )
    redone = _reached_from(definition, step)
    kept = [event for event in events if _is_end(event) and event["node"] not in redone]
    if not _is_ready(definition, kept, step):
        raise Refusal(
            409,
            "step-not-reached",
            "The run never came to this step",
            f"What leads to {step!r} was not completed, or another branch was taken. Resume from an earlier step.",
        )
    return kept


def _is_end(event: Journaled) -> bool:
    return event["type"] in ("step.completed", "step.failed") and not split_path(event["node"])[0]


def _reached_from(definition: Definition, step: str) -> set[str]:
    reached, waiting = {step}, [step]
    while waiting:
        fresh = {edge.target for edge in definition.out_edges[waiting.pop()]} - reached
        reached |= fresh
        waiting += fresh
    return reached


def _is_ready(definition: Definition, kept: Iterable[Journaled], step: str) -> bool:
    scope = Scope(definition, "", None)
    for event in kept:
        if event["type"] == "step.completed":
            scope.complete(event["node"], Completed(event["output"], event.get("port", "out")))
    while (ready := scope.begin_next()) is not None:
        if ready == step:
            return True
    return False
