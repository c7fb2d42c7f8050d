"""Children: what a journal has started exists, and its end is known to whoever waits for it."""

from __future__ import annotations

from typing import Final

from meshproof.facts import Facts
from meshproof.judge.asked import nothing_of
from meshproof.judge.invariant import Finding, found, invariant

NEEDS: Final = ("plan", "runs", "children")
NO_CHILDREN: Final = ("sub_workflow", "starts another")


@invariant(
    "children.stored",
    "Every child that a journal has started is stored, and was started once.",
    needs=NEEDS,
)
def stored(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_CHILDREN):
        return nothing
    return found(
        facts,
        _children(facts),
        "children",
        """
        SELECT NULL, NULL, c.run_id, format('{} has started {}, which is not stored', c.node, c.child)
        FROM children c WHERE NOT EXISTS (SELECT 1 FROM runs r WHERE r.run_id = c.child)
        UNION ALL
        SELECT NULL, NULL, min(run_id), format('{} was started {} times', child, count(*))
        FROM children GROUP BY child HAVING count(*) > 1""",
    )


@invariant(
    "children.told",
    "Whoever waits for a child is told of its end, and of no other end than that.",
    needs=NEEDS,
)
def told(facts: Facts) -> Finding:
    if nothing := nothing_of(facts, *NO_CHILDREN):
        return nothing
    return found(
        facts,
        _children(facts),
        "children",
        """
        SELECT NULL, NULL, c.run_id, format('{} is {}, and the run that waits for it was not told', c.child, r.status)
        FROM children c JOIN runs r ON r.run_id = c.child JOIN runs p ON p.run_id = c.run_id
        WHERE c.waits AND c.told IS NULL AND r.finished AND NOT p.finished
        UNION ALL
        SELECT NULL, NULL, c.run_id, format('{} was told that {} is {}, and it is {}', c.node, c.child, c.told, r.status)
        FROM children c JOIN runs r ON r.run_id = c.child
        WHERE c.told <> r.status""",
    )


def _children(facts: Facts) -> int:
    children: int = facts.one("SELECT count(*) FROM children")
    return children
