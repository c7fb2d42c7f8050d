"""Bugs of timers."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

MUTANTS: Final = (
    Mutant(
        "fire-early",
        "A timer fires a second before its time.",
        (
            Patch(
                "execution.py",
                """        until = self.state.timers[step.path]
        if until <= now:
""",
                """        until = self.state.timers[step.path]
        if until <= now + timedelta(seconds=1):
""",
            ),
        ),
        trial="naps",
        caught_by=("timers.early",),
    ),
    Mutant(
        "sleep-too-short",
        "A timer is set for nine tenths of the time that was asked for.",
        (
            Patch(
                "execution.py",
                "ends = until.isoformat() if until else _after(now, seconds)",
                "ends = until.isoformat() if until else _after(now, seconds * 0.9)",
            ),
        ),
        trial="naps",
        caught_by=("timers.asked",),
    ),
    Mutant(
        "sleep-for-ever",
        "A run that sleeps is due on no day.",
        (
            Patch(
                "held.py",
                "if self.wants.calls else self.wants.wake_at or NEVER",
                "if self.wants.calls else NEVER",
            ),
        ),
        trial="naps",
        caught_by=("completion.stuck",),
    ),
)
