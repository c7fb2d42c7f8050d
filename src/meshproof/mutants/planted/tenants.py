"""Bugs that let one project see what belongs to another."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

MUTANTS: Final = (
    Mutant(
        "list-the-runs-of-others",
        "The list of runs has those of every project.",
        (
            Patch(
                "db/sql/functions/runs_page.sql",
                "          WHERE scanned.project_id = p_project_id\n            AND (p_status",
                "          WHERE (p_status",
            ),
        ),
        trial="tenants",
        caught_by=("tenants.replies",),
    ),
    Mutant(
        "send-events-to-others",
        "An event reaches the runs of every project that wait for its name and key.",
        (
            Patch(
                "db/sql/functions/events.sql",
                "        WHERE w.shard = p_shard AND w.project_id = p_project_id AND w.name = p_name\n",
                "        WHERE w.shard = p_shard AND w.name = p_name\n",
            ),
        ),
        trial="tenants",
        caught_by=("tenants.rows",),
    ),
)
