"""The sections about the verdict: the banner, what was counted, and the invariants by family."""

from __future__ import annotations

from typing import Final

from meshproof.judge import FAMILIES
from meshproof.judge.verdicts import Result, Verdict
from meshproof.report.gather import Gathered
from meshproof.report.markup import Child, Markup, el, table

WORDS: Final = {
    Verdict.PASS: "PASS",
    Verdict.FAIL: "VIOLATED",
    Verdict.UNKNOWN: "UNKNOWN",
    Verdict.INVALID: "INVALID",
}
SIGNS: Final = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.UNKNOWN: "?", Verdict.INVALID: "!"}
"""Beside the colour, so that no verdict is told by colour alone."""

COUNTED: Final = (
    ("attempted", "requests sent"),
    ("acknowledged", "acknowledged"),
    ("refused", "refused"),
    ("unknown", "of unknown fate"),
    ("runs", "runs stored"),
    ("recovered", "recovered"),
)
WRONG: Final = (("lost", "lost"), ("duplicated", "duplicated"), ("wrong", "wrong"), ("stuck", "stuck"))


def banner(gathered: Gathered) -> Markup:
    """The verdict, large, with its reason in one sentence."""
    verdicts = gathered.verdicts
    if verdicts is None:
        return _banner(Verdict.UNKNOWN, f"verdicts.json {gathered.missing.get('verdicts.json', 'is not there')}.")
    return _banner(verdicts.verdict, verdicts.reason)


def _banner(verdict: Verdict, reason: str) -> Markup:
    return el(
        "section",
        el("p", el("span", SIGNS[verdict], class_="sign", aria_hidden="true"), WORDS[verdict], class_="verdict"),
        el("p", reason, class_="reason"),
        class_=f"banner {verdict.value}",
    )


def tally(gathered: Gathered) -> Markup | None:
    """What was counted: the two rows everybody looks at first."""
    if gathered.verdicts is None:
        return None
    counts = gathered.verdicts.counts
    return el(
        "section",
        el("dl", [_count(label, getattr(counts, name), bad=False) for name, label in COUNTED], class_="tally"),
        el("dl", [_count(label, getattr(counts, name), bad=True) for name, label in WRONG], class_="tally wrong"),
    )


def _count(label: str, number: int | None, *, bad: bool) -> Markup:
    shown = "?" if number is None else f"{number:,}"
    state = None if not bad else "unknown" if number is None else "fail" if number else "pass"
    return el("div", el("dt", label), el("dd", shown), class_=state)


def families(gathered: Gathered) -> Markup | None:
    """Every invariant: what it says, what was found, and how much it was held against."""
    if gathered.verdicts is None:
        return None
    return el(
        "section",
        el("h2", "What was proved"),
        [_family(name, gathered.verdicts.results) for name in FAMILIES],
        id="proved",
    )


def _family(name: str, results: list[Result]) -> Markup | None:
    members = [result for result in results if result.family == name]
    if not members:
        return None
    proves = (FAMILIES[name].__doc__ or name).strip().splitlines()[0]
    head, _, rest = proves.partition(": ")
    return el(
        "div",
        el("h3", head),
        el("p", rest[:1].upper() + rest[1:], class_="proves"),
        table(("", "invariant", "says", "found"), map(_row, members), class_="invariants"),
        class_="family",
    )


def _row(result: Result) -> tuple[Child, ...]:
    name = el("code", result.name)
    if result.examples:
        name = el("a", name, href=f"#{result.name}")
    return badge(result.verdict, result.family), name, result.says, capital(result.sentence)


def badge(verdict: Verdict, family: str = "") -> Markup:
    """A verdict as a word with a sign."""
    shown = Verdict.INVALID if verdict is Verdict.FAIL and family == "validity" else verdict
    return el(
        "span", el("span", SIGNS[shown], aria_hidden="true"), " ", WORDS[shown].lower(), class_=f"badge {shown.value}"
    )


def capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
