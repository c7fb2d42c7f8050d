"""Completion: every stored run ends, in time, and as the reference model says."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant
from meshproof.judge.modelled import no_model_alone, varies, without_model
from meshproof.judge.outputs import weighed


@invariant(
    "completion.stuck",
    "After the load has stopped and faults have healed, no run is left unfinished.",
    needs=("attempts", "runs", "plan", "incidents"),
)
def stuck(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM runs")
    if facts.one("SELECT count(*) FROM runs WHERE NOT finished"):
        facts.require("read")
        waited_us, bound_us = facts.documents["read"]["at_us"] - _quiet_us(facts), _drain_us(facts)
        if waited_us < bound_us:
            raise CannotTell(
                f"there are unfinished runs, but the database was read {waited_us / 1e6:.1f} s after the last reply,"
                f" and they have {bound_us / 1e6:.1f} s"
            )
    return found(
        facts,
        checked,
        "stored runs",
        "SELECT endpoint, delivery, run_id, format('is still {}', status) FROM runs WHERE NOT finished",
    )


@invariant(
    "completion.drained",
    "Every run is finished within the stated bound after the last reply and the last incident.",
    needs=("attempts", "runs", "plan", "incidents"),
)
def drained(facts: Facts) -> Finding:
    quiet_us, bound_us = _quiet_us(facts), _drain_us(facts)
    checked = facts.one("SELECT count(*) FROM runs WHERE finished")
    return found(
        facts,
        checked,
        "finished runs",
        """
        SELECT endpoint, delivery, run_id, format('finished {} ms after the load had ended', (finished_us - $1) // 1000)
        FROM runs WHERE finished AND finished_us > $1 + $2""",
        quiet_us,
        bound_us,
    )


@invariant(
    "completion.conservation",
    "In every snapshot, accepted = queued + leased + waiting + terminal; and what was accepted or ended stays so.",
    needs=("counts", "runs"),
)
def conservation(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM counts")
    return found(
        facts,
        checked,
        "snapshots",
        """
        WITH s AS (
            SELECT *, queued + leased + coalesce(waiting, 0) + terminal AS accounted,
                   max(accepted) OVER earlier AS accepted_before, max(terminal) OVER earlier AS terminal_before
            FROM counts
            WINDOW earlier AS (ORDER BY at_us ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
        SELECT NULL, NULL, NULL,
               CASE WHEN accounted IS DISTINCT FROM accepted
                    THEN format('at {} µs: {} accepted, but {} accounted for ({} queued, {} leased, {} waiting, {} terminal)',
                                at_us, accepted, coalesce(accounted::VARCHAR, 'not all'), queued, leased, coalesce(waiting, 0),
                                terminal)
                    WHEN accepted < accepted_before
                    THEN format('at {} µs: {} accepted, but there had been {}', at_us, accepted, accepted_before)
                    ELSE format('at {} µs: {} terminal, but there had been {}', at_us, terminal, terminal_before) END
        FROM s
        WHERE accounted IS DISTINCT FROM accepted OR accepted < accepted_before OR terminal < terminal_before
        UNION ALL
        SELECT NULL, NULL, NULL, format('in the end {} runs are stored, but there had been {}', stored, seen)
        FROM (SELECT (SELECT max(accepted) FROM counts) AS seen, (SELECT count(*) FROM runs) AS stored)
        WHERE stored < seen""",
    )


@invariant(
    "completion.queue",
    "A run that is not finished has exactly one place in the queue; a finished one has none.",
    needs=("runs", "tasks"),
)
def queue(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM runs")
    return found(
        facts,
        checked,
        "stored runs",
        """
        WITH places AS (SELECT run_id, count(*) AS places FROM tasks GROUP BY run_id)
        SELECT r.endpoint, r.delivery, r.run_id,
               format('is {} and has {} places in the queue', r.status, coalesce(p.places, 0))
        FROM runs r LEFT JOIN places p ON p.run_id = r.run_id
        WHERE coalesce(p.places, 0) <> (NOT r.finished)::INT
        UNION ALL
        SELECT NULL, NULL, p.run_id, 'has a place in the queue, but is not stored'
        FROM places p WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = p.run_id)""",
    )


@invariant(
    "completion.status",
    "Every run ends as the reference model says: completed or failed.",
    needs=("attempts", "runs", "journals", "plan"),
)
def status(facts: Facts) -> Finding:
    finding = _weighed(facts, "completion.status")
    if without_model(facts):
        # That none has failed through a fault of the engine was looked at all the same.
        return replace(
            finding, note=f"{_ends(facts)}; no model says which had to, but none failed by the engine's fault"
        )
    return finding


@invariant(
    "completion.output",
    "The output of every run is the reference model's, member by member and type by type.",
    needs=("attempts", "runs", "journals", "plan"),
)
def output(facts: Facts) -> Finding:
    return no_model_alone(facts, 1, "what the outputs must be") or _weighed(facts, "completion.output")


@invariant(
    "completion.alike",
    "Runs of the same body end alike: with the same status, and the same output.",
    needs=("attempts", "runs", "journals", "plan"),
)
def alike(facts: Facts) -> Finding:
    if not (own := without_model(facts)):
        return Finding(1, "plans", 0, [], note="the reference model says more: see completion.output")
    if reasons := varies(facts):
        return Finding(1, "plans", 0, [], note=f"not judged: {reasons[0]}")
    facts.con.execute(_SAME_BODY, [own])
    return found(
        facts,
        facts.one("SELECT count(*) FROM same_body WHERE runs > 1"),
        "bodies sent more than once",
        """
        SELECT NULL, NULL, other, format('is {} with {}, while {} of the same body is {} with {}',
                                         other_status, left(other_output, 200), one, one_status, left(one_output, 200))
        FROM same_body WHERE ends > 1""",
    )


# Of each body, two runs that end differently, if there are any.
_SAME_BODY: Final = """
    CREATE OR REPLACE TABLE same_body AS
    WITH sent AS (SELECT endpoint, delivery, any_value(hash) AS hash FROM attempts
                  WHERE scenario IN (SELECT unnest($1::VARCHAR[])) GROUP BY endpoint, delivery HAVING count(DISTINCT hash) = 1),
    ends AS (SELECT run_id, max_by(json_extract(event, '$.output')::VARCHAR, seq) AS output FROM events
             WHERE type IN ('run.completed', 'run.failed', 'run.cancelled') GROUP BY run_id)
    SELECT s.hash, count(*) AS runs, count(DISTINCT (r.status, coalesce(e.output, ''))) AS ends,
           min_by(r.run_id, (r.status, coalesce(e.output, ''), r.run_id)) AS one,
           max_by(r.run_id, (r.status, coalesce(e.output, ''), r.run_id)) AS other,
           min_by(r.status, (r.status, coalesce(e.output, ''), r.run_id)) AS one_status,
           max_by(r.status, (r.status, coalesce(e.output, ''), r.run_id)) AS other_status,
           min_by(coalesce(e.output, 'no output'), (r.status, coalesce(e.output, ''), r.run_id)) AS one_output,
           max_by(coalesce(e.output, 'no output'), (r.status, coalesce(e.output, ''), r.run_id)) AS other_output
    FROM sent s JOIN runs r USING (endpoint, delivery) LEFT JOIN ends e USING (run_id)
    WHERE r.finished GROUP BY s.hash"""


def _ends(facts: Facts) -> str:
    told = facts.rows("SELECT status, count(*) FROM runs WHERE finished GROUP BY status ORDER BY status")
    return ", ".join(f"{count:,} {status}" for status, count in told) or "none has ended"


def _weighed(facts: Facts, name: str) -> Finding:
    checked = weighed(facts)
    return found(
        facts,
        checked,
        "finished runs",
        "SELECT NULL, NULL, run_id, why FROM output_faults WHERE invariant = $1",
        name,
    )


def _quiet_us(facts: Facts) -> int:
    """When nothing was sent any more and nothing broke any more: from here the bound counts."""
    quiet_us: int | None = facts.one(
        "SELECT greatest((SELECT max(coalesce(reply_us, sent_us)) FROM attempts), (SELECT max(at_us) FROM incidents))"
    )
    if quiet_us is None:
        raise CannotTell("no attempt has the time it was sent")
    return quiet_us


def _drain_us(facts: Facts) -> int:
    try:
        return int(facts.plan["bounds"]["drain_s"] * 1_000_000)
    except KeyError:
        raise CannotTell("plan.json states no bound (bounds.drain_s)") from None
