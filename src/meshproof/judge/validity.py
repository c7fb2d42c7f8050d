"""Validity: whether the run was a fair test at all. What fails here makes it invalid, never a pass and never a violation."""

from __future__ import annotations

from typing import Any, Final

from meshproof.facts import Facts
from meshproof.judge.invariant import CannotTell, Finding, found, invariant

LAG_P99_MS_MAX: Final = 5.0
CPU_SHARE_MAX: Final = 0.8
CALIBRATION_MIN: Final = 2.0
ZOMBIE: Final = "freeze-worker"
HELD_SHARE_MIN: Final = 0.9
"""For this part of its time a level of the closed model must have had exactly its number in flight."""


@invariant(
    "validity.attempted",
    "Something was attempted, everything that was planned was, and some of it was acknowledged.",
    needs=("attempts", "plan"),
)
def attempted(facts: Facts) -> Finding:
    # What was put in beside the load is no request.
    made = facts.one("SELECT count(*) FROM attempts WHERE kind <> 'prepared'")
    planned = facts.plan.get("attempts", made)
    # A stress run goes on where more would be in flight than may be; validity.generator tells whose doing that was.
    made_up = made + (_unsent(facts) if _is_stress(facts) else 0)
    faults = [] if made_up >= planned else [f"{planned - made_up:,} of {planned:,} planned attempts were never made"]
    if made and not facts.one("SELECT count(*) FROM attempts WHERE outcome = 'ok'"):
        faults.append("not one attempt was acknowledged: there is nothing to prove")
    return _finding(facts, made, "attempts", faults)


@invariant(
    "validity.ledger",
    "The sent ledger is sound: numbers are unique, outcomes have their attempt, and say what the status means.",
    needs=("attempts",),
)
def ledger(facts: Facts) -> Finding:
    checked = facts.one("SELECT count(*) FROM attempt_lines")
    return found(
        facts,
        checked,
        "attempts",
        """
        SELECT NULL, min(d), NULL, format('attempt number {} is used {} times', n, count(*))
        FROM attempt_lines GROUP BY n HAVING count(*) > 1
        UNION ALL
        SELECT NULL, min(d), NULL, format('attempt number {} has {} outcomes', n, count(*))
        FROM outcome_lines GROUP BY n HAVING count(*) > 1
        UNION ALL
        SELECT NULL, o.d, NULL, format('the outcome of attempt {} has no attempt', o.n)
        FROM outcome_lines o WHERE NOT EXISTS (SELECT 1 FROM attempt_lines a WHERE a.n = o.n AND a.d = o.d)
        UNION ALL
        SELECT endpoint, delivery, NULL,
               format('attempt {}: {} is not what status {} means', n, outcome, coalesce(status::VARCHAR, 'none'))
        FROM attempts
        WHERE NOT CASE outcome
                  WHEN 'ok' THEN coalesce(status BETWEEN 200 AND 299, false)
                  WHEN 'fail' THEN status IS NULL OR status BETWEEN 400 AND 499 OR (status = 503 AND problem IS NOT NULL)
                  WHEN 'unknown' THEN status IS NULL OR status NOT BETWEEN 200 AND 499
                  ELSE false END
        UNION ALL
        SELECT NULL, a.d, NULL, format('attempt {} is of the scenario {}, which the plan does not know', a.n, a.s)
        FROM attempt_lines a WHERE a.s NOT IN (SELECT scenario FROM scenarios)""",
    )


@invariant(
    "validity.generator",
    f"The generator kept up: schedule lag p99 ≤ {LAG_P99_MS_MAX:g} ms, ≤ {CPU_SHARE_MAX:.0%} of a core, nothing unsent,"
    f" and able to do {CALIBRATION_MIN:g} × the rate.",
    needs=("generator",),
)
def generator(facts: Facts) -> Finding:
    certificate = facts.documents["generator"]
    processes = certificate["processes"]
    if _is_stress(facts):
        return _generator_of_stress(facts, certificate)
    faults = [fault for process in processes for fault in _saturation(process)]
    target, calibration = certificate.get("target_per_s"), certificate.get("calibration_per_s")
    if target:
        if calibration is None:
            raise CannotTell("the generator was not calibrated")
        if calibration < CALIBRATION_MIN * target:
            faults.append(f"calibrated at {calibration:,.0f}/s, less than {CALIBRATION_MIN:g} × {target:,.0f}/s")
    return _finding(facts, len(processes), "generator processes", faults)


def _generator_of_stress(facts: Facts, certificate: dict[str, Any]) -> Finding:
    """An engine that refuses or is slow is what a stress run is for; a generator that gives in before the engine is not."""
    facts.require("analysis")
    steps = facts.documents["analysis"]["steps"]
    at = facts.documents["analysis"]["generator_broke_at_per_s"]
    faults = []
    if at is not None:
        (step,) = [step for step in steps if step["way"] == "up" and step["rate"] == at]
        faults.append(
            f"the generator broke first: at {at:,.0f}/s it was {step['lag_p99_ms']:.1f} ms late at p99 and used"
            f" {step['generator_cpu']:.0%} of a core"
        )
    calibration, target = certificate.get("calibration_per_s"), certificate.get("target_per_s") or 0.0
    if calibration is None:
        raise CannotTell("the generator was not calibrated")
    if calibration < CALIBRATION_MIN * target:
        faults.append(f"calibrated at {calibration:,.0f}/s, less than {CALIBRATION_MIN:g} × {target:,.0f}/s")
    return _finding(facts, len(steps), "steps", faults)


