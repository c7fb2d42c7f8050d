"""Liveness: once everything is healed, the engine is what it was. The backlog is gone, and everybody works."""

from __future__ import annotations

from typing import Final

from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

SLACK: Final = 1.5
FEW: Final = 10
"""The backlog before the first fault is one sample of a random load: so many times that, and so many runs, are as good as it."""
LOAD_US_MIN: Final = 2_000_000
"""So much load must have followed the last fault, to judge who works."""


@invariant(
    "liveness.backlog",
    "Within the stated bound after the last fault the backlog is what it was before the first.",
    needs=("plan",),
)
def backlog(facts: Facts) -> Finding:
    if not facts.plan.get("faults"):
        return Finding(1, "plans", 0, [], note="no faults were planned")
    facts.require("faults", "counts")
    bound_s = facts.plan.get("bounds", {}).get("liveness_s")
    if bound_s is None:
        raise CannotTell("plan.json states no bound (bounds.liveness_s)")
    began_us, healed_us = _span(facts)
    before = facts.one("SELECT max(accepted - terminal) FROM counts WHERE at_us < $1", began_us)
    after = facts.one("SELECT count(*) FROM counts WHERE at_us >= $1", healed_us)
    if before is None or not after:
        raise CannotTell("the backlog was not looked at before the first fault, or not after the last")
    most = max(round(before * SLACK), before + FEW)
    return found(
        facts,
        after,
        f"looks after the last fault (a backlog of {most:,} or less is as before)",
        """
        SELECT NULL, NULL, NULL,
               format('{} s after the last fault the backlog was {} at the least; before the first it was up to {}',
                      $3 // 1000000, coalesce(min(accepted - terminal)::VARCHAR, 'not looked at, and'), $4)
        FROM counts WHERE at_us BETWEEN $1 AND $1 + $3 HAVING coalesce(min(accepted - terminal) > $2, true)""",
        healed_us,
        most,
        int(bound_s * 1_000_000),
        before,
    )


@invariant(
    "liveness.workers",
    "After the last fault every worker completes new work.",
    needs=("plan", "attempts"),
)
def workers(facts: Facts) -> Finding:
    if not facts.plan.get("faults"):
        return Finding(1, "plans", 0, [], note="no faults were planned")
    facts.require("faults", "roll_calls")
    _, healed_us = _span(facts)
    load_us = (facts.one("SELECT max(sent_us) FROM attempts") or 0) - healed_us
    if load_us < LOAD_US_MIN:
        raise CannotTell(
            f"the load ended {load_us / 1e6:.1f} s after the last fault: there was no new work for every worker"
        )
    living = "SELECT worker FROM roll_calls WHERE alive AND at_us = (SELECT max(at_us) FROM roll_calls)"
    return found(
        facts,
        facts.one(f"SELECT count(*) FROM ({living})"),  # noqa: S608 - a constant of this function
        "workers",
        f"""
        SELECT NULL, NULL, NULL, format('{{}} has committed nothing since the last fault was over', worker)
        FROM roll_calls SEMI JOIN ({living}) living USING (worker)
        WHERE at_us >= $1 GROUP BY worker HAVING max(committed) <= min(committed)""",  # noqa: S608
        healed_us,
    )


def _span(facts: Facts) -> tuple[int, int]:
    """From the beginning of the first fault to the end of the last."""
    began_us, healed_us = facts.rows("SELECT min(began_us), max(ended_us) FROM faults")[0]
    if began_us is None or healed_us is None:
        raise CannotTell("no fault was made")
    return began_us, healed_us
