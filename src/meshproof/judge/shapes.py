"""Replays every shape of journal that occurs, once, and keeps what came of it as facts.

shapes        one row a (scenario, shape): the status it folds to, and which nodes make the output
shape_faults  one row for each rule a shape breaks
leaves        one row for each node that makes the output of a shape
"""

from __future__ import annotations

from functools import cache

from meshproof.facts import Facts
from meshproof.judge.graph import Graph, graph
from meshproof.judge.replay import Mark, replay


def replay_shapes(facts: Facts) -> None:
    """Derive the tables of this module."""
    facts.con.execute(
        """
        CREATE TABLE shapes AS
        SELECT row_number() OVER (ORDER BY scenario, shape) AS id, scenario, shape, count(*) AS runs
        FROM journals WHERE scenario IS NOT NULL GROUP BY scenario, shape;
        ALTER TABLE shapes ADD COLUMN status VARCHAR;
        ALTER TABLE shapes ADD COLUMN several BOOLEAN;
        CREATE TABLE shape_faults (id BIGINT, invariant VARCHAR, why VARCHAR);
        CREATE TABLE leaves (id BIGINT, node VARCHAR);
        CREATE TABLE shaped AS
        SELECT j.run_id, s.id FROM journals j JOIN shapes s ON s.scenario = j.scenario AND s.shape = j.shape;"""
    )

    @cache
    def graph_of(scenario: str) -> Graph:
        return graph(facts.plan["scenarios"][scenario]["definition"])

    ids, statuses, several = [], [], []
    faults: list[tuple[int, str, str]] = []
    leaves: list[tuple[int, str]] = []
    for id, scenario, shape in facts.rows("SELECT id, scenario, shape FROM shapes ORDER BY id"):
        replayed = replay(graph_of(scenario), [_mark(text) for text in shape.split("\x1e")])
        ids.append(id)
        statuses.append(replayed.status)
        several.append(replayed.several)
        # The first fault of each kind: what follows it is mostly its consequence.
        faults += [(id, *fault) for fault in {fault.invariant: fault for fault in reversed(replayed.faults)}.values()]
        leaves += [(id, node) for node in replayed.leaves]
    facts.con.execute(
        """UPDATE shapes SET status = f.status, several = f.several
           FROM (SELECT unnest($1::BIGINT[]) AS id, unnest($2::VARCHAR[]) AS status, unnest($3::BOOLEAN[]) AS several) f
           WHERE shapes.id = f.id""",
        [ids, statuses, several],
    )
    facts.con.execute(
        "INSERT INTO shape_faults SELECT unnest($1::BIGINT[]), unnest($2::VARCHAR[]), unnest($3::VARCHAR[])",
        [[fault[part] for fault in faults] for part in range(3)],
    )
    facts.con.execute(
        "INSERT INTO leaves SELECT unnest($1::BIGINT[]), unnest($2::VARCHAR[])",
        [[leaf[part] for leaf in leaves] for part in range(2)],
    )


def _mark(text: str) -> Mark:
    type, _, rest = text.partition("\x1f")
    epoch, *names = rest.split("\x1f")
    # A name with a separator in it would fall apart here; an event of no known type is what it then is.
    return Mark(type, int(epoch), *names) if len(names) == 5 and epoch.lstrip("-").isdigit() else Mark(text, 0)
