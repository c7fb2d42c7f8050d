"""Effects: what the outside world has seen is what the journals say, no more and no less.

The third ledger. A call may be tried several times, and the sink may see several requests of it: physical duplicates. They carry
one key, so the other side can tell; after that exactly one effect is left of each call.
"""

from __future__ import annotations

from typing import Final

from meshproof.facts import Facts
from meshproof.judge.asked import nothing_of
from meshproof.judge.invariant import Finding, found, invariant

NEEDS: Final = ("calls", "plan")
NO_CALLS: Final = ("http_call", "calls out")
SLACK_US: Final = 1_000
"""By so much the clocks of sink and database may differ on one machine; `bounds.clock_skew_us` is added elsewhere."""


@invariant(
    "effects.happened",
    "Every completed call was answered: the sink has seen at least one request with its key, and has answered it.",
    needs=NEEDS,
)
def happened(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_CALLS):
        return nothing
    facts.require("effects")
    return found(
        facts,
        facts.one("SELECT count(*) FROM calls WHERE ended_by = 'step.completed'"),
        "completed calls",
        """
        SELECT NULL, NULL, c.run_id, format('{} is completed, but the sink has answered no request with its key', c.node)
        FROM calls c
        WHERE c.ended_by = 'step.completed'
          AND NOT EXISTS (SELECT 1 FROM effects e
                          WHERE e.run_id = c.run_id AND e.node = c.node AND TRY_CAST(e.answer AS INTEGER) IS NOT NULL)""",
    )


@invariant(
    "effects.known",
    "Every request at the sink carries the key of a journaled call: run and node, the same at every attempt.",
    needs=NEEDS,
)
def known(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_CALLS):
        return nothing
    facts.require("effects")
    return found(
        facts,
        _requests(facts),
        "requests",
        """
        SELECT NULL, NULL, e.run_id, format('the sink was sent the key {}, which no journal has a call for', e.key)
        FROM effects e
        WHERE NOT EXISTS (SELECT 1 FROM calls c WHERE c.run_id = e.run_id AND c.node = e.node)""",
    )


@invariant(
    "effects.counted",
    "No key has been seen more often than its call was begun, and never before that was on record.",
    needs=NEEDS,
)
def counted(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_CALLS):
        return nothing
    facts.require("effects")
    return found(
        facts,
        _requests(facts),
        "requests",
        """
        SELECT NULL, NULL, e.run_id,
               format('request {} with the key of {}, which was begun {} times', e.number, e.node, n.attempts)
        FROM effects e
        JOIN (SELECT run_id, node, count(*) AS attempts FROM calls GROUP BY run_id, node) n
          ON n.run_id = e.run_id AND n.node = e.node
        WHERE e.number > n.attempts
        UNION ALL
        SELECT NULL, NULL, e.run_id,
               format('request {} of {} came {} µs before its attempt was on record', e.number, e.node, c.started_us - e.at_us)
        FROM effects e JOIN calls c ON c.run_id = e.run_id AND c.node = e.node AND c.attempt = e.number
        WHERE e.at_us < c.started_us - $1""",
        _slack_us(facts),
    )


@invariant(
    "effects.same",
    "One key stands for one request: the same body, sent to the same place, at every attempt.",
    needs=NEEDS,
)
def same(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_CALLS):
        return nothing
    facts.require("effects")
    return found(
        facts,
        facts.one("SELECT count(DISTINCT key) FROM effects"),
        "keys",
        """
        SELECT NULL, NULL, any_value(run_id),
               format('the key {} came with {} bodies, to {} places', key, count(DISTINCT hash), count(DISTINCT path))
        FROM effects GROUP BY key HAVING count(DISTINCT hash) > 1 OR count(DISTINCT path) > 1""",
    )


