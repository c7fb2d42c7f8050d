"""Journal: the events of every run, each on its own, tell a legal story that ends where the run is."""

from __future__ import annotations

from meshproof.facts import Facts
from meshproof.judge.invariant import Finding, found, invariant
from meshproof.judge.outputs import weigh_outputs
from meshproof.judge.shapes import replay_shapes


@invariant(
    "journal.present",
    "Every stored run has a journal, and every journal a stored run.",
    needs=("runs", "events"),
)
def present(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM runs")
    return found(
        facts,
        checked,
        "stored runs",
        """
        SELECT endpoint, delivery, run_id, 'has no journal'
        FROM runs r WHERE NOT EXISTS (SELECT 1 FROM journals j WHERE j.run_id = r.run_id)
        UNION ALL
        SELECT NULL, NULL, run_id, 'has a journal, but is not stored'
        FROM journals j WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = j.run_id)""",
    )


@invariant(
    "journal.gapless",
    "The sequence numbers of a journal are 1 … n: each once, none missing.",
    needs=("journals",),
)
def gapless(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM journals")
    return found(
        facts,
        checked,
        "journals",
        """
        SELECT NULL, NULL, run_id, format('{} events are numbered {}', events, array_to_string(seqs[:100], ' '))
        FROM journals WHERE seqs <> range(1, events + 1)""",
    )


@invariant(
    "journal.first",
    "A journal begins with run.accepted, and has it once.",
    needs=("journals",),
)
def first(facts: Facts) -> Finding:
    return _replayed(facts, "journal.first")


@invariant(
    "journal.ending",
    "A finished run has exactly one terminal event, and it is the last.",
    needs=("journals", "runs"),
)
def ending(facts: Facts) -> Finding:
    return _replayed(
        facts,
        "journal.ending",
        """
        SELECT r.endpoint, r.delivery, r.run_id, 'is ' || r.status || ', but its journal has no terminal event'
        FROM runs r JOIN shaped USING (run_id) JOIN shapes s USING (id)
        WHERE r.finished AND s.status NOT IN ('completed', 'failed', 'cancelled')""",
    )


@invariant(
    "journal.legal",
    "Only legal transitions: known events, nodes and ports; leases end before others write; a run ends for a reason.",
    needs=("journals",),
)
def legal(facts: Facts) -> Finding:
    return _replayed(facts, "journal.legal")


@invariant(
    "journal.once",
    "A step ends at most once.",
    needs=("journals",),
)
def once(facts: Facts) -> Finding:
    return _replayed(facts, "journal.once")


@invariant(
    "journal.attempts",
    "Attempts of a call are numbered 1 … max; each ends before the next begins, and only its own claim knows how.",
    needs=("journals",),
)
def attempts(facts: Facts) -> Finding:
    return _replayed(facts, "journal.attempts")


@invariant(
    "journal.order",
    "A step starts only after everything it waits for: edges, chosen ports, joins.",
    needs=("journals",),
)
def order(facts: Facts) -> Finding:
    return _replayed(facts, "journal.order")


@invariant(
    "journal.complete",
    "A run completes only when no step is left that could run.",
    needs=("journals",),
)
def complete(facts: Facts) -> Finding:
    return _replayed(facts, "journal.complete")


@invariant(
    "journal.fold",
    "Folding the journal gives the stored status, and the outputs of its steps give the stored output.",
    needs=("attempts", "runs", "journals", "plan"),
)
def fold(facts: Facts) -> Finding:
    facts.once(weigh_outputs)
    return _replayed(
        facts,
        "journal.fold",
        """
        SELECT r.endpoint, r.delivery, r.run_id, 'is stored as ' || r.status || ', but its journal says ' || s.status
        FROM runs r JOIN shaped USING (run_id) JOIN shapes s USING (id)
        WHERE r.status <> s.status
        """,
        "SELECT NULL, NULL, run_id, why FROM output_faults WHERE invariant = 'journal.fold'",
    )


@invariant(
    "journal.prefix",
    "What was seen of a journal during the run is a prefix of what is stored in the end.",
    needs=("seen", "events"),
)
def prefix(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM seen WHERE status <> 'absent'")
    return found(
        facts,
        checked,
        "samples",
        """
        WITH parts AS (
            SELECT s.run_id, s.seq, s.digest, s.at_us, count(e.seq) AS events,
                   md5(string_agg(e.event, chr(10) ORDER BY e.seq, e.row_seq, e.at_us)) AS now
            FROM (SELECT run_id, seq, digest, min(at_us) AS at_us FROM seen WHERE status <> 'absent' GROUP BY ALL) s
            LEFT JOIN events e ON e.run_id = s.run_id AND e.seq <= s.seq
            GROUP BY s.run_id, s.seq, s.digest, s.at_us)
        SELECT NULL, NULL, run_id,
               CASE WHEN events < seq THEN format('at {} µs it had {} events, now {} of them are left', at_us, seq, events)
                    ELSE format('its first {} events are not what they were at {} µs', seq, at_us) END
        FROM parts WHERE now IS DISTINCT FROM digest OR events <> seq
        UNION ALL
        SELECT NULL, NULL, run_id, format('had {} events at {} µs, and {} before', seq, at_us, before)
        FROM (SELECT *, max(seq) OVER (PARTITION BY run_id ORDER BY at_us RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
                        AS before
              FROM seen)
        WHERE seq < before""",
    )


@invariant(
    "journal.whole",
    "What one commit writes is seen whole: in every sample the run is where its journal says it is.",
    needs=("seen", "events"),
)
def whole(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM seen WHERE status <> 'absent'")
    return found(
        facts,
        checked,
        "samples",
        """
        SELECT NULL, NULL, run_id, format('seen as {} at {} µs, when its last event was {} {}', status, at_us, seq, type)
        FROM (SELECT s.run_id, s.at_us, s.status, s.seq, max_by(e.type, e.seq) AS type,
                     coalesce(max_by(e.type, e.seq) FILTER (e.type LIKE 'lease.%'), '') AS lease,
                     coalesce(list(e.node) FILTER (e.type LIKE 'step.%'), []) AS ended,
                     coalesce(list(e.node) FILTER (
                         e.type IN ('timer.set', 'call.started', 'wait.set', 'child.started')), []) AS begun,
                     coalesce(max_by(e.type, e.seq) FILTER (e.type IN ('run.paused', 'run.resumed')), '') AS told_to,
                     CASE max_by(e.type, e.seq)
                         WHEN 'run.accepted' THEN 'queued'
                         WHEN 'delivery.added' THEN 'queued'
                         WHEN 'run.completed' THEN 'completed'
                         WHEN 'run.failed' THEN 'failed'
                         WHEN 'run.cancelled' THEN 'cancelled'
                         ELSE CASE WHEN lease = 'lease.taken' THEN 'running'
                                   WHEN told_to = 'run.paused' THEN 'paused'
                                   WHEN len(list_filter(begun, lambda n: NOT list_contains(ended, n))) > 0 THEN 'waiting'
                                   ELSE 'running' END END AS told
              FROM (SELECT DISTINCT run_id, at_us, status, seq FROM seen WHERE status <> 'absent') s
              JOIN events e ON e.run_id = s.run_id AND e.seq <= s.seq
              GROUP BY s.run_id, s.at_us, s.status, s.seq
              HAVING max(e.seq) = s.seq)
        -- Without a lease so far it is queued still, though something may be written: a loop is begun, its calls find no room.
        WHERE status <> told AND NOT (lease = '' AND told = 'running' AND status = 'queued')""",
    )


def _replayed(facts: Facts, name: str, *also: str) -> Finding:
    facts.once(replay_shapes)
    checked = facts.one("SELECT count(*) FROM shaped")
    return found(
        facts,
        checked,
        "journals",
        (
            "SELECT NULL, NULL, shaped.run_id, f.why FROM shape_faults f JOIN shaped USING (id) WHERE f.invariant = $1",
            *also,
        ),
        name,
    )
