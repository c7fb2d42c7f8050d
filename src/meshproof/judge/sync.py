"""Sync replies: a caller who waits is answered by his own run, as the reference model says, or told where to look later."""

from __future__ import annotations

import json
from typing import Any, Final

from meshproof import scenarios
from meshproof.facts import Facts
from meshproof.judge.exact import canonical, difference
from meshproof.judge.examples import EXAMPLES_MAX, example
from meshproof.judge.invariant import CannotTell, Finding, invariant

NEEDS: Final = ("attempts", "plan")
LATER: Final = 202


@invariant(
    "sync.answer",
    "A caller who waits is answered what the reference model says of his own delivery, and nothing of another's.",
    needs=NEEDS,
)
def answer(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    answers = facts.rows(
        """SELECT scenario, index, endpoint, delivery, run_id, status, reply FROM attempts
           WHERE reply IS NOT NULL AND list_contains($1::VARCHAR[], scenario) ORDER BY n""",
        _waited_for(facts),
    )
    seed = int(facts.plan["seed"])
    broken = []
    for scenario, index, endpoint, delivery, run_id, status, reply in answers:
        if why := _wrong(scenario, scenarios.load(scenario).payload(seed, index), status, reply):
            broken.append((endpoint, delivery, run_id, why))
    note = f"holds for {len(answers):,} of {len(answers):,} answers; up to {_at_once(facts):,} callers waited at once"
    return _finding(facts, len(answers), "answers", broken, note)


@invariant(
    "sync.later",
    "Who waited in vain was told where to look, not before his time was over, and finds his answer there.",
    needs=NEEDS,
)
def later(facts: Facts) -> Finding:
    if nothing := _nothing(facts):
        return nothing
    facts.require("status_pages")
    seed = int(facts.plan["seed"])
    rows = facts.rows(
        """SELECT a.scenario, a.index, a.endpoint, a.delivery, a.run_id, a.reply_us - a.sent_us, p.status, p.reply,
                  EXISTS (SELECT 1 FROM incidents i WHERE i.since_us <= a.reply_us AND i.at_us >= a.sent_us - 2000000)
           FROM attempts a LEFT JOIN status_pages p ON p.run_id = a.run_id
           WHERE a.outcome = 'ok' AND a.status = $1 AND a.reply IS NULL AND list_contains($2::VARCHAR[], a.scenario)""",
        LATER,
        _waited_for(facts),
    )
    broken = []
    for scenario, index, endpoint, delivery, run_id, waited_us, status, page, disturbed in rows:
        wait_us = round(facts.plan["scenarios"][scenario]["config"]["wait_s"] * 1e6)
        body = scenarios.load(scenario).payload(seed, index)
        why = _wrong_page(scenario, body, status, page)
        if not why and waited_us < wait_us and not disturbed:
            why = f"told to look later after {waited_us // 1000} ms, and waits {wait_us // 1000} ms"
        if why:
            broken.append((endpoint, delivery, run_id, why))
    return _finding(facts, len(rows), "callers who were told to look later", broken)


def _finding(
    facts: Facts, checked: int, of_what: str, broken: list[tuple[str, str, Any, str]], note: str = ""
) -> Finding:
    examples = [example(facts, *one) for one in sorted(broken, key=str)[:EXAMPLES_MAX]]
    return Finding(checked, of_what, len(broken), examples, note)


def _wrong(scenario: str, body: bytes, status: int, reply: str) -> str | None:
    """What is wrong with an answer; None when nothing is."""
    model = scenarios.load(scenario).reply
    assert model is not None
    wanted = model(body)
    if status != wanted.status:
        return f"answered with {status}, must be {wanted.status}"
    try:
        said = json.loads(reply)
    except ValueError:
        return f"the answer is no JSON: {reply[:200]}"
    return None if canonical(said) == canonical(wanted.body) else f"the answer: {difference(said, wanted.body)}"


def _wrong_page(scenario: str, body: bytes, status: int | None, page: str | None) -> str | None:
    """What is wrong with what the status_url says once the run has ended."""
    if page is None or status is None:
        raise CannotTell("the status_url of a caller who waited in vain was not looked at")
    if status != 200:
        return f"its status_url is answered with {status}"
    run: dict[str, Any] = json.loads(page)
    expected = scenarios.load(scenario).model(body)
    if run.get("status") != expected.status:
        return f"its status_url says {run.get('status')}, must be {expected.status}"
    if canonical(run.get("output")) == canonical(expected.output):
        return None
    return f"its status_url: {difference(run.get('output'), expected.output)}"


def _at_once(facts: Facts) -> int:
    most: int | None = facts.one(
        """WITH marks AS (
               SELECT sent_us AS at_us, 1 AS step FROM attempts WHERE sent_us IS NOT NULL AND reply_us IS NOT NULL
               UNION ALL SELECT reply_us, -1 FROM attempts WHERE sent_us IS NOT NULL AND reply_us IS NOT NULL)
           SELECT max(waiting)::BIGINT FROM (
               SELECT sum(step) OVER (ORDER BY at_us, step ROWS UNBOUNDED PRECEDING) AS waiting FROM marks)"""
    )
    return most or 0


def _waited_for(facts: Facts) -> list[str]:
    return [name for name in sorted(facts.plan["scenarios"]) if scenarios.load(name).reply is not None]


def _nothing(facts: Facts) -> Finding | None:
    if _waited_for(facts):
        return None
    return Finding(1, "plans", 0, [], note="nobody waits for an answer in this run")
