"""What an invariant is, and how one is held against the facts.

An invariant is a pure function from facts to a `Finding`, made known by `@invariant`. `hold` turns it into a result:

- something breaks it: **fail**;
- nothing breaks it, and something was checked: **pass**;
- nothing was checked, the evidence for it is missing, it says itself that it cannot tell, or it crashed: **unknown**.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meshproof.facts import Absent, Facts
from meshproof.judge.examples import EXAMPLES_MAX, example
from meshproof.judge.verdicts import Example, Result, Verdict

VALIDITY: Final = "validity"


class CannotTell(Exception):
    """The evidence does not decide this invariant; the message says why."""


@dataclass(frozen=True)
class Finding:
    """What an invariant found: how many of what were checked, how many break it, and the first few of them."""

    checked: int
    of_what: str
    count: int
    examples: list[Example]
    note: str = ""
    """What is said in place of the usual sentence when nothing breaks it."""


@dataclass(frozen=True)
class Invariant:
    """One thing that is true of a sound engine, and how it is judged."""

    name: str
    says: str
    needs: tuple[str, ...]
    judge: Callable[[Facts], Finding]

    @property
    def family(self) -> str:
        """The first part of its name: the family it belongs to, and the file it is written in."""
        return self.name.partition(".")[0]


INVARIANTS: Final[dict[str, Invariant]] = {}
"""Every invariant by its name, in the order they are reported."""


def invariant(name: str, says: str, needs: tuple[str, ...]) -> Callable[[Callable[[Facts], Finding]], Invariant]:
    """Make a function an invariant. `needs` names the facts and documents it cannot do without."""

    def register(judge: Callable[[Facts], Finding]) -> Invariant:
        assert name not in INVARIANTS, name
        INVARIANTS[name] = Invariant(name, says, needs, judge)
        return INVARIANTS[name]

    return register


def found(facts: Facts, checked: int, of_what: str, broken: str | tuple[str, ...], *values: object) -> Finding:
    """The finding of a query, or several, with one row (`endpoint, delivery, run_id, why`) for each thing that breaks it."""
    queries = (broken,) if isinstance(broken, str) else broken
    first = facts.rows(
        f"""
        SELECT *, count(*) OVER () FROM ({" UNION ALL ".join(queries)}) broken (endpoint, delivery, run_id, why)
        ORDER BY endpoint, delivery, run_id, why LIMIT {EXAMPLES_MAX}""",  # noqa: S608 - constants of this package
        *values,
    )
    count = first[0][-1] if first else 0
    return Finding(checked, of_what, count, [example(facts, *row[:-1]) for row in first])


def hold(rule: Invariant, facts: Facts) -> Result:
    """Hold one invariant against the facts. Never raises: what goes wrong in here is `unknown`."""
    try:
        facts.require(*rule.needs)
        finding = rule.judge(facts)
    except (Absent, CannotTell) as reason:
        return _unknown(rule, f"cannot be judged: {reason}")
    except Exception as error:  # noqa: BLE001 - a crashed check is never a pass, and must not take the others with it
        return _unknown(
            rule, f"the check itself crashed: {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        )
    if finding.count:
        return _result(
            rule, Verdict.FAIL, finding, f"{finding.count:,} of {finding.checked:,} {finding.of_what} break it"
        )
    if finding.checked == 0:
        return _result(rule, Verdict.UNKNOWN, finding, f"there were no {finding.of_what} to hold it against")
    sentence = finding.note or f"holds for {finding.checked:,} of {finding.checked:,} {finding.of_what}"
    return _result(rule, Verdict.PASS, finding, sentence)


def _result(rule: Invariant, verdict: Verdict, finding: Finding, sentence: str) -> Result:
    return Result(
        rule.name,
        rule.family,
        rule.says,
        verdict,
        finding.checked,
        finding.count,
        sentence,
        finding.examples,
        finding.of_what,
    )


def _unknown(rule: Invariant, sentence: str) -> Result:
    return Result(rule.name, rule.family, rule.says, Verdict.UNKNOWN, 0, 0, sentence)
