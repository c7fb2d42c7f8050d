"""Bugs of what comes to a run from outside."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

MUTANTS: Final = (
    Mutant(
        "lose-an-event",
        "An event is taken out of the inbox of a run that waits for it, and forgotten.",
        (
            Patch(
                "execution.py",
                """                return [self._emit({"type": "event.received", **body})]
""",
                "                return []\n",
            ),
        ),
        trial="signals",
        caught_by=("completion.stuck",),
    ),
    Mutant(
        "forget-early-events",
        "A run that begins to wait is not told of what came before.",
        (
            Patch(
                "store.py",
                "        (_AWAIT, [waiting for box in said for waiting in box.waiting]),\n",
                "        (_AWAIT, [waiting._replace(behind=1 << 60) for box in said for waiting in box.waiting]),\n",
            ),
        ),
        trial="signals",
        caught_by=("completion.stuck",),
    ),
    Mutant(
        "never-mind-a-cancellation",
        "The wish that a run ends is taken out of its inbox, and nothing follows from it.",
        (
            Patch(
                "execution.py",
                """            case "cancel":
                return [self._emit({"type": "run.cancelled", **body})]
""",
                """            case "cancel":
                return []
""",
            ),
        ),
        trial="signals",
        caught_by=("completion.status",),
    ),
    Mutant(
        "go-on-when-cancelled",
        "A cancelled run goes on with the next event that comes to it.",
        (
            Patch(
                "machine.py",
                """            state.ended = "cancelled"
            state.error =""",
                "            state.error =",
            ),
        ),
        trial="signals",
        caught_by=("journal.ending",),
    ),
    Mutant(
        "time-out-a-wait-too-soon",
        "A wait for an event gives up long before its time.",
        (
            Patch(
                "execution.py",
                "                last = _after(now, wait_s)\n",
                "                last = _after(now, wait_s / 500)\n",
            ),
        ),
        trial="signals",
        caught_by=("completion.status", "completion.output"),
    ),
)
