"""Leases and fencing: at any instant at most one worker may write to a run, and a newer claim silences the older ones.

A claim is what a worker does under one epoch, from `claimed_at` on; a lease is from `lease.taken` to its end. All times are the
database's clock.
"""

from __future__ import annotations

from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant


@invariant(
    "leases.epochs",
    "Every claim of a run has an epoch above all before it, and one epoch is one claim.",
    needs=("events", "runs", "claims"),
)
def epochs(facts: Facts) -> Finding:
    return found(
        facts,
        _claims(facts),
        "claims",
        """
        SELECT NULL, NULL, run_id,
               format('a claim from event {} on has epoch {}, the one before it has {}', first_seq, epoch, before)
        FROM (SELECT *, lag(epoch) OVER (PARTITION BY run_id ORDER BY first_seq, last_seq, epoch, claimed_us) AS before
              FROM claims)
        WHERE epoch <= before
        UNION ALL
        SELECT NULL, NULL, run_id, format('event {} was written without a claim', min(seq))
        FROM events WHERE claimed_us IS NULL AND seq > 1 AND type <> 'delivery.added' GROUP BY run_id
        UNION ALL
        SELECT NULL, NULL, run_id, format('the first claim has epoch {}', min(epoch))
        FROM claims GROUP BY run_id HAVING min(epoch) < 1
        UNION ALL
        SELECT NULL, NULL, c.run_id,
               format('its journal has epoch {}, the run itself only {}', max(c.epoch), min(r.epoch))
        FROM claims c JOIN runs r ON r.run_id = c.run_id GROUP BY c.run_id HAVING max(c.epoch) > min(r.epoch)""",
    )


@invariant(
    "leases.fenced",
    "Nothing is written under an epoch below the highest one issued before it.",
    needs=("events", "claims"),
)
def fenced(facts: Facts) -> Finding:
    return found(
        facts,
        _claims(facts),
        "claims",
        """
        SELECT NULL, NULL, run_id,
               format('event {} was written under epoch {}, after one under epoch {}',
                      min(seq), min_by(epoch, seq), min_by(highest, seq))
        FROM (SELECT run_id, seq, epoch, max(epoch) OVER earlier AS highest
              FROM events
              WINDOW earlier AS (PARTITION BY run_id ORDER BY seq RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
        WHERE epoch < highest GROUP BY run_id
        UNION ALL
        SELECT NULL, NULL, e.run_id,
               format('event {} was written under epoch {}, after epoch {} had been seen',
                      min(e.seq), min_by(e.epoch, e.seq), min_by(s.epoch, e.seq))
        FROM seen s JOIN events e ON e.run_id = s.run_id AND e.seq > s.seq AND e.epoch < s.epoch
        GROUP BY e.run_id""",
    )


@invariant(
    "leases.overlap",
    "The spans of different claims, from claimed_at to their last write, never overlap.",
    needs=("events", "claims"),
)
def overlap(facts: Facts) -> Finding:
    return found(
        facts,
        _claims(facts),
        "claims",
        """
        SELECT NULL, NULL, run_id,
               format('a claim (epoch {}) begins {} µs before the last write of an earlier one',
                      epoch, busy_until - claimed_us)
        FROM (SELECT *, max(last_at_us) OVER (PARTITION BY run_id ORDER BY claimed_us, epoch
                                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS busy_until
              FROM claims)
        WHERE claimed_us < busy_until
        UNION ALL
        SELECT NULL, NULL, run_id,
               format('a claim (epoch {}) writes {} µs before it was made', epoch, claimed_us - first_at_us)
        FROM claims WHERE first_at_us < claimed_us""",
    )


@invariant(
    "leases.takeover",
    "Nobody takes a run over before its lease has expired or was released.",
    needs=("claims", "leases"),
)
def takeover(facts: Facts) -> Finding:
    _require_ends(facts)
    return found(
        facts,
        _claims(facts),
        "claims",
        """
        SELECT NULL, NULL, l.run_id,
               format('the lease taken at event {} (epoch {}) ran {} µs longer than until the claim of epoch {}',
                      l.seq, l.epoch, l.end_us - c.claimed_us, c.epoch)
        FROM leases l JOIN claims c ON c.run_id = l.run_id AND c.epoch <> l.epoch AND c.last_seq > l.seq
        WHERE c.claimed_us < l.end_us""",
    )


@invariant(
    "leases.recovery",
    "A run whose lease has expired is taken up again within the stated bound, or so soon after what happened meanwhile.",
    needs=("events", "claims", "plan", "incidents"),
)
def recovery(facts: Facts) -> Finding:
    expired = facts.one("SELECT count(*) FROM events WHERE type = 'lease.expired'")
    bound_s = facts.plan.get("bounds", {}).get("takeover_s")
    _require_ends(facts)
    if expired and bound_s is None:
        raise CannotTell("leases have expired, and plan.json states no bound (bounds.takeover_s)")
    return found(
        facts,
        _claims(facts),
        f"claims ({expired:,} of them after an expired lease)",
        """
        SELECT NULL, NULL, run_id, format('taken up {} ms after its lease had ended', (claimed_us - until_us) // 1000)
        FROM events e WHERE type = 'lease.expired' AND claimed_us - until_us > $1
          AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.since_us <= e.claimed_us AND i.at_us > e.claimed_us - $1)""",
        int((bound_s or 0) * 1_000_000),
    )


@invariant(
    "leases.returned",
    "A worker that ends in good order gives its leases back: none of them has to run out.",
    needs=("events", "claims", "incidents"),
)
def returned(facts: Facts) -> Finding:
    facts.once(_orderly)
    workers = facts.one("SELECT count(*) FROM orderly")
    return found(
        facts,
        _claims(facts),
        f"claims ({workers:,} workers ended in good order)",
        """
        SELECT NULL, NULL, e.run_id, format('the lease of {} ran out, though that process had ended in good order', e.owner)
        FROM events e JOIN orderly o ON o.pid::VARCHAR = regexp_extract(e.owner, '-([0-9]+)-[0-9a-f]+$', 1)
        WHERE e.type = 'lease.expired'""",
    )


def _orderly(facts: Facts) -> None:
    """The process ids of workers that ended in good order; where the database was hit in that time, it may not have been there
    to take the leases back."""
    facts.con.execute(
        """CREATE TABLE orderly AS
           SELECT DISTINCT w.pid FROM incidents w
           WHERE w.role = 'worker' AND w.what LIKE '%ended%(exit code 0)'
             AND NOT EXISTS (SELECT 1 FROM incidents d
                             WHERE d.role NOT IN ('worker', 'api', 'sink') AND d.at_us BETWEEN w.at_us - 60_000_000 AND w.at_us)"""
    )


def _claims(facts: Facts) -> int:
    claims: int = facts.one("SELECT count(*) FROM claims")
    return claims


def _require_ends(facts: Facts) -> None:
    if facts.one("SELECT count(*) FROM events WHERE type IN ('lease.taken', 'lease.expired') AND until_us IS NULL"):
        raise CannotTell("there are leases without a readable end (until)")
