"""Timers: each fires once, never before its time on the clock of the database, and soon after it."""

from __future__ import annotations

from typing import Final

from meshproof.facts import Facts
from meshproof.judge.asked import nothing_of
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

NEEDS: Final = ("timers", "plan")
NO_TIMERS: Final = ("delay", "waits for a time")


@invariant(
    "timers.early",
    "No timer fires before its time, on the clock of the database.",
    needs=NEEDS,
)
def early(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_TIMERS):
        return nothing
    if facts.one("SELECT count(*) FROM timers WHERE until_us IS NULL"):
        raise CannotTell("there are timers without a readable end (until)")
    return found(
        facts,
        facts.one("SELECT count(*) FROM timers WHERE ended_by = 'step.completed'"),
        "timers that fired",
        """
        SELECT NULL, NULL, run_id, format('{} fired {} µs before its time', node, until_us - ended_us)
        FROM timers WHERE ended_by = 'step.completed' AND ended_us < until_us""",
    )


@invariant(
    "timers.fired",
    "Every timer of a completed run has fired, and every delay that is over had one timer.",
    needs=(*NEEDS, "runs"),
)
def fired(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_TIMERS):
        return nothing
    return found(
        facts,
        _timers(facts),
        "timers",
        """
        SELECT r.endpoint, r.delivery, t.run_id, format('the run is completed, and the timer of {} never fired', t.node)
        FROM timers t JOIN runs r USING (run_id)
        WHERE r.status = 'completed' AND t.ended_by IS DISTINCT FROM 'step.completed'
        UNION ALL
        SELECT NULL, NULL, run_id, format('{} has {} timers', node, count(*))
        FROM timers GROUP BY run_id, node HAVING count(*) > 1
        UNION ALL
        SELECT NULL, NULL, e.run_id, format('{} is over, and had no timer', e.node)
        FROM events e JOIN journals j USING (run_id)
        JOIN asked_delays a ON a.scenario = j.scenario AND a.node = regexp_replace(e.node, '^.*[.]', '')
        WHERE e.type = 'step.completed'
          AND NOT EXISTS (SELECT 1 FROM timers t WHERE t.run_id = e.run_id AND t.node = e.node AND t.seq < e.seq)""",
    )


@invariant(
    "timers.asked",
    "A timer is set for as long as the definition says, counted from the time it is set.",
    needs=NEEDS,
)
def asked(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_TIMERS):
        return nothing
    checked = facts.one(
        """SELECT count(*) FROM timers t JOIN asked_delays a ON a.scenario = t.scenario AND a.node = t.name
           WHERE a.seconds_us IS NOT NULL"""
    )
    if not facts.one("SELECT count(*) FROM asked_delays WHERE seconds_us IS NOT NULL"):
        return Finding(1, "plans", 0, [], note="every delay of this run depends on what was sent")
    return found(
        facts,
        checked,
        "timers",
        """
        SELECT NULL, NULL, t.run_id,
               format('{} is to last {} ms, and was set between {} and {} ms before its end', t.node, a.seconds_us // 1000,
                      (t.until_us - t.set_us) // 1000, (t.until_us - t.claimed_us) // 1000)
        FROM timers t JOIN asked_delays a ON a.scenario = t.scenario AND a.node = t.name
        WHERE t.until_us < t.claimed_us + a.seconds_us OR t.until_us > t.set_us + a.seconds_us""",
    )


@invariant(
    "timers.late",
    "Where nothing happened to any process, a timer fires within the stated bound after its time.",
    needs=(*NEEDS, "incidents"),
)
def late(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_TIMERS):
        return nothing
    bound_s = facts.plan.get("bounds", {}).get("timer_s")
    if bound_s is None:
        raise CannotTell("plan.json states no bound (bounds.timer_s)")
    return found(
        facts,
        facts.one("SELECT count(*) FROM timers WHERE ended_by = 'step.completed'"),
        "timers that fired",
        """
        SELECT NULL, NULL, run_id,
               format('{} fired {} ms after its time', node, (ended_us - greatest(until_us, set_us)) // 1000)
        FROM timers
        WHERE ended_by = 'step.completed' AND ended_us - greatest(until_us, set_us) > $1
          AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.since_us <= ended_us AND i.at_us >= until_us - $1)""",
        int(bound_s * 1_000_000),
    )


def _timers(facts: Facts) -> int:
    timers: int = facts.one("SELECT count(*) FROM timers")
    return timers
