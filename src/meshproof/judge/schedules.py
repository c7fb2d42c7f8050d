"""Schedules: every tick starts exactly one run, whoever fires it, unless the schedule itself says to leave it out.

A tick is a schedule and a moment. Which moments those are follows from the scenario; nothing is computed from what was stored.
"""

from __future__ import annotations

from typing import Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

NEEDS: Final = ("plan", "runs", "events", "origins")


@invariant(
    "schedules.once",
    "No tick has two runs, no run begins before its tick, and none is of a moment that is no tick.",
    needs=NEEDS,
)
def once(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM fired"),
        "runs of schedules",
        """
        SELECT NULL, NULL, min(run_id), format('{} runs of one tick of {}', count(*), schedule)
        FROM fired GROUP BY schedule, tick_us HAVING count(*) > 1
        UNION ALL
        SELECT NULL, NULL, run_id, format('{} began {} µs before its tick', schedule, tick_us - accepted_us)
        FROM fired WHERE accepted_us < tick_us
        UNION ALL
        SELECT NULL, NULL, f.run_id, format('{} has no tick at {} µs', f.schedule, f.tick_us)
        FROM fired f LEFT JOIN timetables t USING (schedule)
        WHERE t.schedule IS NULL OR f.tick_us % t.every_us <> 0 OR f.tick_us < t.begin_us OR f.tick_us > t.over_us""",
    )


@invariant(
    "schedules.fired",
    "Every tick has its run, unless the run before was live still, or nobody was there in time and that is to be left out.",
    needs=(*NEEDS, "incidents"),
)
def fired(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM ticks"),
        "ticks",
        """
        SELECT NULL, NULL, NULL, format('{} was to tick at {} µs, and no run began', t.schedule, t.tick_us)
        FROM ticks t
        WHERE NOT EXISTS (SELECT 1 FROM fired f WHERE f.schedule = t.schedule AND f.tick_us = t.tick_us)
          AND NOT (t.overlap <> 'allow' AND EXISTS (
              SELECT 1 FROM fired f WHERE f.schedule = t.schedule AND f.tick_us < t.tick_us
                                      AND coalesce(f.finished_us >= t.tick_us, true)))
          AND NOT (t.missed <> 'all' AND EXISTS (
              SELECT 1 FROM incidents i WHERE i.since_us <= t.tick_us + t.grace_us AND i.at_us >= t.tick_us - t.grace_us))""",
    )


