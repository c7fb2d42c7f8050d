"""Endurance: who was overloaded comes back by himself, and who goes on for long does not grow.

Both are read off `analysis.json`, which is made of the samples of a run that was long or hard enough to tell.
"""

from __future__ import annotations

from meshproof.facts import Facts
from meshproof.judge.examples import example
from meshproof.judge.invariant import CannotTell, Finding, invariant


@invariant(
    "endurance.recovery",
    "When the load has fallen again, the same rate is done as before the overload, with nobody's help.",
    needs=("plan",),
)
def recovery(facts: Facts) -> Finding:
    if facts.plan.get("profile") != "stress":
        return Finding(1, "plans", 0, [], note="nobody was to be overloaded")
    facts.require("analysis")
    found = facts.documents["analysis"]
    if found["recovered"] is None:
        raise CannotTell("the load was never too much, so there was nothing to come back from")
    down = [step for step in found["steps"] if step["way"] == "down"]
    last = down[-1]
    if not found["recovered"]:
        said = f"at {last['rate']:,.0f}/s on the way down {last['share']:.0%} was done, or a process had to be started again"
        return Finding(len(down), "steps down", 1, [example(facts, None, None, None, said)])
    relieved = found["relieved_s"]
    after = "" if relieved is None else f", {relieved:.1f} s after the load had fallen below where it broke"
    return Finding(len(down), "steps down", 0, [], note=f"the backlog was as before{after}")


@invariant(
    "endurance.drift",
    "What a long run holds on to does not grow: memory, files, connections, tables, dead rows, and how long things take.",
    needs=("plan",),
)
def drift(facts: Facts) -> Finding:
    if facts.plan.get("profile") != "soak":
        return Finding(1, "plans", 0, [], note="this run was not to go on for long")
    facts.require("analysis")
    trends = facts.documents["analysis"]["trends"]
    growing = [trend for trend in trends if trend["verdict"] == "drift"]
    open_ones = [trend for trend in trends if trend["verdict"] == "unknown"]
    if not growing and open_ones:
        raise CannotTell(
            f"{len(open_ones)} of {len(trends)} trends cannot be told from noise in this time, such as"
            f" {open_ones[0]['name']}: {open_ones[0]['says']}"
        )
    examples = [example(facts, None, None, None, f"{trend['name']} {trend['says']}") for trend in growing[:5]]
    return Finding(len(trends), "trends", len(growing), examples)
