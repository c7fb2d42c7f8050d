"""Limits: of a lane, only so many runs are worked on at once; at one, they start in the order in which they were accepted.

Which lane a run belongs to, the reference model of its scenario says, from the body alone; nothing of the engine is asked. A run is
worked on from each claim to its last write, and as long as its lease lasts.
"""

from __future__ import annotations

from typing import Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

NEEDS: Final = ("attempts", "runs", "claims", "leases", "plan")

AT_ONCE: Final = """
        WITH spans AS (
            SELECT l.scenario, l.lane, l.slots, c.run_id, c.claimed_us,
                   greatest(max(c.last_at_us), coalesce(max(h.end_us), 0)) AS end_us
            FROM lined l JOIN claims c USING (run_id)
            LEFT JOIN leases h ON h.run_id = c.run_id AND h.epoch = c.epoch
            GROUP BY ALL
        ), marks AS (
            SELECT scenario, lane, slots, run_id, claimed_us AS at_us, 1 AS step FROM spans
            UNION ALL SELECT scenario, lane, slots, run_id, end_us, -1 FROM spans
        ), counted AS (
            SELECT *, sum(step) OVER (PARTITION BY scenario, lane ORDER BY at_us, step
                                      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS at_once FROM marks)
"""
"""How many runs of its lane were worked on whenever one was begun or let go."""


@invariant(
    "limits.slots",
    "Of no lane are more runs worked on at once than its limit allows.",
    needs=NEEDS,
)
def slots(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    facts.once(line_up)
    finding = found(
        facts,
        facts.one("SELECT count(*) FROM lined JOIN claims USING (run_id)"),
        "claims of runs in lanes",
        f"""
        {AT_ONCE}
        SELECT NULL, NULL, run_id, format('run {{}} of lane {{}} is begun, and {{}} may be worked on at once', at_once, lane, slots)
        FROM counted WHERE step = 1 AND at_once > slots""",  # noqa: S608 - a constant of this module
    )
    full = f"{AT_ONCE} SELECT count(*) FROM counted WHERE at_once >= slots"  # noqa: S608
    if finding.checked and not facts.one(full):
        raise CannotTell("no lane was ever full")
    return finding


@invariant(
    "limits.order",
    "Where one run of a lane is worked on at a time, a delivery that was acknowledged before another was sent starts before it.",
    needs=NEEDS,
)
def order(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    facts.once(line_up)
    if not facts.one("SELECT count(*) FROM lined WHERE slots = 1"):
        return Finding(1, "plans", 0, [], note="every limit of this run lets several runs go side by side")
    return found(
        facts,
        facts.one("SELECT count(*) FROM lined SEMI JOIN claims USING (run_id) WHERE slots = 1"),
        "starts in lanes",
        """
        WITH starts AS (
            SELECT l.*, min(c.claimed_us) AS start_us FROM lined l JOIN claims c USING (run_id)
            WHERE l.slots = 1 GROUP BY ALL
        ), marks AS (
            -- Sent at the very moment of another's acknowledgement is not after it.
            SELECT scenario, lane, run_id, sent_us AS at_us, 0 AS known, start_us, NULL AS after_us FROM starts
            UNION ALL
            SELECT scenario, lane, run_id, acknowledged_us, 1, NULL, start_us FROM starts WHERE acknowledged_us IS NOT NULL
        ), told AS (
            SELECT *, max(after_us) OVER (PARTITION BY scenario, lane ORDER BY at_us, known
                                          ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS last_us FROM marks)
        SELECT NULL, NULL, run_id,
               format('it started {} µs before a run of lane {} that was acknowledged before it was sent', last_us - start_us, lane)
        FROM told WHERE known = 0 AND last_us > start_us""",
    )


def line_up(facts: Facts) -> None:
    """lined: one row a stored run in a lane: (run_id, scenario, lane, slots, sent_us, acknowledged_us)."""
    seed = int(facts.plan["seed"])
    facts.con.execute("CREATE TABLE lane_of (scenario VARCHAR, index BIGINT, lane VARCHAR, slots INTEGER)")
    for name in _limited(facts):
        scenario = scenarios.load(name)
        indices = [row[0] for row in facts.rows("SELECT DISTINCT index FROM attempts WHERE scenario = $1", name)]
        lanes = [scenario.lane(scenario.payload(seed, index)) for index in indices] if scenario.lane else []
        facts.con.execute(
            "INSERT INTO lane_of SELECT $1, unnest($2::BIGINT[]), unnest($3::VARCHAR[]), $4",
            [name, indices, lanes, scenario.slots],
        )
    facts.con.execute(
        """CREATE TABLE lined AS
           SELECT r.run_id, o.scenario, o.lane, o.slots,
                  min(coalesce(a.sent_us, a.intended_us)) AS sent_us,
                  min(a.reply_us) FILTER (a.outcome = 'ok') AS acknowledged_us
           FROM runs r
           JOIN attempts a ON a.endpoint = r.endpoint AND a.delivery = r.delivery
           JOIN lane_of o ON o.scenario = a.scenario AND o.index = a.index
           GROUP BY r.run_id, o.scenario, o.lane, o.slots"""
    )


def _limited(facts: Facts) -> list[str]:
    return [name for name in sorted(facts.plan["scenarios"]) if scenarios.load(name).lane is not None]


def _nothing(facts: Facts) -> Finding | None:
    if _limited(facts):
        return None
    return Finding(1, "plans", 0, [], note="no workflow of this run has a limit")
