"""The schedule explorer: the engine's SQL passes, planted bugs do not, and a seed alone brings each of them back."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from meshproof.explore import run
from meshproof.explore.explorer import Found, explore, explore_one
from meshproof.explore.machine import Choice
from meshproof.explore.moves import Move
from meshproof.explore.plan import Plan, Theme, draw, theme_of
from meshproof.explore.schedule import play
from meshproof.explore.shrink import shrink
from meshproof.explore.stage import Stage
from meshproof.explore.times import LEASE_S
from meshproof.target import TargetError

FIRST = 1
CLEAN = 200
CLAIMED = "t.run_id, t.epoch, t.owner, t.due_at, t.signaled, t.lane"


@dataclass(frozen=True)
class Bug:
    """Something left out of a function; it must be found as one of ``caught``, within so many schedules of its theme."""

    function: str
    old: str
    new: str
    caught: tuple[str, ...]
    schedules: int = 150
    theme: Theme = Theme.MIXED


BUGS = {
    "claim_holds_nothing": Bug(
        "claim",
        f"DELETE FROM meshhook.tasks t\n        WHERE t.ctid = ANY (v_places)\n        RETURNING {CLAIMED}",
        f"SELECT {CLAIMED}\n        FROM meshhook.tasks t\n        WHERE t.ctid = ANY (v_places)",
        ("one-holder", "error"),
    ),
    "commit_forgets_who_is_leased": Bug(
        "commit", "WHERE m.due IS NOT NULL", "WHERE m.due IS NOT NULL AND m.owner IS NULL", ("never-lost",)
    ),
    "commit_takes_the_flag_down": Bug(
        "commit", "m.epoch, m.owner, m.run_id = ANY (v_signaled)", "m.epoch, m.owner, false", ("poke-not-lost",)
    ),
    "poke_looks_once": Bug("poke", "FOR look IN 1..100 LOOP", "FOR look IN 1..1 LOOP", ("poke-not-lost",)),
    "put_back_forgets_the_flag": Bug(
        "put_back", "b.owner, b.signaled, b.project_id", "b.owner, false, b.project_id", ("poke-not-lost",)
    ),
    "renew_of_what_ran_out": Bug("renew", "AND t.due_at > v_now", "", ("one-holder",)),
    "took_more_than_was_read": Bug("took", "AND s.number = u.number", "", ("signal-not-lost", "event-once")),
    "await_without_lock": Bug(
        "await_events", "PERFORM pg_advisory_xact_lock(locks.id) FROM", "PERFORM locks.id FROM", ("event-once",)
    ),
    "every_key_is_new": Bug("accept", "WHERE known.expires_at <= v_now", "", ("dedupe",)),
    "wait_is_kept": Bug(
        "send_event",
        "DELETE FROM meshhook.waits w\n        WHERE",
        "SELECT w.run_id, w.node FROM meshhook.waits w\n        WHERE",
        ("event-once", "error"),
    ),
    "one_slot_too_many": Bug(
        "claim_lanes", "v_free := v_lane.slots -", "v_free := 1 + v_lane.slots -", ("slots",), theme=Theme.LANES
    ),
    "last_come_first_served": Bug(
        "claim_lanes", "BY t.priority, t.place", "BY t.priority, t.place DESC", ("lane-order",), theme=Theme.LANES
    ),
    "no_slot_is_given_back": Bug(
        "commit", "IF v_lanes IS NOT NULL THEN", "IF false THEN", ("ends",), theme=Theme.LANES
    ),
    "added_to_what_is_claimed": Bug(
        "gather",
        "AND NOT t.signaled AND t.due_at > v_now\n            FOR UPDATE SKIP LOCKED",
        "AND NOT t.signaled AND t.due_at > v_now",
        ("gathered-once", "journal-exact", "whole-journal", "not-early", "gapless", "never-lost", "error"),
        theme=Theme.GATHERED,
    ),
    "never_full": Bug(
        "gather", "v_open := g.count < d.size AND", "v_open := true AND", ("gathered-once",), theme=Theme.GATHERED
    ),
    "resumed_and_not_due": Bug(
        "poke", "THEN least(t.due_at, meshhook.now())", "THEN t.due_at", ("ends",), theme=Theme.PAUSED
    ),
    "paused_and_due": Bug(
        "commit", "ELSE greatest(m.due, v_now) END", "ELSE v_now END", ("not-early",), theme=Theme.PAUSED
    ),
    "child_without_a_task": Bug(
        "start_runs",
        "FROM fresh f\n    )\n    SELECT count(*)",
        "FROM fresh f WHERE f.limited\n    )\n    SELECT count(*)",
        ("never-lost",),
        theme=Theme.FAMILIES,
    ),
    "parents_are_not_told": Bug(
        "signal",
        "r.finished_at IS NULL)",
        "r.finished_at IS NULL AND u.kind <> 'child')",
        ("child-told",),
        theme=Theme.FAMILIES,
    ),
}


async def definition(dsn: str, function: str) -> str:
    """What a function is now."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval("SELECT pg_get_functiondef(('meshhook.' || $1)::regproc)", function)
    finally:
        await connection.close()


