"""Counterexamples, readable: what every ledger says of one delivery, side by side on one axis of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple

from meshproof.judge.verdicts import Example, Result
from meshproof.report.gather import Gathered
from meshproof.report.markup import Child, Markup, el
from meshproof.report.verdict_sections import badge, capital

SENDER, JOURNAL, CLAIMS, SEEN = "the sender", "the journal", "claims", "seen on the way"
LANES: Final = (SENDER, JOURNAL, CLAIMS, SEEN)


class Moment(NamedTuple):
    """One thing one ledger says happened."""

    at_us: int
    lane: str
    what: str
    detail: str = ""


def counterexamples(gathered: Gathered) -> Markup | None:
    """Each thing that breaks an invariant, and the whole story of it."""
    results = [result for result in gathered.verdicts.results if result.examples] if gathered.verdicts else []
    if not results:
        return None
    return el("section", el("h2", "Counterexamples"), [_article(result) for result in results])


def _article(result: Result) -> Markup:
    shown, count = len(result.examples), result.count
    return el(
        "article",
        el("h3", badge(result.verdict, result.family), " ", el("code", result.name)),
        el("p", result.says, class_="proves"),
        el("p", f"{shown} of {count:,} shown.", class_="note") if count > shown else None,
        [_example(example, is_open=number == 0) for number, example in enumerate(result.examples)],
        id=result.name,
        class_="counterexample",
    )


def _example(example: Example, *, is_open: bool) -> Markup:
    subject = [
        f"delivery {example.delivery}" if example.delivery else None,
        f"run {example.run_id}" if example.run_id else None,
    ]
    story = sorted(moments(example), key=lambda moment: moment.at_us)
    return el(
        "details",
        el("summary", capital(example.why), el("small", " · ".join(part for part in subject if part))),
        el("div", _stored(example) if story else None, _lanes(story) if story else None, class_="story")
        if story
        else None,
        open=is_open,
    )


def _stored(example: Example) -> Markup:
    if not example.runs:
        return el("p", "No run of this delivery is stored.")
    return el(
        "ul",
        [
            el(
                "li",
                "stored: run ",
                el("code", run.get("run_id")),
                f" of delivery {run.get('delivery')}, {run.get('status')}, epoch {run.get('epoch')}, shard {run.get('shard')}",
            )
            for run in example.runs
        ],
    )


def moments(example: Example) -> Iterator[Moment]:
    """Everything the ledgers say of an example that has a time."""
    several = len({event.get("run_id") for event in example.journal} | {run.get("run_id") for run in example.runs}) > 1
    yield from _sent(example.sent)
    for event in example.journal:
        what = f"{event.get('seq')} {event.get('type')}{_of(event, several)}"
        # The type is said already.
        text = str(event.get("event") or "").removeprefix(f'{{"type":"{event.get("type")}",').removesuffix("}")
        yield from _at(event.get("at_us"), JOURNAL, what, text)
    for claim in example.claims:
        what = f"epoch {claim.get('epoch')} claims it{_of(claim, several)}"
        yield from _at(claim.get("claimed_us"), CLAIMS, what)
        if claim.get("last_at_us") != claim.get("claimed_us"):
            yield from _at(claim.get("last_at_us"), CLAIMS, f"epoch {claim.get('epoch')} writes last")
    for sample in example.samples:
        events = "" if sample.get("seq") is None else f", {sample['seq']} events, epoch {sample.get('epoch')}"
        yield from _at(sample.get("at_us"), SEEN, f"{sample.get('status')}{events}{_of(sample, several)}")


def _sent(attempts: Iterable[dict[str, Any]]) -> Iterator[Moment]:
    for attempt in attempts:
        number = f"attempt {attempt.get('n')}"
        body = f"body {str(attempt.get('hash'))[:8]}"
        sent_us, reply_us = attempt.get("sent_us"), attempt.get("reply_us")
        first_us = sent_us if sent_us is not None else reply_us
        yield from _at(first_us if first_us is not None else 0, SENDER, f"→ {number}, {attempt.get('kind')}, {body}")
        if reply_us is None:
            continue
        if attempt.get("status") is None:
            answer = f"no reply: {attempt.get('error')}"
        else:
            answer = f"{attempt.get('status')} {attempt.get('problem') or ''}".strip()
        told = (
            f"run {attempt['run_id']}{', a duplicate' if attempt.get('duplicate') else ''}"
            if attempt.get("run_id")
            else ""
        )
        yield Moment(reply_us, SENDER, f"← {number}: {answer} ({attempt.get('outcome')})", told)


def _at(at_us: Any, lane: str, what: str, detail: str = "") -> Iterator[Moment]:
    if isinstance(at_us, int):
        yield Moment(at_us, lane, what, detail)


def _of(line: dict[str, Any], several: bool) -> str:
    return f" (run …{str(line.get('run_id'))[-6:]})" if several else ""


def _lanes(story: list[Moment]) -> Markup:
    lanes = [lane for lane in LANES if any(moment.lane == lane for moment in story)]
    start_us = next((moment.at_us for moment in story if moment.at_us), 0)
    rows = []
    for at_us, together in groupby(story, key=lambda moment: moment.at_us):
        here = list(together)
        time = f"{(at_us - start_us) / 1_000:,.3f}" if at_us else "?"
        rows.append(
            el(
                "tr",
                el("th", time, scope="row", title=f"{at_us} µs"),
                [el("td", [_moment(m) for m in here if m.lane == lane], data_lane=lane) for lane in lanes],
            )
        )
    return el(
        "div",
        el(
            "table",
            el("thead", el("tr", el("th", "ms", scope="col"), [el("th", lane, scope="col") for lane in lanes])),
            el("tbody", rows),
            class_="lanes",
        ),
        class_="scroll",
    )


def _moment(moment: Moment) -> Child:
    detail = el("code", moment.detail, title=moment.detail) if moment.detail else None
    return el("div", moment.what, detail, class_="moment")
