"""Live view: every subscriber of a live stream is told every event of its runs once and in order, soon, and nothing of others."""

from __future__ import annotations

from typing import Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

NEEDS: Final = ("plan", "events", "journals")
ALONE_US: Final = 2_000_000
"""So long after something has happened to a process nobody is asked how soon he was told."""


@invariant(
    "live.every",
    "Every subscriber is told every event of the runs he has subscribed to, over reconnects and restarts too.",
    needs=NEEDS,
)
def every(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    again = facts.one("SELECT count(*) FROM subscribers WHERE connections > 1")
    slow = facts.one("SELECT count(*) FROM subscribers WHERE slow AND connections > 0")
    finding = found(
        facts,
        facts.one("SELECT count(*) FROM wanted"),
        f"events and subscribers ({again:,} had to connect again, {slow:,} were slow)",
        """
        SELECT NULL, NULL, run_id, format('subscriber {} was not told event {}', w, seq)
        FROM wanted ANTI JOIN told USING (w, run_id, seq)""",
    )
    if not finding.count and not again:
        raise CannotTell("nobody had to connect again")
    return finding


@invariant(
    "live.once",
    "No subscriber is told an event twice.",
    needs=NEEDS,
)
def once(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM told"),
        "events told",
        """
        SELECT NULL, NULL, run_id, format('subscriber {} was told event {} {} times', w, seq, count(*))
        FROM told GROUP BY w, run_id, seq HAVING count(*) > 1""",
    )


@invariant(
    "live.order",
    "Every subscriber is told the events of a run in the order of their numbers.",
    needs=NEEDS,
)
def order(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM told"),
        "events told",
        """
        SELECT NULL, NULL, run_id, format('subscriber {} was told event {} behind event {}', w, seq, before)
        FROM (SELECT *, lag(seq) OVER (PARTITION BY w, run_id ORDER BY n) AS before FROM told) WHERE before > seq""",
    )


@invariant(
    "live.own",
    "No subscriber is told anything of a project or a workflow he has not subscribed to.",
    needs=NEEDS,
)
def own(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM told"),
        "events told",
        """
        SELECT NULL, NULL, t.run_id, format('subscriber {} of {} was told event {} of a run of {}', t.w, s.scenario, t.seq,
                                            coalesce(j.scenario, 'nobody'))
        FROM told t JOIN subscribers s USING (w) LEFT JOIN journals j USING (run_id)
        WHERE j.scenario IS DISTINCT FROM s.scenario
        UNION ALL
        SELECT NULL, NULL, run_id, format('subscriber {} was told event {}, which holds a canary of {}', w, seq, marks[1])
        FROM told WHERE len(marks) > 0""",
    )


@invariant(
    "live.lag",
    "Whoever is connected and reads is told of a commit within the stated bound, at the 99th percentile.",
    needs=(*NEEDS, "incidents"),
)
def lag(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    bound_s = facts.plan.get("bounds", {}).get("live_s")
    if bound_s is None:
        raise CannotTell("plan.json states no bound (bounds.live_s)")
    count, p50, p99, most, slowest = facts.rows(
        """SELECT count(*), quantile_disc(seen_us - at_us, 0.5) / 1000, quantile_disc(seen_us - at_us, 0.99) / 1000,
                  max(seen_us - at_us) / 1000, max_by(run_id, seen_us - at_us)
           FROM told t
           WHERE live AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.since_us <= t.seen_us AND i.at_us >= t.at_us - $1)""",
        ALONE_US,
    )[0]
    if not count:
        return Finding(0, "events told while their subscriber was connected", 0, [])
    said = (
        f"of {count:,} events p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {most:.1f} ms from the commit to the subscriber"
    )
    why = f"{said}: more than {bound_s * 1000:g} ms"
    finding = found(
        facts,
        count,
        "events told while their subscriber was connected",
        "SELECT NULL, NULL, $1::UUID, $2 WHERE $3",
        slowest,
        why,
        p99 > bound_s * 1000,
    )
    return Finding(finding.checked, finding.of_what, finding.count, finding.examples, note=said)


def want(facts: Facts) -> None:
    """wanted: one row a subscriber and an event he had to be told: (w, run_id, seq)."""
    facts.con.execute(
        """CREATE TABLE wanted AS
           SELECT s.w, e.run_id, e.seq FROM subscribers s JOIN journals j ON j.scenario = s.scenario JOIN events e USING (run_id)
           WHERE s.kind = 'workflow'
           UNION ALL
           SELECT s.w, e.run_id, e.seq FROM (SELECT w, unnest(ended)::UUID AS run_id FROM subscribers WHERE kind = 'run') s
           JOIN events e USING (run_id)"""
    )


def _nothing(facts: Facts) -> Finding | None:
    name = facts.plan.get("scenario")
    if name is None or scenarios.load(name).audience is None:
        return Finding(1, "plans", 0, [], note="nobody watched this run")
    facts.require("told", "subscribers")
    facts.once(want)
    return None