@invariant(
    "effects.explained",
    "Every failed attempt has a cause: the sink's answer, the time that was up, a broken connection, a lost lease.",
    needs=(*NEEDS, "incidents"),
)
def explained(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_CALLS):
        return nothing
    facts.require("effects")
    return found(
        facts,
        _attempts(facts),
        f"attempts ({facts.one(_FAILED):,} of them failed)",
        (
            # A refusal, as often as the sink has given it to this key.
            """
        SELECT NULL, NULL, c.run_id,
               format('{} was answered {} {} times by its journal, and {} times by the sink',
                      c.node, c.status, count(*), any_value(coalesce(e.answers, 0)))
        FROM calls c
        LEFT JOIN (SELECT run_id, node, TRY_CAST(answer AS INTEGER) AS status, count(*) AS answers
                   FROM effects GROUP BY ALL) e ON e.run_id = c.run_id AND e.node = c.node AND e.status = c.status
        WHERE c.ended_by = 'call.failed' AND c.error = 'status'
        GROUP BY c.run_id, c.node, c.status HAVING count(*) > any_value(coalesce(e.answers, 0))""",
            """
        SELECT NULL, NULL, c.run_id,
               format('attempt {} of {} timed out after {} ms, and had {} ms',
                      c.attempt, c.node, (c.ended_us - c.started_us) // 1000, a.timeout_us // 1000)
        FROM calls c JOIN asked_calls a ON a.scenario = c.scenario AND a.node = c.name
        WHERE c.ended_by = 'call.failed' AND c.error = 'timeout' AND c.ended_us - c.started_us < a.timeout_us""",
            # A connection breaks when the sink breaks it, or when something happens to one of the processes.
            """
        SELECT NULL, NULL, c.run_id,
               format('the connection of {} broke {} times, and {} times by the sink',
                      c.node, count(*), any_value(coalesce(e.breaks, 0)))
        FROM calls c
        LEFT JOIN (SELECT run_id, node, count(*) AS breaks FROM effects WHERE answer IN ('reset', 'cut') GROUP BY ALL) e
               ON e.run_id = c.run_id AND e.node = c.node
        WHERE c.ended_by = 'call.failed' AND c.error = 'broken'
          AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.since_us <= c.ended_us AND i.at_us >= c.started_us)
        GROUP BY c.run_id, c.node HAVING count(*) > any_value(coalesce(e.breaks, 0))""",
            """
        SELECT NULL, NULL, c.run_id, format('attempt {} of {} failed as {}, which nothing explains', c.attempt, c.node, c.error)
        FROM calls c
        WHERE c.ended_by = 'call.failed'
          AND (c.error IS NULL OR c.error NOT IN ('status', 'timeout', 'broken', 'connect', 'unknown'))""",
        ),
    )


@invariant(
    "effects.backoff",
    "No attempt is begun, and none reaches the sink, before the time the failure before it has set.",
    needs=NEEDS,
)
def backoff(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_CALLS):
        return nothing
    facts.require("effects")
    return found(
        facts,
        _attempts(facts),
        f"attempts ({facts.one(_AGAIN):,} of them after a failure)",
        (
            """
        SELECT NULL, NULL, c.run_id,
               format('attempt {} of {} began {} µs before its time', c.attempt, c.node, b.retry_us - c.started_us)
        FROM calls c JOIN calls b ON b.run_id = c.run_id AND b.node = c.node AND b.attempt = c.attempt - 1
        WHERE c.started_us < b.retry_us""",
            # Some attempts may not have arrived, so the n-th request is of the n-th attempt or of a later one.
            """
        SELECT NULL, NULL, e.run_id,
               format('request {} of {} came {} µs before the time of that attempt', e.number, e.node, b.retry_us - e.at_us)
        FROM effects e JOIN calls b ON b.run_id = e.run_id AND b.node = e.node AND b.attempt = e.number - 1
        WHERE e.at_us < b.retry_us - $1""",
        ),
        _slack_us(facts),
    )


_FAILED: Final = "SELECT count(*) FROM calls WHERE ended_by = 'call.failed'"
_AGAIN: Final = "SELECT count(*) FROM calls WHERE attempt > 1"


def _attempts(facts: Facts) -> int:
    attempts: int = facts.one("SELECT count(*) FROM calls")
    return attempts


def _requests(facts: Facts) -> int:
    requests: int = facts.one("SELECT count(*) FROM effects")
    return requests


def _slack_us(facts: Facts) -> int:
    return SLACK_US + int(facts.plan.get("bounds", {}).get("clock_skew_us", 0))
