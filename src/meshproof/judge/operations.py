"""Operations: many runs are cancelled or begun again at once. What an operation says it has done is what the ledgers say."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

NEEDS: Final = ("plan", "runs", "events", "origins", "journals")
SOON_US: Final = 1_000_000
"""An operation reaches runs accepted so long after it began: their ids are made by the clocks of others."""
STILL_US: Final = 5_000_000
"""A request of a call that was under way may arrive so long after its run was cancelled."""


@invariant(
    "operations.counted",
    "What an operation says it has done to how many runs is what their journals say.",
    needs=NEEDS,
)
def counted(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    finding = found(
        facts,
        facts.one("SELECT sum(done)::BIGINT FROM operations"),
        "runs that operations were done to",
        """
        WITH tallied AS (
            SELECT o.*,
                   (SELECT count(*) FROM cancelled c WHERE c.operation = o.id) AS cancelled,
                   (SELECT count(*) FROM ended e WHERE e.scenario = o.scenario AND e.type <> 'run.cancelled'
                      AND e.accepted_us < o.began_us + $1 AND e.at_us >= o.began_us) AS faster,
                   (SELECT count(*) FROM replayed p WHERE p.operation = o.id) AS replayed
            FROM operations o)
        SELECT NULL, NULL, NULL,
               format('operation {} to {} says matched {}, done {}, refused {} ({}); the ledgers have {} runs it cancelled,'
                      ' {} that ended by themselves since it began, and {} it began again',
                      id, kind, matched, done, refused, state, cancelled, faster, replayed)
        FROM tallied
        WHERE state <> 'done' OR matched <> done + refused
           OR (kind = 'replay' AND done <> replayed)
           OR (kind = 'cancel' AND done NOT BETWEEN cancelled AND cancelled + faster)""",
        SOON_US,
    )
    kinds = {row[0] for row in facts.rows("SELECT DISTINCT kind FROM operations WHERE done > 0")}
    if not finding.count and (missing := {"cancel", "replay"} - kinds):
        raise CannotTell(f"no operation had anything to {min(missing)}")
    return finding


@invariant(
    "operations.rightful",
    "A run is cancelled only by an operation that began after it, and a failed one is begun again once, after it had failed.",
    needs=NEEDS,
)
def rightful(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    return found(
        facts,
        facts.one("SELECT (SELECT count(*) FROM cancelled) + (SELECT count(*) FROM replayed)"),
        "runs that were cancelled or begun again",
        """
        SELECT NULL, NULL, c.run_id,
               if(o.id IS NULL, 'cancelled, and no operation was to do it: ' || coalesce(c.reason, 'no reason'),
                  format('accepted {} ms after the operation began that has cancelled it', (c.accepted_us - o.began_us) // 1000))
        FROM cancelled c LEFT JOIN operations o ON o.id = c.operation AND o.kind = 'cancel' AND o.scenario = c.scenario
        WHERE o.id IS NULL OR c.accepted_us > o.began_us + $1
        UNION ALL
        SELECT NULL, NULL, replay_of, format('begun again {} times', count(*)) FROM replayed GROUP BY replay_of HAVING count(*) > 1
        UNION ALL
        SELECT NULL, NULL, p.run_id, 'begins a run again that had not failed before'
        FROM replayed p LEFT JOIN ended e ON e.run_id = p.replay_of
        WHERE e.type IS DISTINCT FROM 'run.failed' OR e.at_us > p.accepted_us OR p.operation IS NULL""",
        SOON_US,
    )


@invariant(
    "operations.reached",
    "Nothing is begun for a run after an operation has cancelled it: who takes it from then on, ends it.",
    needs=(*NEEDS, "claims"),
)
def reached(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    in_flight = facts.one(
        """SELECT count(*) FROM cancelled c
           WHERE EXISTS (SELECT 1 FROM calls k WHERE k.run_id = c.run_id AND k.ended_by IS NULL)"""
    )
    asleep = facts.one(
        """SELECT count(*) FROM cancelled c
           WHERE EXISTS (SELECT 1 FROM events e WHERE e.run_id = c.run_id AND e.type IN ('timer.set', 'wait.set'))"""
    )
    finding = found(
        facts,
        facts.one(
            """SELECT count(*) FROM ended e JOIN operations o ON o.scenario = e.scenario AND o.kind = 'cancel'
               WHERE e.accepted_us < o.began_us AND e.at_us > o.began_us"""
        ),
        f"runs that were live when they were to be cancelled ({in_flight:,} in a call, {asleep:,} asleep)",
        """
        SELECT DISTINCT NULL, NULL, e.run_id,
               format('{} by a claim {} ms after everybody was cancelled', e.type, (e.claimed_us - o.over_us) // 1000)
        FROM operations o
        JOIN accepted a ON a.scenario = o.scenario AND a.at_us < o.began_us
        JOIN events e ON e.run_id = a.run_id AND e.claimed_us > o.over_us
        WHERE o.kind = 'cancel' AND e.type NOT IN ('run.cancelled', 'lease.taken', 'lease.released', 'lease.expired')""",
    )
    if not finding.count and not (in_flight and asleep):
        raise CannotTell(f"{in_flight:,} runs were cancelled in a call and {asleep:,} asleep: it takes both")
    return finding


@invariant(
    "operations.silent",
    "The sink sees no call of a cancelled run but those that were begun before, and none long after.",
    needs=NEEDS,
)
def silent(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    facts.require("effects", "calls")
    return found(
        facts,
        facts.one("SELECT count(*) FROM effects f SEMI JOIN cancelled c ON c.run_id = f.run_id"),
        "requests of runs that were cancelled",
        """
        SELECT NULL, NULL, c.run_id,
               format('request {} of {} came {} ms after the run was cancelled, and {} attempts had been begun', f.number, f.node,
                      (f.at_us - c.at_us) // 1000, (SELECT count(*) FROM calls k WHERE k.run_id = c.run_id AND k.node = f.node))
        FROM effects f JOIN cancelled c ON c.run_id = f.run_id
        WHERE f.at_us > c.at_us
          AND (f.at_us > c.at_us + $1
               OR f.number > (SELECT count(*) FROM calls k
                              WHERE k.run_id = c.run_id AND k.node = f.node AND k.started_us <= c.at_us))""",
        STILL_US,
    )


def operate(facts: Facts) -> None:
    """The operations of this run as they say themselves, and what they have done by the journals.

    operations  (id, scenario, kind, state, matched, done, refused, began_us, over_us): begun on the clock of the database, and seen
                to be over, so that its last transaction is committed
    accepted    (run_id, scenario, at_us): every run of their workflows
    ended       (run_id, scenario, type, at_us, accepted_us): those that have ended
    cancelled   (run_id, scenario, reason, operation, at_us, accepted_us)
    replayed    (run_id, replay_of, accepted_us, operation): the operation is the last that had begun
    """
    facts.con.execute(
        """CREATE TABLE operations (id VARCHAR, scenario VARCHAR, kind VARCHAR, state VARCHAR, matched BIGINT, done BIGINT,
                                    refused BIGINT, began_us BIGINT, over_us BIGINT)"""
    )
    skew_us = facts.plan.get("bounds", {}).get("clock_skew_us", 0)
    for name in _operated(facts):
        done = facts.rows("SELECT ended_us, reply FROM acts WHERE scenario = $1 AND name IN ('cancel', 'replay')", name)
        for ended_us, reply in done:
            told = json.loads(reply)
            counts = [told[member] for member in ("matched", "done", "refused")]
            times = [_us(told["began_at"]), ended_us + skew_us]
            facts.con.execute(
                "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [told["id"], name, told["kind"], told["state"], *counts, *times],
            )
    facts.con.execute(
        """CREATE TABLE accepted AS
           SELECT e.run_id, j.scenario, e.at_us FROM events e JOIN journals j USING (run_id)
           WHERE e.seq = 1 AND j.scenario IN (SELECT DISTINCT scenario FROM operations);
           CREATE TABLE ended AS
           SELECT a.run_id, a.scenario, e.type, e.at_us, a.at_us AS accepted_us, e.event
           FROM accepted a JOIN events e USING (run_id) WHERE e.type IN ('run.completed', 'run.failed', 'run.cancelled');
           CREATE TABLE cancelled AS
           SELECT run_id, scenario, reason, split_part(reason, ' ', 2) AS operation, at_us, accepted_us
           FROM (SELECT *, TRY(json_extract_string(event, '$.reason')) AS reason FROM ended WHERE type = 'run.cancelled');
           CREATE TABLE replayed AS
           SELECT f.run_id, f.replay_of, f.accepted_us,
                  (SELECT max_by(o.id, o.began_us) FROM operations o
                   WHERE o.kind = 'replay' AND o.scenario = a.scenario AND o.began_us <= f.accepted_us) AS operation
           FROM origins f JOIN accepted a USING (run_id) WHERE f.replay_of IS NOT NULL"""
    )


def _us(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1_000_000)


def _operated(facts: Facts) -> list[str]:
    return [name for name in sorted(facts.plan["scenarios"]) if scenarios.load(name).cancellable]


def _nothing(facts: Facts) -> Finding | None:
    if not _operated(facts):
        return Finding(1, "plans", 0, [], note="nothing was done to many runs at once")
    facts.require("acts")
    facts.once(operate)
    if not facts.one("SELECT count(*) FROM operations"):
        raise CannotTell("no operation was begun")
    return None
