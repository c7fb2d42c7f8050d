"""Bugs of the journal: what is written of a run is not what happened to it."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

TAKEN_OUT: Final = "        seq, events, before = self.seq, self.pending, self.waits\n"

MUTANTS: Final = (
    Mutant(
        "lose-one-event",
        "Of the events that are committed together, the second is lost; the numbers have no gap.",
        (
            Patch(
                "held.py",
                TAKEN_OUT,
                """        if len(self.pending) > 3:
            del self.pending[1]
"""
                + TAKEN_OUT,
            ),
        ),
        trial="steps",
        caught_by=("journal.order", "journal.complete", "journal.fold"),
    ),
    Mutant(
        "skip-a-number",
        "Between two commits of a run one sequence number is left out.",
        (
            Patch(
                "held.py",
                "        self.seq, self.pending, self.waits = seq + len(events), [], waits_of(self.state)\n",
                "        self.seq, self.pending, self.waits = seq + len(events) + 1, [], waits_of(self.state)\n",
            ),
        ),
        trial="calls",
        caught_by=("journal.gapless",),
    ),
    Mutant(
        "end-without-saying-so",
        "A run is marked as ended, and its journal has no terminal event.",
        (
            Patch(
                "held.py",
                TAKEN_OUT,
                """        if self.finished and len(self.pending) > 1:
            del self.pending[-1]
"""
                + TAKEN_OUT,
            ),
        ),
        trial="steps",
        caught_by=("journal.ending",),
    ),
    Mutant(
        "something-before-accepted",
        "A journal begins with something else than the acceptance of its run.",
        (
            Patch(
                "db/sql/functions/accept.sql",
                """('[{"type":"run.accepted",' ||""",
                """('[{"type":"run.resumed","by":"nobody"},{"type":"run.accepted",' ||""",
            ),
            Patch(
                "machine.py",
                "    stream = iter(events)\n    first = next(stream, None)\n",
                "    stream = iter(events)\n    next(stream, None)\n    first = next(stream, None)\n",
            ),
            Patch("machine.py", "        events=1,\n", "        events=2,\n"),
        ),
        trial="steps",
        caught_by=("journal.first",),
    ),
    Mutant(
        "complete-a-step-twice",
        "The completion of a step is written twice.",
        (
            Patch(
                "held.py",
                TAKEN_OUT,
                """        if self.finished and len(self.pending) > 1:
            self.pending.insert(0, self.pending[-2])
"""
                + TAKEN_OUT,
            ),
        ),
        trial="steps",
        caught_by=("journal.once",),
    ),
)
