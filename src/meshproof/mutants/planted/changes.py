"""Bugs of what changes while deliveries arrive: versions, operations over many runs, schedules, and what is gathered."""

from __future__ import annotations

from typing import Final

from meshproof.mutants.mutant import Mutant
from meshproof.mutants.patch import Patch

GATHER_SQL: Final = "db/sql/functions/gather.sql"

MUTANTS: Final = (
    Mutant(
        "keep-the-first-version",
        "A delivery gets the first version of its workflow, whatever was published since.",
        (
            Patch(
                "db/sql/functions/accept.sql",
                "        JOIN meshhook.versions v ON v.id = w.published_version_id\n",
                "        JOIN meshhook.versions v ON v.workflow_id = w.id AND v.number = 1\n",
            ),
        ),
        trial="published",
        caught_by=("versions.current",),
    ),
    Mutant(
        "go-on-with-the-newest-version",
        "A run goes on by the newest version its worker knows, not by the one it began with.",
        (
            Patch(
                "worker.py",
                "        definition = self._definitions[state.version_id]\n",
                "        definition = self._definitions[max(self._definitions)]\n",
            ),
        ),
        trial="published",
        caught_by=("completion.output",),
    ),
    Mutant(
        "cancel-every-other-run",
        "An operation that cancels many runs reaches only every other one.",
        (
            Patch(
                "operations.py",
                '[Signal(run_id, "cancel", body) for run_id in found])\n',
                '[Signal(run_id, "cancel", body) for run_id in found[::2]])\n',
            ),
        ),
        trial="operations",
        caught_by=("operations.reached",),
    ),
    Mutant(
        "begin-again-twice",
        "An operation begins each failed run again twice.",
        (
            Patch(
                "operations.py",
                "            await replay_in(connection, shard, run_id, project_id, version=version)\n",
                "            await replay_in(connection, shard, run_id, project_id, version=version)\n"
                "            await replay_in(connection, shard, run_id, project_id, version=version)\n",
            ),
        ),
        trial="operations",
        caught_by=("operations.rightful", "operations.counted"),
    ),
    Mutant(
        "never-mind-the-run-before",
        "A schedule starts a run at every tick, whether the one before has ended or not.",
        (Patch("timetable.py", '    if timetable.overlap == "allow":\n', "    if timetable:\n"),),
        trial="scheduled",
        caught_by=("schedules.overlap",),
    ),
    Mutant(
        "leave-a-tick-out",
        "After each tick a schedule leaves the next one out.",
        (
            Patch(
                "timetable.py",
                "    return found, _next(timetable, rule, max(until, tick_at - _TICK))\n",
                "    return found, _next(timetable, rule, max(until, tick_at - _TICK) + timedelta(seconds=1))\n",
            ),
        ),
        trial="scheduled",
        caught_by=("schedules.fired",),
    ),
    Mutant(
        "start-before-it-is-quiet",
        "A gathering starts when half of its time is over.",
        (
            Patch(
                GATHER_SQL,
                "        g.due_at := greatest(v_now, least(v_now + d.wait, g.first_at + d.longest));\n",
                "        g.due_at := greatest(v_now, least(v_now + d.wait, g.first_at + d.longest) - d.wait / 2);\n",
            ),
        ),
        trial="gathered",
        caught_by=("gatherings.quiet",),
    ),
    Mutant(
        "one-more-than-a-batch-holds",
        "A batch gathers one delivery more than it may.",
        (
            Patch(
                GATHER_SQL,
                "        v_open := g.count < d.size AND g.bytes < p_bytes;\n",
                "        v_open := g.count <= d.size AND g.bytes < p_bytes;\n",
            ),
        ),
        trial="gathered",
        caught_by=("gatherings.bounds",),
    ),
    Mutant(
        "gather-whatever-comes",
        "Deliveries are gathered by their endpoint alone, whatever key they have.",
        (Patch("gatherer.py", "            by=key_of(gathering, trigger),\n", '            by="",\n'),),
        trial="gathered",
        caught_by=("gatherings.together",),
    ),
)
