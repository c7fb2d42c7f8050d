"""The story of a counterexample: what every ledger says of one delivery, side by side on one axis of time.

Pure. The report draws it as a table of lanes, the terminal too, and JUnit takes it as lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final, NamedTuple

import msgspec

from meshproof.judge.verdicts import Example

SENDER, JOURNAL, LEASES, SINK, SEEN = "the sender", "the journal", "claims and leases", "the sink", "seen on the way"
LANES: Final = (SENDER, JOURNAL, LEASES, SINK, SEEN)


ENDED: Final = {
    "lease.released": "is given back",
    "lease.expired": "has run out, and another takes over",
    "lease.taken": "runs out; another was taken while it lasted",
    None: "runs out, and nothing follows",
}
"""What the journal says next of a lease, and what that means."""
TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ](\d\d:\d\d:\d\d(?:\.\d{1,3})?)\d*(?:Z|[+-]\d\d(?::?\d\d)?)?")


class Moment(NamedTuple):
    """One thing one ledger says happened."""

    at_us: int
    lane: str
    what: str
    detail: str = ""


class Row(NamedTuple):
    """What happened in one moment, lane by lane."""

    at_us: int
    after_ms: float | None
    """Milliseconds since the first moment whose time is known; None where no ledger knows the time."""
    lanes: dict[str, list[Moment]]


def rows(example: Example) -> list[Row]:
    """Everything that has a time, in order."""
    told = sorted(moments(example), key=lambda moment: moment.at_us)
    start_us = next((moment.at_us for moment in told if moment.at_us), 0)
    found = []
    for at_us, together in groupby(told, key=lambda moment: moment.at_us):
        lanes: dict[str, list[Moment]] = {}
        for moment in together:
            lanes.setdefault(moment.lane, []).append(moment)
        found.append(Row(at_us, (at_us - start_us) / 1_000 if at_us else None, lanes))
    return found


def lanes(story: Iterable[Row]) -> list[str]:
    """The ledgers that say anything, in the order they are shown."""
    saying = {lane for row in story for lane in row.lanes}
    return [lane for lane in LANES if lane in saying]


def subject(example: Example) -> str:
    """The delivery and the run it is about."""
    parts = (
        f"delivery {example.delivery}" if example.delivery else None,
        f"run {example.run_id}" if example.run_id else None,
    )
    return " · ".join(part for part in parts if part)


def stored(example: Example) -> list[str]:
    """The runs that are stored of it, a line each."""
    if not example.runs:
        return ["no run of this delivery is stored"]
    return [
        f"stored: run {run.get('run_id')} of delivery {run.get('delivery')}, {run.get('status')},"
        f" epoch {run.get('epoch')}, shard {run.get('shard')}"
        for run in example.runs
    ]


def lines(example: Example) -> Iterator[str]:
    """The whole story as plain text, a moment a line."""
    yield example.why
    if subject(example):
        yield subject(example)
    story = rows(example)
    if not story:
        return
    yield from stored(example)
    width = max(map(len, LANES))
    for row in story:
        at = "?" if row.after_ms is None else f"{row.after_ms:,.3f} ms"
        for lane in LANES:
            for moment in row.lanes.get(lane, ()):
                yield f"{at:>14}  {lane:{width}}  {moment.what} {moment.detail}".rstrip()


def moments(example: Example) -> Iterator[Moment]:
    """Everything the ledgers say of an example that has a time."""
    several = len({event.get("run_id") for event in example.journal} | {run.get("run_id") for run in example.runs}) > 1
    yield from _sent(example.sent, example.run_id)
    for event in example.journal:
        what = f"{event.get('seq')} {event.get('type')}{_of(event, several)}"
        yield from _at(event.get("at_us"), JOURNAL, what, members(event.get("event")))
    yield from _claims(example.claims, several)
    yield from _leases(example.leases, several)
    for receipt in example.effects:
        key = str(receipt.get("key")).removeprefix(f"{example.run_id}/")
        told = f"key …/{key} body {str(receipt.get('hash'))[:8]}"
        yield from _at(receipt.get("at_us"), SINK, f"a call, answered {receipt.get('answer')}", told)
    for sample in example.samples:
        events = "" if sample.get("seq") is None else f", {sample['seq']} events, epoch {sample.get('epoch')}"
        yield from _at(sample.get("at_us"), SEEN, f"{sample.get('status')}{events}{_of(sample, several)}")


def members(event: Any) -> str:
    """What an event holds beside its type, as `name=value`; of times the hour, for the day is that of the run."""
    try:
        document = msgspec.json.decode(event) if isinstance(event, str) else None
    except msgspec.DecodeError:
        document = None
    if not isinstance(document, dict):
        # Long ones are cut, and no JSON any more.
        return str(event or "")
    return " ".join(f"{name}={_value(value)}" for name, value in document.items() if name != "type")


def _value(value: Any) -> str:
    if isinstance(value, str):
        time = TIME.fullmatch(value)
        return time[1] if time else value
    return msgspec.json.encode(value).decode()


def _sent(attempts: Iterable[dict[str, Any]], run_id: str | None) -> Iterator[Moment]:
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
        named = attempt.get("run_id")
        whose = "this run" if named == run_id else f"run {named}"
        told = f"{whose}{', a duplicate' if attempt.get('duplicate') else ''}" if named else ""
        yield Moment(reply_us, SENDER, f"← {number}: {answer} ({attempt.get('outcome')})", told)


def _claims(claims: Iterable[dict[str, Any]], several: bool) -> Iterator[Moment]:
    for claim in claims:
        epoch = f"epoch {claim.get('epoch')}"
        yield from _at(claim.get("claimed_us"), LEASES, f"{epoch} claims it{_of(claim, several)}")
        if claim.get("last_at_us") != claim.get("claimed_us"):
            yield from _at(claim.get("last_at_us"), LEASES, f"{epoch} writes last{_of(claim, several)}")


def _leases(leases: Iterable[dict[str, Any]], several: bool) -> Iterator[Moment]:
    for lease in leases:
        epoch, until_us = f"epoch {lease.get('epoch')}", lease.get("until_us")
        until = f", until {_clock(until_us)}" if isinstance(until_us, int) else ""
        of = _of(lease, several)
        owner = f"by {lease['owner']}" if lease.get("owner") else ""
        yield from _at(lease.get("taken_us"), LEASES, f"┌ {epoch} takes a lease{until}{of}", owner)
        how = ENDED.get(lease.get("ended_by"), "ends with the run")
        yield from _at(lease.get("end_us"), LEASES, f"└ lease of {epoch} {how}{of}")


def _clock(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%H:%M:%S.%f")[:-3]


def _at(at_us: Any, lane: str, what: str, detail: str = "") -> Iterator[Moment]:
    if isinstance(at_us, int):
        yield Moment(at_us, lane, what, detail)


def _of(line: dict[str, Any], several: bool) -> str:
    return f" (run …{str(line.get('run_id'))[-6:]})" if several else ""
