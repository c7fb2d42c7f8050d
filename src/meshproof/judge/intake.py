"""Intake: every accepted delivery is stored exactly once, under the id its sender was told, with the body that was accepted.

A delivery is `(endpoint, delivery id)`; several attempts may carry it. It is acknowledged (K) if any of its attempts was `ok`,
refused (F) if all of them were `fail`, and of unknown fate (I) otherwise. R is what is stored: a multiset.

Each set is compared by identity and on its own, so a loss and a duplicate can't make up for each other.
"""

from __future__ import annotations

from typing import Final

from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant
from meshproof.judge.outputs import weighed
from meshproof.judge.refusals import turn_away

CLOCK_MARGIN_US: Final = 100_000
"""How far the generator's clock may have drifted from the one of the samples, on one machine."""


@invariant(
    "intake.lost",
    "Every acknowledged delivery is stored: K∖R = ∅, and every run id that was handed out exists.",
    needs=("attempts", "runs"),
)
def lost(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM deliveries WHERE acknowledged > 0")
    return found(
        facts,
        checked,
        "acknowledged deliveries",
        """
        WITH promised AS (SELECT DISTINCT endpoint, delivery, run_id FROM attempts WHERE outcome = 'ok'),
             gone AS (
                 SELECT p.endpoint, p.delivery, min(p.run_id) AS run_id, bool_and(d.delivery IS NULL) AS nothing
                 FROM promised p
                 LEFT JOIN (SELECT DISTINCT endpoint, delivery FROM kept) d
                        ON d.endpoint = p.endpoint AND d.delivery = p.delivery
                 LEFT JOIN (SELECT DISTINCT run_id FROM runs) r ON r.run_id = p.run_id
                 WHERE d.delivery IS NULL OR (p.run_id IS NOT NULL AND r.run_id IS NULL)
                 GROUP BY p.endpoint, p.delivery)
        SELECT endpoint, delivery, run_id,
               CASE WHEN nothing THEN 'acknowledged, but no run of this delivery is stored'
                    ELSE 'acknowledged as a run that is not stored (another run of this delivery is)' END
        FROM gone""",
    )


@invariant(
    "intake.phantom",
    "Nothing is stored of a delivery that was only ever refused: R∩F = ∅.",
    needs=("attempts", "runs"),
)
def phantom(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM deliveries")
    return found(
        facts,
        checked,
        "deliveries",
        """
        SELECT r.endpoint, r.delivery, r.run_id, 'every attempt was refused, yet a run is stored'
        FROM kept r JOIN deliveries d ON d.endpoint = r.endpoint AND d.delivery = r.delivery
        WHERE d.refused = d.attempts""",
    )


@invariant(
    "intake.unexpected",
    "Every stored run belongs to a delivery that was attempted, or was begun by a stored run, a replay or a schedule: R∖A = ∅.",
    needs=("attempts", "runs"),
)
def unexpected(facts: Facts) -> Finding:
    if facts.one("SELECT count(*) FROM runs WHERE endpoint IS NULL"):
        facts.require("children")
    checked = facts.one("SELECT count(*) FROM runs")
    return found(
        facts,
        checked,
        "stored runs",
        """
        SELECT r.endpoint, r.delivery, r.run_id, 'stored, but nobody sent such a delivery'
        FROM kept r LEFT JOIN deliveries d ON d.endpoint = r.endpoint AND d.delivery = r.delivery
        WHERE d.delivery IS NULL
          AND NOT (r.endpoint IS NULL AND r.delivery IS NULL AND EXISTS (SELECT 1 FROM children c WHERE c.child = r.run_id))
          -- Whether a schedule or an operation was to begin it is judged by those families.
          AND NOT (r.endpoint IS NULL AND EXISTS (SELECT 1 FROM origins o WHERE o.run_id = r.run_id AND (
                o.source = 'schedule' AND o.tick_us IS NOT NULL
                OR EXISTS (SELECT 1 FROM runs original WHERE original.run_id = o.replay_of))))""",
    )


@invariant(
    "intake.duplicated",
    "No delivery has two runs, and no run is stored twice.",
    needs=("runs",),
)
def duplicated(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM runs")
    return found(
        facts,
        checked,
        "stored runs",
        """
        SELECT endpoint, delivery, min(run_id), format('{} runs of one delivery are stored', count(*))
        FROM kept WHERE delivery IS NOT NULL GROUP BY endpoint, delivery HAVING count(*) > 1
        UNION ALL
        SELECT min(endpoint), min(delivery), run_id, format('the run is stored {} times, under different deliveries', count(*))
        FROM runs GROUP BY run_id HAVING count(DISTINCT (endpoint, delivery)) > 1""",
    )


@invariant(
    "intake.named",
    "Every acknowledgement names the run that is stored for its own delivery.",
    needs=("attempts", "runs"),
)
def named(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM attempts WHERE outcome = 'ok'")
    return found(
        facts,
        checked,
        "acknowledgements",
        """
        SELECT endpoint, delivery, run_id,
               format('attempt {} was acknowledged without a run id: {}', n, coalesce(named, 'none'))
        FROM attempts WHERE outcome = 'ok' AND run_id IS NULL
        UNION ALL
        SELECT a.endpoint, a.delivery, a.run_id, format('attempt {} was told the run of another delivery', a.n)
        FROM attempts a
        WHERE a.outcome = 'ok'
          AND EXISTS (SELECT 1 FROM runs r WHERE r.run_id = a.run_id)
          AND NOT EXISTS (SELECT 1 FROM kept r
                          WHERE r.run_id = a.run_id AND r.endpoint = a.endpoint AND r.delivery = a.delivery)""",
    )


@invariant(
    "intake.redelivered",
    "A redelivery returns the first run's id: all acknowledgements of a delivery name one run, and at most one calls it new.",
    needs=("attempts",),
)
def redelivered(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM deliveries WHERE acknowledged > 0")
    return found(
        facts,
        checked,
        "acknowledged deliveries",
        """
        WITH answers AS (
            SELECT endpoint, delivery, min(run_id) AS run_id, count(DISTINCT run_id) AS ids,
                   count(*) FILTER (NOT coalesce(duplicate, false)) AS firsts
            FROM attempts WHERE outcome = 'ok' GROUP BY endpoint, delivery)
        SELECT a.endpoint, a.delivery, a.run_id,
               CASE WHEN a.ids > 1 THEN format('its acknowledgements name {} different runs', a.ids)
                    WHEN a.firsts > 1 THEN format('{} acknowledgements say that they made the run', a.firsts)
                    ELSE 'every acknowledgement says duplicate, but no attempt can have made the run' END
        FROM answers a JOIN deliveries d ON d.endpoint = a.endpoint AND d.delivery = a.delivery
        WHERE a.ids > 1 OR a.firsts > 1 OR (a.firsts = 0 AND d.unknown = 0)""",
    )


@invariant(
    "intake.conflict",
    "One id stands for one body: the same id with another body is refused as key-reused, and only then.",
    needs=("attempts",),
)
def conflict(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM deliveries")
    return found(
        facts,
        checked,
        "deliveries",
        """
        SELECT endpoint, delivery, min(run_id),
               format('{} different bodies were acknowledged under one id', count(DISTINCT hash))
        FROM attempts WHERE outcome = 'ok' GROUP BY endpoint, delivery HAVING count(DISTINCT hash) > 1
        UNION ALL
        SELECT x.endpoint, x.delivery, NULL,
               format('attempt {} was refused as key-reused, but no other body can have been stored before', x.n)
        FROM attempts x
        WHERE x.outcome = 'fail' AND x.status = 422
          AND (EXISTS (SELECT 1 FROM attempts y WHERE y.endpoint = x.endpoint AND y.delivery = x.delivery
                                                AND y.outcome = 'ok' AND y.hash = x.hash)
            OR NOT EXISTS (SELECT 1 FROM attempts y WHERE y.endpoint = x.endpoint AND y.delivery = x.delivery
                                                    AND y.outcome IN ('ok', 'unknown') AND y.hash <> x.hash
                                                    AND coalesce(y.sent_us <= x.reply_us, true)))""",
    )


@invariant(
    "intake.refused",
    "A good delivery is refused only because the engine is busy or away (429, 503, no connection), or its id is taken (422).",
    needs=("attempts",),
)
def refused(facts: Facts) -> Finding:
    facts.once(turn_away)
    checked = facts.one("SELECT count(*) FROM attempts")
    return found(
        facts,
        checked,
        "attempts",
        """
        SELECT endpoint, delivery, run_id, format('attempt {} was refused with {} {}', n, status, coalesce(problem, ''))
        FROM attempts
        WHERE outcome = 'fail' AND status IS NOT NULL AND status NOT IN (429, 503)
          AND NOT (status = 422 AND coalesce(problem, '') LIKE '%key-reused')
          -- What it was refused as, and whether it says so, is judged by refusals.
          AND NOT EXISTS (SELECT 1 FROM turned_away t WHERE t.n = attempts.n AND attempts.reply_us >= t.may_us)""",
    )


@invariant(
    "intake.body",
    "The stored run was made of the body that was acknowledged, never of one that was refused.",
    needs=("attempts", "runs", "journals"),
)
def body(facts: Facts) -> Finding:
    checked = weighed(facts)
    return found(
        facts,
        checked,
        "finished runs",
        "SELECT NULL, NULL, run_id, why FROM output_faults WHERE invariant = 'intake.body'",
    )


@invariant(
    "intake.vanished",
    "A run that was seen once is never absent again.",
    needs=("seen", "runs"),
)
def vanished(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(DISTINCT run_id) FROM seen")
    return found(
        facts,
        checked,
        "runs seen during the run",
        """
        SELECT NULL, NULL, s.run_id,
               CASE WHEN count(*) FILTER (s.status = 'absent') > 0
                    THEN format('seen before, and absent at {} µs', min(s.at_us) FILTER (s.status = 'absent'))
                    ELSE format('seen as {} at {} µs, and not stored in the end', max_by(s.status, s.at_us), max(s.at_us)) END
        FROM seen s
        WHERE s.status = 'absent' OR NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = s.run_id)
        GROUP BY s.run_id""",
    )


@invariant(
    "intake.visible",
    "What was acknowledged is visible: every snapshot holds at least the runs acknowledged before it.",
    needs=("attempts", "counts", "plan"),
)
def visible(facts: Facts) -> Finding:
    margin_us = CLOCK_MARGIN_US + facts.plan.get("bounds", {}).get("clock_skew_us", 0)
    if not facts.one("SELECT count(*) FROM attempts WHERE reply_us IS NOT NULL"):
        raise CannotTell("no attempt has the time of its reply")
    checked = facts.one("SELECT count(*) FROM counts")
    return found(
        facts,
        checked,
        "snapshots",
        """
        WITH promised AS (
            -- Several deliveries may be acknowledged with one run.
            SELECT min(reply_us) AS at_us FROM attempts
            WHERE outcome = 'ok' AND reply_us IS NOT NULL GROUP BY coalesce(run_id::VARCHAR, endpoint || ' ' || delivery)
        ), acknowledged AS (
            SELECT at_us, count(*) OVER (ORDER BY at_us) AS so_far FROM promised)
        SELECT NULL, NULL, NULL,
               format('the snapshot at {} µs holds {} runs, but {} were acknowledged {} ms before it',
                      c.at_us, c.accepted, a.so_far, $1 // 1000)
        FROM counts c ASOF JOIN acknowledged a ON c.at_us - $1 >= a.at_us
        WHERE c.accepted < a.so_far""",
        margin_us,
    )
