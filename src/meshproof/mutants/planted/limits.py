"""Bugs of limits: how many at once, and in which order."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

LANES_SQL: Final = "db/sql/functions/claim_lanes.sql"

MUTANTS: Final = (
    Mutant(
        "count-one-too-few",
        "Of a key one run more may be under way than its limit says.",
        (
            Patch(
                LANES_SQL,
                "        v_free := v_lane.slots - (SELECT count(*)",
                "        v_free := v_lane.slots + 1 - (SELECT count(*)",
            ),
        ),
        trial="slots",
        caught_by=("limits.slots",),
    ),
    Mutant(
        "last-come-first-served",
        "Of the runs that wait for a key, the last one starts first.",
        (
            Patch(
                LANES_SQL,
                """                         ORDER BY t.priority, t.place
                         LIMIT v_want);""",
                """                         ORDER BY t.priority, t.place DESC
                         LIMIT v_want);""",
            ),
        ),
        trial="lanes",
        caught_by=("limits.order",),
    ),
)