@invariant(
    "schedules.overlap",
    "Where runs of a schedule may not overlap, none begins while the one before it is live.",
    needs=NEEDS,
)
def overlap(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    finding = found(
        facts,
        facts.one("SELECT count(*) FROM fired JOIN timetables USING (schedule) WHERE overlap <> 'allow'"),
        "runs that may not overlap",
        """
        SELECT NULL, NULL, run_id,
               format('{} began {} ms before the end of its run before', schedule, (ends_us - accepted_us) // 1000)
        FROM (SELECT f.*, max(finished_us) OVER (PARTITION BY f.schedule ORDER BY f.accepted_us
                                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS ends_us
              FROM fired f JOIN timetables USING (schedule) WHERE overlap <> 'allow')
        WHERE ends_us > accepted_us""",
    )
    met = facts.one(
        """SELECT count(*) FROM ticks t WHERE t.overlap <> 'allow' AND EXISTS (
               SELECT 1 FROM fired f WHERE f.schedule = t.schedule AND f.tick_us < t.tick_us AND f.finished_us >= t.tick_us)"""
    )
    if not finding.count and not met:
        raise CannotTell("no tick met a run that was live still")
    return finding


@invariant(
    "schedules.late",
    "Where nothing happened to any process, a tick that had not to wait has its run within the stated bound.",
    needs=(*NEEDS, "incidents"),
)
def late(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    bound_s = facts.plan.get("bounds", {}).get("timer_s")
    if bound_s is None:
        raise CannotTell("plan.json states no bound (bounds.timer_s)")
    return found(
        facts,
        facts.one("SELECT count(*) FROM fired JOIN timetables USING (schedule) WHERE overlap = 'allow'"),
        "runs of ticks",
        """
        SELECT NULL, NULL, run_id, format('{} began {} ms after its tick', schedule, (accepted_us - tick_us) // 1000)
        FROM fired JOIN timetables USING (schedule)
        WHERE overlap = 'allow' AND accepted_us - tick_us > $1
          AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.since_us <= accepted_us AND i.at_us >= tick_us - $1)""",
        int(bound_s * 1_000_000),
    )


@invariant(
    "schedules.told",
    "A run of a schedule completes, and gives what its tick has told it.",
    needs=NEEDS,
)
def told(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM fired"),
        "runs of schedules",
        """
        SELECT NULL, NULL, f.run_id, format('the tick of {} gave {}: {} and {}', f.schedule, f.status, said[1], said[2])
        FROM (SELECT *, TRY(json_extract_string(ending, ['$.output.schedule', '$.output.tick'])) AS said FROM fired) f
        WHERE f.status <> 'completed' OR said[1] IS DISTINCT FROM f.schedule
           OR epoch_us(TRY_CAST(said[2] AS TIMESTAMPTZ)) IS DISTINCT FROM f.tick_us""",
    )


def tick(facts: Facts) -> None:
    """What schedules were to do, and what they did.

    timetables  (schedule, every_us, overlap, missed, grace_us, begin_us, begun_us, stop_us, over_us): begun and stopped between
                the two times of each
    ticks       (schedule, tick_us, overlap, missed, grace_us): those that must have been seen to
    fired       (run_id, schedule, tick_us, accepted_us, finished_us, status, ending)
    """
    facts.con.execute(
        """CREATE TABLE timetables (schedule VARCHAR, every_us BIGINT, overlap VARCHAR, missed VARCHAR, grace_us BIGINT,
                                    begin_us BIGINT, begun_us BIGINT, stop_us BIGINT, over_us BIGINT)"""
    )
    for name in _ticking(facts):
        for schedule, known in scenarios.load(name).schedules.items():
            begin_us, begun_us = _act(facts, name, f"begin {schedule}")
            stop_us, over_us = _act(facts, name, f"pause {schedule}")
            facts.con.execute(
                "INSERT INTO timetables VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [schedule, *known[:3], round(known.grace_s * 1e6), begin_us, begun_us, stop_us, over_us],
            )
    facts.con.execute(
        """CREATE TABLE ticks AS
           SELECT schedule, tick_us, overlap, missed, grace_us
           FROM (SELECT *, unnest(range((begun_us // every_us + 1) * every_us, stop_us, every_us)) AS tick_us FROM timetables);
           CREATE TABLE fired AS
           SELECT o.run_id, regexp_replace(o.schedule, '^' || s.workflow || '-', '') AS schedule, o.tick_us, o.accepted_us,
                  r.finished_us, r.status, e.event AS ending
           FROM origins o JOIN runs r USING (run_id) JOIN scenarios s ON s.workflow = r.workflow
           LEFT JOIN events e ON e.run_id = o.run_id AND e.type IN ('run.completed', 'run.failed', 'run.cancelled')
           WHERE o.source = 'schedule'"""
    )


def _act(facts: Facts, scenario: str, name: str) -> tuple[int, int]:
    rows = facts.rows("SELECT began_us, ended_us FROM acts WHERE scenario = $1 AND name = $2", scenario, name)
    if not rows:
        raise CannotTell(f"it was not done: {name} ({scenario})")
    began_us, ended_us = rows[0]
    return began_us, ended_us


def _ticking(facts: Facts) -> list[str]:
    return [name for name in sorted(facts.plan["scenarios"]) if scenarios.load(name).schedules]


def _nothing(facts: Facts) -> Finding | None:
    if not _ticking(facts):
        return Finding(1, "plans", 0, [], note="no schedule ticks in this run")
    facts.require("acts")
    facts.once(tick)
    return None
