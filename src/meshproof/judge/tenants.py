"""Tenants: what belongs to one project is never seen in another, neither in its rows nor in what its keys are shown.

What belongs to a project carries its canary (meshproof.scenarios): a text that is in its payloads, and in what is sent to its runs.
"""

from __future__ import annotations

from typing import Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.invariant import Finding, found, invariant

NEEDS: Final = ("plan", "journals")


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
