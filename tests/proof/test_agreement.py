"""Two drivers of one plan agree, or it is said where they do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshproof.agreement import AgreementError, agree, apart


def evidence_of(folder: Path, outcomes: list[str], took_ms: list[int], digest: str = "d") -> Path:
    sent = folder / "sent"
    sent.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"digest": digest}))
    with (sent / "0.attempts.ndjson").open("w") as attempts, (sent / "0.outcomes.ndjson").open("w") as told:
        for n, (outcome, took) in enumerate(zip(outcomes, took_ms, strict=True)):
            line = {"n": n, "d": f"x-{n}", "k": "first", "s": "simple", "i": n, "hash": "h", "intended_us": 1_000 * n}
            attempts.write(json.dumps(line) + "\n")
            reply = {"n": n, "outcome": outcome, "problem": None, "reply_us": 1_000 * (n + took)}
            told.write(json.dumps(reply) + "\n")
    return folder


def test_the_same_outcomes_within_the_bounds_agree(tmp_path: Path) -> None:
    one = evidence_of(tmp_path / "one", ["ok"] * 4, [2, 2, 2, 10])
    two = evidence_of(tmp_path / "two", ["ok"] * 4, [3, 3, 3, 25])
    found = agree(one, two)
    assert (found.attempts, found.different) == (4, [])
    assert found.p50_ms == (pytest.approx(2.0, rel=0.01), pytest.approx(3.0, rel=0.01))
    assert found.p99_ms == (pytest.approx(10.0, rel=0.01), pytest.approx(25.0, rel=0.01))
    assert found.within(2.0, 3.0)
    assert not found.within(1.2, 3.0)
    assert not found.within(2.0, 2.0)


def test_another_outcome_and_an_attempt_nobody_sent_are_told(tmp_path: Path) -> None:
    one = evidence_of(tmp_path / "one", ["ok", "ok", "ok"], [1, 1, 1])
    two = evidence_of(tmp_path / "two", ["ok", "unknown"], [1, 1])
    found = agree(one, two)
    assert found.different == ["attempt 1: simple 1 ok, simple 1 unknown", "attempt 2: simple 2 ok, not sent"]
    assert not found.within(100.0, 100.0)


def test_different_plans_are_not_compared(tmp_path: Path) -> None:
    one, two = evidence_of(tmp_path / "one", [], []), evidence_of(tmp_path / "two", [], [], digest="e")
    with pytest.raises(AgreementError, match="different plans"):
        agree(one, two)


def test_how_far_two_figures_are_apart() -> None:
    assert apart((2.0, 5.0)) == apart((5.0, 2.0)) == 2.5