def _unsent(facts: Facts) -> int:
    facts.require("generator")
    return sum(process["unsent"] for process in facts.documents["generator"]["processes"])


def _is_stress(facts: Facts) -> bool:
    return facts.plan.get("profile") == "stress"


@invariant(
    "validity.steps",
    "A stress run raised the load until goodput stopped following it.",
    needs=("plan",),
)
def steps(facts: Facts) -> Finding:
    if not _is_stress(facts):
        return Finding(1, "plans", 0, [], note="the load of this run was not to be raised")
    facts.require("analysis")
    found = facts.documents["analysis"]
    if found["broke_at_per_s"] is None:
        raise CannotTell(
            f"goodput followed up to {found['knee_per_s']:,.0f}/s, and higher the load did not go: the breaking point is"
            " beyond what the generator can vouch for, or beyond --top"
        )
    return Finding(
        len(found["steps"]),
        "steps",
        0,
        [],
        note=f"goodput followed up to {found['knee_per_s'] or 0:,.0f}/s, and did not at {found['broke_at_per_s']:,.0f}/s",
    )


def _saturation(process: dict[str, Any]) -> list[str]:
    name = f"process {process.get('process', '?')}"
    if process.get("ended") is False:
        raise CannotTell(f"{name} did not say that it had ended: what it sent last may be on no record")
    lag = process["lag_ms"]
    faults = []
    if lag is not None and lag["p99"] > LAG_P99_MS_MAX:
        faults.append(f"{name} was {lag['p99']:.1f} ms late at p99")
    # A driver that is not ours may not know what it used; what it could not send in time it has to know.
    if process["cpu_share"] is not None and process["cpu_share"] > CPU_SHARE_MAX:
        faults.append(f"{name} used {process['cpu_share']:.0%} of a core")
    if process["unsent"]:
        faults.append(f"{name} left {process['unsent']:,} attempts unsent")
    return faults


@invariant(
    "validity.levels",
    "Every planned level of concurrency was reached and held.",
    needs=("plan", "generator"),
)
def levels(facts: Facts) -> Finding:
    planned = [level["in_flight"] for level in facts.plan.get("levels", [])]
    held = {level["level"]: level for level in facts.documents["generator"].get("levels", [])}
    faults = []
    for level in planned:
        if level not in held:
            faults.append(f"level {level:,} was not reached")
        elif held[level]["in_flight_max"] != level:
            faults.append(f"level {level:,} had up to {held[level]['in_flight_max']:,} in flight")
        elif held[level]["held_share"] < HELD_SHARE_MIN:
            faults.append(f"level {level:,} was held for {held[level]['held_share']:.0%} of its time")
    if not planned:
        return Finding(1, "plans", 0, [], note="an open run has no levels")
    return _finding(facts, len(planned), "levels", faults)


@invariant(
    "validity.faults",
    "Every planned fault was made, and was seen to hit work in flight.",
    needs=("plan",),
)
def faults(facts: Facts) -> Finding:
    planned = facts.plan.get("faults", [])
    if not planned:
        return Finding(1, "plans", 0, [], note="no faults were planned")
    facts.require("faults")
    vain = facts.rows(
        """SELECT number, kind, coalesce(failed, evidence) FROM faults WHERE NOT hit AND skipped IS NULL ORDER BY number"""
    )
    made = facts.one("SELECT count(*) FROM faults WHERE hit")
    skipped = facts.one("SELECT count(*) FROM faults WHERE skipped IS NOT NULL")
    if len(planned) != facts.one("SELECT count(*) FROM faults"):
        raise CannotTell(f"{len(planned)} faults were planned, and faults.ndjson does not say what became of each")
    if vain:
        number, kind, why = vain[0]
        raise CannotTell(f"{len(vain)} of {len(planned)} faults hit nothing: {kind} (number {number}): {why}")
    return Finding(
        made, "faults", 0, [], note=f"{made} faults hit work in flight, {skipped} were skipped with a reason"
    )


@invariant(
    "validity.zombies",
    "What a worker writes that was frozen for longer than its leases was seen to be refused.",
    needs=("plan",),
)
def zombies(facts: Facts) -> Finding:
    if not any(fault["kind"] == ZOMBIE for fault in facts.plan.get("faults", [])):
        return Finding(1, "plans", 0, [], note="no worker was to be frozen")
    facts.require("faults")
    frozen, held, refused = facts.rows(
        """SELECT count(*), coalesce(sum(figures['held']), 0), coalesce(sum(figures['refused']), 0)
           FROM faults WHERE kind = $1 AND hit""",
        ZOMBIE,
    )[0]
    if held and not refused:
        raise CannotTell(f"{frozen} frozen workers held {held} runs, and not one stale write was seen to be refused")
    return Finding(
        frozen, "frozen workers", 0, [], note=f"{refused:,} stale writes of {frozen} frozen workers were refused"
    )


def _finding(facts: Facts, checked: int, of_what: str, faults: list[str]) -> Finding:
    return found(facts, checked, of_what, "SELECT NULL, NULL, NULL, unnest($1::VARCHAR[])", faults)
