"""Counterexamples people can read: what each ledger says of one delivery or run, side by side."""

from __future__ import annotations

from typing import Any, Final

from meshproof.facts import Facts
from meshproof.judge.verdicts import Example

EXAMPLES_MAX: Final = 5
LINES_MAX: Final = 60
TEXT_MAX: Final = 600


def example(facts: Facts, endpoint: str | None, delivery: str | None, run_id: Any, why: str) -> Example:
    """One thing that breaks an invariant, with all that is known of it."""
    if delivery is None and run_id is not None:
        owner = _lines(facts, "SELECT endpoint, delivery FROM runs WHERE run_id = $1 ORDER BY ALL", run_id)
        if owner:
            endpoint, delivery = owner[0]["endpoint"], owner[0]["delivery"]
    runs = _lines(
        facts,
        """SELECT * FROM runs
           WHERE (endpoint = $1 AND delivery = $2) OR run_id = $3 ORDER BY run_id, shard""",
        endpoint,
        delivery,
        run_id,
    )
    ids = sorted({run["run_id"] for run in runs} | ({str(run_id)} if run_id else set()))
    return Example(
        why=why,
        endpoint=endpoint,
        delivery=delivery,
        run_id=str(run_id) if run_id else None,
        sent=_lines(
            facts,
            """SELECT n, kind, outcome, status, problem, named AS run_id, duplicate, error, sent_us, reply_us, hash
               FROM attempts WHERE endpoint = $1 AND delivery = $2 ORDER BY n""",
            endpoint,
            delivery,
        ),
        runs=runs,
        journal=_lines(
            facts,
            """SELECT run_id, seq, row_seq, epoch, claimed_us, at_us, type, event
               FROM events WHERE run_id IN (SELECT unnest($1::UUID[])) ORDER BY run_id, seq, row_seq, at_us, event""",
            ids,
        ),
        claims=_lines(
            facts,
            """SELECT * FROM claims WHERE run_id IN (SELECT unnest($1::UUID[])) ORDER BY run_id, first_seq, epoch""",
            ids,
        ),
        leases=_lines(
            facts,
            """SELECT run_id, seq, epoch, owner, taken_us, until_us, ended_by, end_us
               FROM leases WHERE run_id IN (SELECT unnest($1::UUID[])) ORDER BY run_id, seq""",
            ids,
        ),
        effects=_lines(
            facts,
            """SELECT at_us, key, attempt, hash, answer
               FROM effects WHERE run_id IN (SELECT unnest($1::UUID[])) ORDER BY at_us, key, attempt""",
            ids,
        ),
        samples=_lines(
            facts,
            """SELECT * FROM seen WHERE run_id IN (SELECT unnest($1::UUID[])) ORDER BY run_id, at_us, seq""",
            ids,
        ),
    )


def _lines(facts: Facts, sql: str, *values: object) -> list[dict[str, Any]]:
    cursor = facts.con.execute(sql, list(values))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor.fetchmany(LINES_MAX)]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}… ({len(text):,} characters)"