async def planted(dsn: str, bug: Bug) -> str:
    """The SQL that plants a bug."""
    text = await definition(dsn, bug.function)
    assert bug.old in text, f"{bug.function} has changed: this bug can't be planted any more"
    patched = text.replace(bug.old, bug.new)
    if bug.function == "send_event" and "SELECT w.run_id" in bug.new:
        patched = patched.replace("\n        RETURNING w.run_id, w.node", "")
    return patched


def seeds_of(theme: Theme) -> Iterator[int]:
    """The seeds whose schedules are about this."""
    return (seed for seed in itertools.count(FIRST) if theme_of(seed) is theme)


def found_with(stage: Stage, bug: Bug) -> Found:
    """Play schedules until one fails."""
    found = Found()
    for seed in itertools.islice(seeds_of(bug.theme), bug.schedules):
        explore_one(stage, seed, found)
        if found.violations:
            break
    return found


async def test_the_engine_passes(database: str) -> None:
    with Stage(database) as stage:
        found = explore(stage, range(FIRST, FIRST + CLEAN))
    assert found.schedules == CLEAN
    assert [one.text for one in found.counterexamples] == []


async def test_a_seed_tells_the_same_story_whatever_was_played_before(database: str) -> None:
    seeds = range(FIRST, FIRST + 40)
    with Stage(database) as stage:
        there = [play(stage, seed) for seed in seeds]
        back = [play(stage, seed) for seed in reversed(seeds)]
    assert there == back[::-1]


@pytest.mark.parametrize("name", BUGS)
async def test_a_planted_bug_is_found(database: str, name: str) -> None:
    bug = BUGS[name]
    with Stage(database, await planted(database, bug)) as stage:
        found = found_with(stage, bug)
        assert found.violations == 1, f"{name} was not found in {found.schedules} schedules"
        [example] = found.counterexamples
        assert example.invariant in bug.caught
        assert example.shrunk_to <= example.moves
        # The seed alone brings it back, shrunk to the same, though the shards are others.
        again = Found()
        explore_one(stage, example.seed, again)
        assert again.counterexamples == [example]


OVERTAKEN = """
door-1 accept, door-1 commit, w1 claim, w1 write, w1 tell, w1 commit, clock tick, w2 claim, w2 write, w2 commit,
caller-1 wish, caller-1 commit, caller-1 poke, w1 go on, w1 read, w1 write, w1 commit
"""
"""The inbox of a run is read by a worker that has lost it, and does not know yet."""


@pytest.mark.parametrize(
    "bug",
    [
        None,
        Bug("inbox", "AND t.epoch = u.epoch AND t.signaled", "AND t.signaled", ("poke-not-lost",)),
        Bug("commit", "AND t.epoch = u.epoch", "", ("never-lost", "stale-write-refused")),
    ],
    ids=["as it is", "takes the flag", "takes the task"],
)
async def test_whoever_was_overtaken_leaves_everything_to_the_holder(database: str, bug: Bug | None) -> None:
    seed = next(seed for seed in seeds_of(Theme.MIXED) if fits(draw(random.Random(seed))))
    moves = [Move(*step.split(maxsplit=1), 0) for step in OVERTAKEN.replace("\n", " ").strip().split(", ")]
    with Stage(database, await planted(database, bug) if bug else None) as stage:
        outcome = play(stage, seed, moves)
    if bug is None:
        assert outcome.moves == moves
        assert outcome.violation is None
    else:
        assert outcome.moves == moves[: len(outcome.moves)]
        assert outcome.violation is not None
        assert outcome.violation.invariant in bug.caught


def fits(plan: Plan) -> bool:
    """A single run that waits, under leases, and somebody who cancels it."""
    [first, *others] = plan.deliveries
    only_leases = plan.choices == (Choice.LEASE,) and plan.ticks == (LEASE_S + 1,)
    return first.kind == "waits" and not others and only_leases and plan.cancels > 0


def test_a_schedule_is_shrunk_to_the_moves_it_takes() -> None:
    moves = [Move("w1", kind, 0) for kind in "abcdefghijklmnop"]

    def failing(some: list[Move]) -> list[Move] | None:
        possible = [move for move in some if move.kind != "p"]  # the last one is never possible
        return possible if {"c", "j", "k"} <= {move.kind for move in possible} else None

    assert [move.kind for move in shrink(moves, failing)] == ["c", "j", "k"]


async def test_a_patch_that_is_no_sql_is_said_before_anything_is_played(database: str) -> None:
    with pytest.raises(TargetError, match="refuses the SQL of --patch: syntax error"):
        await run._try("garbage", database)
    await run._try("DROP SCHEMA meshhook CASCADE", database)
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM meshhook.runs") == 0  # it was taken back
    await connection.close()


@pytest.mark.slow
@pytest.mark.xdist_group("engine")
def test_the_command_finds_a_planted_bug_and_says_how(tmp_path: Path) -> None:
    patch = tmp_path / "bug.sql"
    patch.write_text(
        "CREATE OR REPLACE FUNCTION meshhook.poke(p_shard smallint, p_run_ids uuid[]) RETURNS void LANGUAGE sql AS 'SELECT 1'"
    )
    command = [sys.executable, "-m", "meshproof.cli", "explore", "--schedules", "20", "--processes", "2", "--json"]
    done = subprocess.run([*command, "--patch", str(patch)], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["schedules"] == 20
    assert document["violations"] >= 1
    assert document["counterexamples"][0]["invariant"] == "poke-not-lost"
