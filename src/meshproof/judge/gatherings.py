"""Gatherings: deliveries of one key become one run, in their order and within their bounds, and none starts before its time."""

from __future__ import annotations

from typing import Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

NEEDS: Final = ("plan", "attempts", "runs", "events")


@invariant(
    "gatherings.together",
    "The deliveries of one run are of one key, and its journal holds the hash of what each of them was.",
    needs=NEEDS,
)
def together(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    finding = found(
        facts,
        facts.one("SELECT count(*) FROM gathered"),
        "gathered deliveries",
        """
        SELECT NULL, NULL, run_id, format('its deliveries are of {} keys', count(DISTINCT lane))
        FROM gathered GROUP BY run_id HAVING count(DISTINCT lane) > 1
        UNION ALL
        SELECT NULL, delivery, run_id, format('delivery {} of the run has another hash than what was sent', place)
        FROM gathered WHERE sha256 IS NOT NULL AND sha256 <> hash""",
    )
    alone = facts.one("SELECT count(*) FROM (SELECT scenario FROM groups GROUP BY scenario HAVING max(deliveries) < 2)")
    if not finding.count and alone:
        raise CannotTell("no two deliveries came together")
    return finding


@invariant(
    "gatherings.order",
    "A delivery that was acknowledged before another of its key was sent stands before it, in the same run or an earlier one.",
    needs=NEEDS,
)
def order(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM gathered"),
        "gathered deliveries",
        """
        WITH standing AS (
            SELECT *, row_number() OVER (PARTITION BY scenario, lane ORDER BY first_us, run_id, place) AS position
            FROM gathered JOIN (SELECT run_id, first_us FROM groups) USING (run_id)
        ), marks AS (
            SELECT scenario, lane, run_id, sent_us AS at_us, 0 AS known, position AS mine, NULL AS told FROM standing
            UNION ALL
            SELECT scenario, lane, run_id, acknowledged_us, 1, NULL, position FROM standing WHERE acknowledged_us IS NOT NULL
        ), so_far AS (
            SELECT *, max(told) OVER (PARTITION BY scenario, lane ORDER BY at_us, known
                                      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS last FROM marks)
        SELECT NULL, NULL, run_id,
               format('the delivery at place {} of {} stands before one that was acknowledged before it was sent', mine, lane)
        FROM so_far WHERE known = 0 AND last > mine""",
    )


@invariant(
    "gatherings.bounds",
    "No run gathers more deliveries than it may, and none after its time is over.",
    needs=NEEDS,
)
def bounds(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM groups"),
        "gatherings",
        """
        SELECT NULL, NULL, run_id, format('gathered {} deliveries, and may gather {}', deliveries, size_max)
        FROM groups WHERE deliveries > size_max
        UNION ALL
        SELECT NULL, NULL, run_id, format('delivery {} came {} µs after the time was over', place, at_us - open_us)
        FROM (SELECT g.run_id, g.place, g.at_us, lag(g.due_us) OVER (PARTITION BY g.run_id ORDER BY g.place) AS open_us
              FROM gathered g)
        WHERE at_us > open_us + 1""",
    )


@invariant(
    "gatherings.quiet",
    "No run starts before its time on the clock of the database: it has all it may have, or its time is over.",
    needs=(*NEEDS, "claims"),
)
def quiet(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM groups WHERE claimed_us IS NOT NULL"),
        "gatherings that have started",
        """
        SELECT NULL, NULL, run_id,
               format('started {} µs before its time, with {} of {} deliveries', due_us - claimed_us, deliveries, size_max)
        FROM groups WHERE claimed_us < due_us AND deliveries < size_max""",
    )


@invariant(
    "gatherings.late",
    "Where nothing happened to any process, a gathering starts within the stated bound after its time.",
    needs=(*NEEDS, "claims", "incidents"),
)
def late(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    bound_s = facts.plan.get("bounds", {}).get("timer_s")
    if bound_s is None:
        raise CannotTell("plan.json states no bound (bounds.timer_s)")
    return found(
        facts,
        facts.one("SELECT count(*) FROM groups WHERE claimed_us IS NOT NULL"),
        "gatherings that have started",
        """
        SELECT NULL, NULL, run_id, format('started {} ms after its time', (claimed_us - due_us) // 1000)
        FROM groups
        WHERE claimed_us - due_us > $1
          AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.since_us <= claimed_us AND i.at_us >= due_us - $1)""",
        int(bound_s * 1_000_000),
    )


def gather(facts: Facts) -> None:
    """gathered: one row a delivery in a run: its place there, when the database took it, and until when the run then was open.

    groups: one row a run: (run_id, scenario, deliveries, size_max, first_us, due_us, claimed_us).
    """
    facts.con.execute(
        """CREATE TABLE rules (scenario VARCHAR, kind VARCHAR, wait_us BIGINT, longest_us BIGINT, size_max BIGINT);
           CREATE TABLE lanes (scenario VARCHAR, index BIGINT, lane VARCHAR)"""
    )
    seed = int(facts.plan["seed"])
    for name in _gathering(facts):
        scenario = scenarios.load(name)
        rule = scenario.gather
        assert rule is not None
        assert scenario.gathered_by is not None
        times = [round(rule.wait_s * 1e6), round(rule.longest_s * 1e6)]
        facts.con.execute("INSERT INTO rules VALUES (?, ?, ?, ?, ?)", [name, rule.kind, *times, rule.size_max])
        indices = [row[0] for row in facts.rows("SELECT DISTINCT index FROM attempts WHERE scenario = $1", name)]
        lanes = [scenario.gathered_by(scenario.payload(seed, index)) for index in indices]
        facts.con.execute(
            "INSERT INTO lanes SELECT $1, unnest($2::BIGINT[]), unnest($3::VARCHAR[])", [name, indices, lanes]
        )
    facts.con.execute(
        """CREATE TABLE gathered AS
           WITH sent AS (
               SELECT a.scenario, a.endpoint, a.delivery, any_value(l.lane) AS lane, any_value(a.hash) AS hash,
                      min(coalesce(a.sent_us, a.intended_us)) AS sent_us,
                      min(a.reply_us) FILTER (a.outcome = 'ok') AS acknowledged_us
               FROM attempts a JOIN lanes l ON l.scenario = a.scenario AND l.index = a.index
               GROUP BY a.scenario, a.endpoint, a.delivery
           ), placed AS (
               SELECT k.*, first_value(k.at_us) OVER (PARTITION BY k.run_id ORDER BY k.place) AS began_us FROM kept k)
           SELECT p.run_id, p.place, p.delivery, p.sha256, p.at_us, s.scenario, s.lane, s.hash, s.sent_us, s.acknowledged_us,
                  if(u.kind = 'batch', p.began_us + u.wait_us, least(p.at_us + u.wait_us, p.began_us + u.longest_us)) AS due_us
           FROM placed p JOIN sent s ON s.endpoint = p.endpoint AND s.delivery = p.delivery JOIN rules u USING (scenario);
           CREATE TABLE groups AS
           SELECT g.run_id, g.scenario, count(*) AS deliveries, any_value(u.size_max) AS size_max, min(g.at_us) AS first_us,
                  max_by(g.due_us, g.place) AS due_us,
                  (SELECT min(c.claimed_us) FROM claims c WHERE c.run_id = g.run_id) AS claimed_us
           FROM gathered g JOIN rules u USING (scenario) GROUP BY g.run_id, g.scenario"""
    )


def _gathering(facts: Facts) -> list[str]:
    return [name for name in sorted(facts.plan["scenarios"]) if scenarios.load(name).gather is not None]


def _nothing(facts: Facts) -> Finding | None:
    if not _gathering(facts):
        return Finding(1, "plans", 0, [], note="every delivery of this run has a run of its own")
    facts.once(gather)
    return None
