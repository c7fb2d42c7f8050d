"""What a run costs, by stage: processor time of each role, and what the engine's functions took in the database. Pure.

    accept     the door: the API processes, and storing what came
    queue      finding out what is due, and taking it
    execute    the workers, and what they ask on the way: events, renewals, answers of calls
    commit     writing what came of it

Postgres tells the calls of each function, and the time in it without that in the functions it calls (`track_functions`). The
processor time of Postgres is split over the stages as that time is.
"""

from __future__ import annotations

from typing import Any, Final

STAGES: Final[dict[str, frozenset[str]]] = {
    "accept": frozenset({"accept", "gather", "start_runs", "place"}),
    "queue": frozenset(
        [
            "claim",
            "claim_lanes",
            "claim_ready",
            "claim_timed",
            "ready_of",
            "ready_projects",
            "ready_fronts",
            "front",
            "lock_heads",
            "pressure",
            "expire",
            "poke",
            "poke_forgotten",
            "heartbeat",
        ]
    ),
    "execute": frozenset(
        [
            "inbox",
            "renew",
            "call_back",
            "send_event",
            "signal",
            "await_events",
            "stop_waiting",
            "took",
            "lease_tokens",
            "event_body",
            "still_live",
            "told",
        ]
    ),
    "commit": frozenset(["commit", "put_back", "bury", "fates", "start_children", "note_in_feed", "forget_lanes"]),
}
CALLED: Final = frozenset(
    [
        "accept",
        "gather",
        "start_runs",
        "claim",
        "pressure",
        "heartbeat",
        "inbox",
        "renew",
        "call_back",
        "send_event",
        "signal",
        "commit",
        "put_back",
        "answers",
    ]
)
"""Those that the engine calls, one round trip each; the others are called by them."""
ROLES: Final = {"accept": "api", "execute": "worker"}


def spent(first: dict[str, Any], last: dict[str, Any]) -> dict[str, float]:
    """What was spent between two observations, by flat names, so that spans can be added up."""
    found = {
        f"cpu_ms {role}": 1_000 * (last["roles"][role]["cpu_s"] - first["roles"][role]["cpu_s"])
        for role in ("api", "worker", "postgres")
        if role in first["roles"] and role in last["roles"]
    }
    before = first["database"].get("functions") or {}
    for name, counted in (last["database"].get("functions") or {}).items():
        earlier = before.get(name) or {"calls": 0, "ms": 0.0}
        stage = next((stage for stage, names in STAGES.items() if name in names), "other")
        _add(found, f"database_ms {stage}", counted["ms"] - earlier["ms"])
        if name in CALLED:
            _add(found, f"round_trips {stage}", counted["calls"] - earlier["calls"])
    return found


def per_run(amounts: dict[str, float]) -> dict[str, Any] | None:
    """The document of the costs of one run; None where nothing is known, as of an engine that is not our own."""
    cpu = {role: amounts[f"cpu_ms {role}"] for role in ("api", "worker", "postgres") if f"cpu_ms {role}" in amounts}
    if not cpu:
        return None
    in_all = sum(amount for name, amount in amounts.items() if name.startswith("database_ms "))
    stages = {}
    for stage in (*STAGES, "other"):
        took = amounts.get(f"database_ms {stage}", 0.0)
        own = cpu.get(ROLES.get(stage, ""), 0.0)
        share = took / in_all if in_all else 0.0
        stages[stage] = {
            "cpu_ms": own + cpu.get("postgres", 0.0) * share,
            "database_ms": took,
            "round_trips": amounts.get(f"round_trips {stage}", 0.0),
        }
    trips = sum(stage["round_trips"] for stage in stages.values())
    return {"cpu_ms": cpu, "round_trips": trips, "stages": stages if in_all else None}


def _add(found: dict[str, float], name: str, amount: float) -> None:
    found[name] = found.get(name, 0.0) + amount
