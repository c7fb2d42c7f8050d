"""Tenants: what belongs to one project is never seen in another, neither in its rows nor in what its keys are shown.

What belongs to a project carries its canary (meshproof.scenarios): a text that is in its payloads, and in what is sent to its runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.examples import example
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

NEEDS: Final = ("plan", "journals")

FACTOR: Final = 2
EXTRA_MS: Final = 250
STARTS_MIN: Final = 200
"""A p99 of fewer is the slowest of all, or nearly."""
STANDING_MIN: Final = 0.9
"""The part of the planned backlog that must stand for a start to count as beside it."""


@invariant(
    "tenants.rows",
    "Nothing of one project stands in the journals of another.",
    needs=(*NEEDS, "events"),
)
def rows(facts: Facts) -> Finding:
    facts.once(settle)
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM events JOIN journals j USING (run_id) JOIN settled USING (scenario)"),
        "events of runs in several projects",
        """
        SELECT NULL, NULL, e.run_id, format('event {} of a run of {} holds a canary of {}', e.seq, s.project, o.project)
        FROM events e JOIN journals j USING (run_id) JOIN settled s USING (scenario)
        JOIN (SELECT DISTINCT project, canary FROM settled) o ON o.project <> s.project AND contains(e.event, o.canary)""",
    )


@invariant(
    "tenants.replies",
    "No reply to one project holds anything of another.",
    needs=NEEDS,
)
def replies(facts: Facts) -> Finding:
    facts.once(settle)
    if nothing := _nothing(facts):
        return nothing
    facts.require("replies")
    return found(
        facts,
        # Whoever is never shown anything of his own proves nothing by not being shown anything of others.
        facts.one("SELECT count(*) FROM replies WHERE list_contains(marks, asker)"),
        "replies that show what is one's own",
        """
        SELECT NULL, NULL, NULL, format('GET {} showed {} something of {} (status {})', path, asker, mark, status)
        FROM (SELECT *, unnest(marks) AS mark FROM replies) WHERE mark <> asker""",
    )


@invariant(
    "tenants.neighbour",
    f"Beside a project with a backlog, the start latency of another has a p99 of at most {FACTOR} × what it is alone"
    f" + {EXTRA_MS} ms.",
    needs=("plan", "runs", "claims", "attempts", "events"),
)
def neighbour(facts: Facts) -> Finding:
    backlog = facts.plan.get("backlog")
    if backlog is None:
        return Finding(1, "plans", 0, [], note="no project of this run holds a backlog")
    facts.once(time_starts)
    stood = _stood(facts, round(STANDING_MIN * backlog["runs"]))
    alone, beside = _starts(facts, stood.alone), _starts(facts, stood.beside)
    if min(alone.count, beside.count) < STARTS_MIN:
        raise CannotTell(
            f"{alone.count:,} runs were started before the backlog, and {beside.count:,} while at least"
            f" {STANDING_MIN:.0%} of {backlog['runs']:,} runs were waiting ({stood.runs:,} were put in); it takes"
            f" {STARTS_MIN:,} each"
        )
    bound_ms = FACTOR * alone.p99_ms + EXTRA_MS
    said = (
        f"start latency p99 {alone.p99_ms:.1f} ms alone, {beside.p99_ms:.1f} ms beside a backlog of {stood.runs:,} runs"
    )
    broken = [example(facts, None, None, beside.slowest, f"{said}: more than {bound_ms:.1f} ms")]
    return Finding(
        beside.count, "starts", int(beside.p99_ms > bound_ms), broken if beside.p99_ms > bound_ms else [], note=said
    )


@dataclass(frozen=True)
class Stood:
    """When there was no backlog yet, and when it stood; spans of the database clock, in microseconds."""

    alone: tuple[int, int]
    beside: tuple[int, int]
    runs: int
    """How many were put in."""


@dataclass(frozen=True)
class Starts:
    """Runs that were accepted in some span, and how long they waited for their first claim."""

    count: int
    p99_ms: float
    slowest: str | None
    """The run that waited longest."""


def time_starts(facts: Facts) -> None:
    """starts: one row a run of the plan: (run_id, prepared, accepted_us, waited_us, finished_us); a wait ends with a claim."""
    facts.con.execute(
        """CREATE TABLE starts AS
           SELECT r.run_id, bool_or(a.kind = 'prepared') AS prepared, any_value(e.at_us) AS accepted_us,
                  min(c.claimed_us) - any_value(e.at_us) AS waited_us, any_value(r.finished_us) AS finished_us
           FROM runs r
           JOIN attempts a ON a.endpoint = r.endpoint AND a.delivery = r.delivery
           JOIN events e ON e.run_id = r.run_id AND e.seq = 1
           LEFT JOIN claims c ON c.run_id = r.run_id
           GROUP BY r.run_id"""
    )


def _stood(facts: Facts, least: int) -> Stood:
    """All of the backlog comes in one moment, when its first run can be claimed; it stands until so few of them are left."""
    first_us, stored = facts.rows("SELECT min(accepted_us), count(*) FROM starts WHERE prepared")[0]
    if not stored:
        raise CannotTell("no backlog was put in")
    seen_us = facts.one("SELECT min(accepted_us + waited_us) FROM starts WHERE prepared") or first_us
    fell_us = facts.one(
        """SELECT max(finished_us) FROM (SELECT finished_us FROM starts WHERE prepared AND finished_us IS NOT NULL
                                         ORDER BY finished_us LIMIT $1)""",
        max(0, stored - least),
    )
    warm_us = facts.one("SELECT min(accepted_us) FROM starts WHERE NOT prepared") or first_us
    steady_us = warm_us + round(facts.plan.get("warmup_s", 0) * 1e6)
    return Stood((steady_us, first_us), (seen_us, max(seen_us, fell_us or seen_us)), stored)


def _starts(facts: Facts, span: tuple[int, int]) -> Starts:
    count, p99_us, slowest = facts.rows(
        """SELECT count(*), quantile_disc(waited_us, 0.99), max_by(run_id, waited_us) FROM starts
           WHERE NOT prepared AND waited_us IS NOT NULL AND accepted_us >= $1 AND accepted_us < $2""",
        *span,
    )[0]
    return Starts(count, (p99_us or 0) / 1_000, slowest)


def settle(facts: Facts) -> None:
    """settled: one row a scenario: (scenario, project, canary)."""
    facts.con.execute("CREATE TABLE settled (scenario VARCHAR, project VARCHAR, canary VARCHAR)")
    for name in sorted(facts.plan["scenarios"]):
        project = scenarios.load(name).project
        facts.con.execute("INSERT INTO settled VALUES (?, ?, ?)", [name, project, scenarios.canary(project)])


def _nothing(facts: Facts) -> Finding | None:
    if facts.one("SELECT count(DISTINCT project) FROM settled") > 1:
        return None
    return Finding(1, "plans", 0, [], note="all of this run is in one project")
