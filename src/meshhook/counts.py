"""What a worker has done since it started, counted as it happens. Plain numbers: whoever shows them reads them from here.

Workflows are made by users, so what is counted by workflow is bounded: those beyond ``WORKFLOWS_MAX`` share one place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, Literal

from meshhook.buckets import Buckets
from meshhook.model import CallError, Response

WORKFLOWS_MAX: Final = 100
OTHER: Final = "other"
"""Stands for every project and workflow beyond those that are counted by name."""

Stage = Literal["claim", "advance", "commit"]
End = Literal["completed", "failed", "cancelled"]


@dataclass(slots=True)
class WorkflowCounts:
    """Runs of one workflow. ``seconds`` is from their acceptance to the commit of their end."""

    started: int = 0
    ended: dict[End, int] = field(default_factory=lambda: {"completed": 0, "failed": 0, "cancelled": 0})
    seconds: Buckets = field(default_factory=Buckets)


@dataclass(slots=True)
class Counts:
    """What this worker has done since it started.

    ``start_delay`` is how long runs were due before somebody began them, ``resume_delay`` how long others were before somebody
    took them up again. ``stages`` are the parts of a turn.
    """

    turns: int = 0
    claimed: int = 0
    committed: int = 0
    completed: int = 0
    failed: int = 0
    refused: int = 0
    taken_over: int = 0
    steps: int = 0
    rounds_failed: int = 0
    calls: int = 0
    calls_again: int = 0
    call_outcomes: Counter[str] = field(default_factory=Counter)
    call_seconds: Buckets = field(default_factory=Buckets)
    start_delay: Buckets = field(default_factory=Buckets)
    resume_delay: Buckets = field(default_factory=Buckets)
    stages: dict[Stage, Buckets] = field(
        default_factory=lambda: {"claim": Buckets(), "advance": Buckets(), "commit": Buckets()}
    )
    workflows: dict[tuple[str, str], WorkflowCounts] = field(default_factory=dict)

    def of(self, project: str, workflow: str) -> WorkflowCounts:
        """The counts of a workflow, or those of all that are too many."""
        found = self.workflows.get((project, workflow))
        if found is None:
            place = (project, workflow) if len(self.workflows) < WORKFLOWS_MAX else (OTHER, OTHER)
            found = self.workflows.setdefault(place, WorkflowCounts())
        return found

    def note_end(self, project: str, workflow: str, end: End, seconds: float) -> None:
        """The end of a run was committed."""
        counts = self.of(project, workflow)
        counts.ended[end] += 1
        counts.seconds.observe(seconds)
        self.completed += end == "completed"
        self.failed += end == "failed"

    def note_call(self, result: Response | CallError, seconds: float, attempt: int) -> None:
        """An outgoing call has ended, however it did."""
        self.calls += 1
        self.calls_again += attempt > 1
        self.call_outcomes[outcome_of(result)] += 1
        self.call_seconds.observe(seconds)


def outcome_of(result: Response | CallError) -> str:
    """``2xx`` and so on for what was answered, else the type of the error."""
    return f"{result.status // 100}xx" if isinstance(result, Response) else result.type


class Stopwatch:
    """Tells how long the stages of a turn take, one after the other. Only looked at: nothing is decided by it."""

    __slots__ = ("_at", "_clock", "_stages")

    def __init__(self, stages: dict[Stage, Buckets], clock: Callable[[], float] = perf_counter) -> None:
        self._stages = stages
        self._clock = clock
        self._at = clock()

    def lap(self, stage: Stage) -> None:
        """This stage is over, and the next begins."""
        now = self._clock()
        self._stages[stage].observe(now - self._at)
        self._at = now
