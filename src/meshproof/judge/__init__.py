"""The judge: from saved evidence to a verdict.

`judge` reads an evidence folder, holds every invariant against it, and says `pass` only when each of them was checked on
something and holds, and the run was a fair test. It writes `verdicts.json` next to the evidence; judging the same evidence
again gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec

from meshproof.facts import Facts, load
from meshproof.judge import (
    children,
    completion,
    effects,
    endurance,
    gatherings,
    intake,
    journal,
    leases,
    limits,
    live,
    liveness,
    operations,
    refusals,
    schedules,
    sync,
    tenants,
    timers,
    validity,
    versions,
)
from meshproof.judge.invariant import INVARIANTS, VALIDITY, hold
from meshproof.judge.modelled import without_model
from meshproof.judge.verdicts import Counts, Result, Verdict, Verdicts

__all__ = ["FAMILIES", "INVARIANTS", "Verdict", "Verdicts", "judge", "judge_facts"]

FAMILIES: Final = {
    module.__name__.rpartition(".")[2]: module
    for module in (
        intake,
        refusals,
        sync,
        gatherings,
        completion,
        journal,
        leases,
        effects,
        timers,
        limits,
        children,
        versions,
        operations,
        schedules,
        tenants,
        live,
        liveness,
        endurance,
        validity,
    )
}
"""The families of invariants in the order they are reported; the docstring of each says what it proves."""

NO_MODEL: Final = "there is no reference model, so what its outputs must be was not proved."


def judge(evidence: Path, on_result: Callable[[Result, float], object] = lambda result, seconds: None) -> Verdicts:
    """Judge an evidence folder, and write `verdicts.json` into it. `on_result` as in `judge_facts`."""
    with load(evidence) as facts:
        verdicts = judge_facts(facts, on_result)
    (evidence / "verdicts.json").write_bytes(verdicts.to_json())
    return verdicts


def judge_facts(facts: Facts, on_result: Callable[[Result, float], object] = lambda result, seconds: None) -> Verdicts:
    """Hold every invariant against the facts. `on_result` hears of each, and how many seconds it took."""
    results = []
    for rule in sorted(INVARIANTS.values(), key=lambda rule: list(FAMILIES).index(rule.family)):
        began = monotonic()
        results.append(hold(rule, facts))
        on_result(results[-1], monotonic() - began)
    verdicts = conclude(results, _counts(facts, results))
    if verdicts.verdict is Verdict.PASS and (own := without_model(facts)):
        return msgspec.structs.replace(verdicts, reason=f"{verdicts.reason} {', '.join(own)}: {NO_MODEL}")
    return verdicts


def conclude(results: list[Result], counts: Counts) -> Verdicts:
    """The verdict on the whole: a violation outweighs everything; without one, anything short of a proof is no pass."""
    fair, proofs = [r for r in results if r.family == VALIDITY], [r for r in results if r.family != VALIDITY]
    valid = all(result.verdict is Verdict.PASS for result in fair)
    if broken := _with(proofs, Verdict.FAIL):
        verdict, reason = Verdict.FAIL, f"{_names(broken)} violated; {broken[0].name}: {broken[0].sentence}."
    elif unfair := _with(fair, Verdict.FAIL):
        why = unfair[0].examples[0].why if unfair[0].examples else unfair[0].sentence
        verdict, reason = Verdict.INVALID, f"The run was no fair test: {why} ({_names(unfair)})."
    elif open_questions := _with([*fair, *proofs], Verdict.UNKNOWN):
        verdict = Verdict.UNKNOWN
        reason = (
            f"{_names(open_questions)} could not be proved; {open_questions[0].name}: {open_questions[0].sentence}."
        )
    else:
        verdict = Verdict.PASS
        reason = f"All {len(proofs)} invariants hold, and the run was a fair test."
    return Verdicts(verdict, valid, reason, counts, results)


def _nobody_says(facts: Facts) -> bool:
    return "plan" not in facts.absent and bool(without_model(facts))


def _with(results: list[Result], verdict: Verdict) -> list[Result]:
    return [result for result in results if result.verdict is verdict]


def _names(results: list[Result]) -> str:
    names = [result.name for result in results]
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _counts(facts: Facts, results: list[Result]) -> Counts:
    by_name = {result.name: result for result in results}

    def broken(*names: str) -> int | None:
        chosen = [by_name[name] for name in names]
        return (
            None
            if any(result.verdict is Verdict.UNKNOWN for result in chosen)
            else sum(result.count for result in chosen)
        )

    def count(fact: str, sql: str) -> int | None:
        return None if fact in facts.absent else facts.one(sql)

    wrong = broken("completion.status", "completion.output")
    return Counts(
        attempted=count("attempts", "SELECT count(*) FROM attempts"),
        acknowledged=count("attempts", "SELECT count(*) FROM attempts WHERE outcome = 'ok'"),
        refused=count("attempts", "SELECT count(*) FROM attempts WHERE outcome = 'fail'"),
        unknown=count("attempts", "SELECT count(*) FROM attempts WHERE outcome = 'unknown'"),
        deliveries=count("attempts", "SELECT count(*) FROM deliveries"),
        runs=count("runs", "SELECT count(*) FROM runs"),
        recovered=None
        if {"attempts", "runs"} & facts.absent.keys()
        else facts.one(
            """SELECT count(*) FROM deliveries d SEMI JOIN runs r ON r.endpoint = d.endpoint AND r.delivery = d.delivery
               WHERE d.acknowledged = 0 AND d.unknown > 0"""
        ),
        lost=broken("intake.lost"),
        duplicated=broken("intake.duplicated"),
        # Where no model says what is right, nothing wrong was found is not nothing wrong.
        wrong=wrong if wrong or not _nobody_says(facts) else None,
        stuck=broken("completion.stuck"),
    )
