"""The sections about the verdict: the banner, the invariants by family, and the counterexamples."""

from __future__ import annotations

from typing import Any, Final

from meshproof.judge import FAMILIES
from meshproof.judge.verdicts import Example, Result, Verdict
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
    return badge(result.verdict, result.family), name, result.says, _capital(result.sentence)


def badge(verdict: Verdict, family: str = "") -> Markup:
    """A verdict as a word with a sign."""
    shown = Verdict.INVALID if verdict is Verdict.FAIL and family == "validity" else verdict
    return el(
        "span", el("span", SIGNS[shown], aria_hidden="true"), " ", WORDS[shown].lower(), class_=f"badge {shown.value}"
    )


def counterexamples(gathered: Gathered) -> Markup | None:
    """Each thing that breaks an invariant, with what every ledger says of it, side by side."""
    results = [result for result in gathered.verdicts.results if result.examples] if gathered.verdicts else []
    if not results:
        return None
    return el("section", el("h2", "Counterexamples"), [_counterexamples(result) for result in results])


def _counterexamples(result: Result) -> Markup:
    shown = f"{len(result.examples)} of {result.count:,} shown" if result.count > len(result.examples) else None
    return el(
        "article",
        el("h3", badge(result.verdict, result.family), " ", el("code", result.name)),
        el("p", result.says, class_="proves"),
        el("p", shown, class_="shown") if shown else None,
        [_example(example, is_open=number == 0) for number, example in enumerate(result.examples)],
        id=result.name,
        class_="counterexample",
    )


def _example(example: Example, *, is_open: bool) -> Markup:
    about = [
        f"delivery {example.delivery}" if example.delivery else None,
        f"run {example.run_id}" if example.run_id else None,
    ]
    subject = ", ".join(part for part in about if part)
    ledgers = [
        _ledger(
            "Sent: what the generator did", example.sent, "kind outcome status problem run_id duplicate error hash"
        ),
        _ledger("Stored: the run", example.runs, "run_id status epoch finished_us workflow version endpoint shard"),
        _ledger("Stored: its journal", example.journal, "seq epoch at_us claimed_us type event run_id"),
        _ledger("Claims", example.claims, "epoch claimed_us first_seq last_seq first_at_us last_at_us run_id"),
        _ledger("Seen on the way", example.samples, "at_us status epoch seq digest"),
    ]
    return el(
        "details",
        el("summary", _capital(example.why), el("small", " ", subject) if subject else None),
        el("div", ledgers, class_="ledgers") if any(ledgers) else None,
        open=is_open,
    )


def _ledger(title: str, lines: list[dict[str, Any]], columns: str) -> Markup | None:
    if not lines:
        return None
    shown = [name for name in columns.split() if any(line.get(name) is not None for line in lines)]
    return el(
        "div",
        el("h4", title),
        table((_heading(name) for name in shown), ([_cell(name, line.get(name)) for name in shown] for line in lines)),
        class_="ledger",
    )


def _heading(name: str) -> str:
    return name.removesuffix("_us").replace("_", " ")


def _cell(name: str, value: Any) -> Child:
    if value is None:
        return "–"
    if name.endswith("_us") and isinstance(value, int):
        seconds, micros = divmod(value, 1_000_000)
        return el("span", f"…{seconds % 10_000:04d}.{micros:06d}", title=f"{value} µs", class_="time")
    if name in ("hash", "digest"):
        return el("code", str(value)[:12], "…", title=value)
    return el("code", value) if isinstance(value, str) else str(value)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
