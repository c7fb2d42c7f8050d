"""Refusals: what must be refused never becomes a run, and its sender is told why.

What must be refused, as what, and since when, the reference model of a scenario says of each body (meshproof.scenarios.Refusal).
"""

from __future__ import annotations

from typing import Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant
from meshproof.scenarios import Scenario

NEEDS: Final = ("attempts", "plan")

IN_FORCE_US: Final = 2_000_000
"""Within so long a change of an endpoint or a secret is in force everywhere."""
TRIED: Final = 200
"""Every kind of refusal that is among so many payloads of a scenario must have been tried."""


@invariant(
    "refusals.phantom",
    "A delivery that must be refused is neither acknowledged nor stored.",
    needs=(*NEEDS, "runs"),
)
def phantom(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT count(*) FROM turned_away t JOIN attempts a USING (n) WHERE a.sent_us >= t.must_us"),
        "deliveries that must be refused",
        """
        SELECT a.endpoint, a.delivery, coalesce(r.run_id, a.run_id),
               format('must be refused as {}, and was {}', t.problem,
                      if(a.outcome = 'ok', 'acknowledged with ' || a.status, 'stored'))
        FROM turned_away t JOIN attempts a USING (n)
        LEFT JOIN runs r ON r.endpoint = a.endpoint AND r.delivery = a.delivery
        WHERE a.sent_us >= t.must_us AND (a.outcome = 'ok' OR r.run_id IS NOT NULL)""",
    )


@invariant(
    "refusals.told",
    "Whoever is refused is told why, by the right problem type.",
    needs=NEEDS,
)
def told(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    said = "a.outcome = 'fail' AND a.status IS NOT NULL AND a.status NOT IN (429, 503)"
    refusals = f"FROM turned_away t JOIN attempts a USING (n) WHERE a.sent_us >= t.must_us AND {said}"
    tried = set(facts.rows(f"SELECT DISTINCT a.scenario, t.problem {refusals}"))
    if untried := _kinds(facts) - tried:
        scenario, problem = min(untried)
        raise CannotTell(f"nobody was refused as {problem} at {scenario}")
    return found(
        facts,
        facts.one(f"SELECT count(*) {refusals}"),
        "refusals",
        f"""
        SELECT a.endpoint, a.delivery, NULL,
               format('refused with {{}} {{}}, and must be told {{}}', a.status, coalesce(a.problem, 'without a type'), t.problem)
        {refusals} AND NOT (a.status BETWEEN 400 AND 499 AND coalesce(a.problem, '') LIKE '%' || t.problem)""",
    )


@invariant(
    "refusals.rotated",
    "What is withdrawn is good until then, and refused from two seconds after on.",
    needs=NEEDS,
)
def rotated(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    if not facts.one("SELECT count(*) FROM turned_away WHERE may_us > 0"):
        return Finding(1, "plans", 0, [], note="nothing was withdrawn in this run")
    before, after = facts.rows(
        """SELECT count(*) FILTER (a.outcome = 'ok' AND a.reply_us < t.may_us),
                  count(*) FILTER (a.outcome = 'fail' AND a.status BETWEEN 400 AND 499 AND a.sent_us >= t.must_us)
           FROM turned_away t JOIN attempts a USING (n) WHERE t.may_us > 0"""
    )[0]
    finding = found(
        facts,
        before + after,
        "deliveries with what was withdrawn",
        """
        SELECT a.endpoint, a.delivery, a.run_id,
               if(a.outcome = 'ok', format('accepted {} ms after it was in force everywhere', (a.sent_us - t.must_us) // 1000),
                                    format('refused with {} before it was withdrawn', a.problem))
        FROM turned_away t JOIN attempts a USING (n)
        WHERE t.may_us > 0 AND ((a.outcome = 'ok' AND a.sent_us >= t.must_us)
           OR (a.outcome = 'fail' AND a.status BETWEEN 400 AND 499 AND a.status <> 429 AND a.reply_us < t.may_us))""",
    )
    if not finding.count and not (before and after):
        raise CannotTell(
            f"{before:,} were accepted before it was withdrawn, and {after:,} refused after: it takes both"
        )
    return finding


def turn_away(facts: Facts) -> None:
    """turned_away: one row an attempt that is to be refused: (n, problem, may_us, must_us).

    Before `may_us` it is good; from `must_us` on it must be refused. Both are 0 for what never was good.
    """
    facts.con.execute("CREATE TABLE turned_away (n BIGINT, problem VARCHAR, may_us BIGINT, must_us BIGINT)")
    for name in _picky(facts):
        scenario = scenarios.load(name)
        rows = facts.rows("SELECT n, index FROM attempts WHERE scenario = $1", name)
        asked = [(n, _refusal(scenario, scenario.payload(int(facts.plan["seed"]), index))) for n, index in rows]
        wanted = [(n, refusal) for n, refusal in asked if refusal is not None]
        spans = {since: _span(facts, name, since) for since in {refusal.since for _, refusal in wanted}}
        facts.con.execute(
            """INSERT INTO turned_away
               SELECT unnest($1::BIGINT[]), unnest($2::VARCHAR[]), unnest($3::BIGINT[]), unnest($4::BIGINT[])""",
            [
                [n for n, _ in wanted],
                [refusal.problem for _, refusal in wanted],
                *([spans[refusal.since][side] for _, refusal in wanted] for side in (0, 1)),
            ],
        )


def _refusal(scenario: Scenario, body: bytes) -> scenarios.Refusal | None:
    return scenario.refusal(body) if scenario.refusal else None


def _span(facts: Facts, scenario: str, since: str) -> tuple[int, int]:
    if not since:
        return 0, 0
    facts.require("acts")
    rows = facts.rows("SELECT began_us, ended_us FROM acts WHERE scenario = $1 AND name = $2", scenario, since)
    if not rows:
        raise CannotTell(f"it was not done: {since} ({scenario})")
    began_us, ended_us = rows[0]
    return began_us, ended_us + IN_FORCE_US


def _kinds(facts: Facts) -> set[tuple[str, str]]:
    seed = int(facts.plan["seed"])
    found: set[tuple[str, str]] = set()
    for name in _picky(facts):
        scenario = scenarios.load(name)
        refusals = (_refusal(scenario, scenario.payload(seed, index)) for index in range(TRIED))
        found |= {(name, refusal.problem) for refusal in refusals if refusal is not None}
    return found


def _picky(facts: Facts) -> list[str]:
    return [name for name in sorted(facts.plan.get("scenarios", {})) if scenarios.load(name).refusal is not None]


def _nothing(facts: Facts) -> Finding | None:
    if not _picky(facts):
        return Finding(1, "plans", 0, [], note="every delivery of this run is good")
    facts.once(turn_away)
    return None
