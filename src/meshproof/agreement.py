"""Whether two drivers of the same plan saw the same: the outcome of every attempt, and how long acceptance took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from meshproof.ledger import read_document, read_lines
from meshproof.stats import Histogram


class AgreementError(ValueError):
    """The two are not of the same plan; the message says where they differ."""


class Agreement(msgspec.Struct, frozen=True):
    """What two runs have in common. Latencies are (first, second) in milliseconds, from the intended time to the reply."""

    attempts: int
    different: list[str]
    """Attempts that came to different outcomes, and how; the first few of them."""
    p50_ms: tuple[float, float]
    p99_ms: tuple[float, float]

    def within(self, p50_factor: float, p99_factor: float) -> bool:
        """Whether nothing is different, and no percentile is more than so many times the other."""
        near = (apart(self.p50_ms) <= p50_factor, apart(self.p99_ms) <= p99_factor)
        return not self.different and all(near)


def apart(pair: tuple[float, float]) -> float:
    """How many times the smaller the larger is."""
    return max(pair) / max(1e-9, min(pair))


def agree(first: Path, second: Path, shown_max: int = 5) -> Agreement:
    """Compare two evidence folders. Raises AgreementError when they are of different plans."""
    plans = [read_document(folder / "plan.json") for folder in (first, second)]
    if plans[0]["digest"] != plans[1]["digest"]:
        raise AgreementError(f"{first} and {second} are different plans: their digests are not the same.")
    one, two = _attempts(first), _attempts(second)
    different = [
        f"attempt {n}: {_said(one.get(n))}, {_said(two.get(n))}"
        for n in sorted(one.keys() | two.keys())
        if _meaning(one.get(n)) != _meaning(two.get(n))
    ]
    latencies = [Histogram.of(line["took_us"] for line in each.values() if "took_us" in line) for each in (one, two)]
    p50, p99 = [(latencies[0].percentile_us(at) / 1_000, latencies[1].percentile_us(at) / 1_000) for at in (50.0, 99.0)]
    return Agreement(len(one.keys() | two.keys()), different[:shown_max], p50, p99)


def _attempts(folder: Path) -> dict[int, dict[str, Any]]:
    """Every attempt by its number: identity, outcome and latency."""
    found: dict[int, dict[str, Any]] = {}
    for file in sorted((folder / "sent").glob("*.attempts.ndjson")):
        for line in read_lines(file):
            found[line["n"]] = {name: line[name] for name in ("k", "s", "i", "hash", "intended_us")}
    for file in sorted((folder / "sent").glob("*.outcomes.ndjson")):
        for line in read_lines(file):
            attempt = found[line["n"]]
            attempt["outcome"], attempt["problem"] = line["outcome"], line["problem"]
            if line["outcome"] == "ok":
                attempt["took_us"] = line["reply_us"] - attempt["intended_us"]
    return found


def _meaning(attempt: dict[str, Any] | None) -> dict[str, Any] | None:
    """What must be the same: who it was, and what became of it."""
    return (
        None if attempt is None else {name: attempt.get(name) for name in ("k", "s", "i", "hash", "outcome", "problem")}
    )


def _said(attempt: dict[str, Any] | None) -> str:
    if attempt is None:
        return "not sent"
    return f"{attempt['s']} {attempt['i']} {attempt.get('outcome', 'without an outcome')}"
