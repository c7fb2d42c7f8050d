"""What the definitions of a run ask of the outside world and of time, as facts.

asked_calls   one row a node that calls: (scenario, node, timeout_us)
asked_delays  one row a node that waits: (scenario, node, seconds_us), null where the definition alone does not say how long
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from meshproof.facts import Facts
from meshproof.judge.invariant import Finding

TIMEOUT_S: Final = 30.0
"""How long an attempt may take when its definition does not say."""


def ask(facts: Facts) -> None:
    """Derive the tables of this module."""
    facts.con.execute(
        """CREATE TABLE asked_calls (scenario VARCHAR, node VARCHAR, timeout_us BIGINT);
           CREATE TABLE asked_delays (scenario VARCHAR, node VARCHAR, seconds_us BIGINT)"""
    )
    for scenario, node in nodes(facts):
        config = node.get("config", {})
        if node["type"] == "http_call":
            timeout_us = int(config.get("timeout_s", TIMEOUT_S) * 1_000_000)
            facts.con.execute("INSERT INTO asked_calls VALUES (?, ?, ?)", [scenario, node["id"], timeout_us])
        elif node["type"] == "delay":
            seconds = config.get("seconds")
            seconds_us = int(seconds * 1_000_000) if isinstance(seconds, int | float) else None
            facts.con.execute("INSERT INTO asked_delays VALUES (?, ?, ?)", [scenario, node["id"], seconds_us])


def nodes(facts: Facts) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of every definition of the plan, with its scenario; those of the bodies of loops too."""
    for name, place in sorted(facts.plan["scenarios"].items()):
        todo = list(place["definition"]["nodes"])
        while todo:
            node = todo.pop()
            todo += node.get("config", {}).get("body", {}).get("nodes", []) if node["type"] == "loop" else []
            yield name, node


def nothing_of(facts: Facts, type: str, what: str) -> Finding | None:
    """The finding where no workflow of the run has a node of this type; otherwise there is something to find."""
    facts.once(ask)
    if any(node["type"] == type for _, node in nodes(facts)):
        return None
    return Finding(1, "plans", 0, [], note=f"no workflow of this run {what}")
