"""Whether a run was a fair test, and what the verdict on the whole is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from story import SECOND, START_US, Story

from meshproof.facts import Facts
from meshproof.judge import INVARIANTS, Verdict, Verdicts, judge
from meshproof.judge.invariant import Finding, Invariant, hold
from meshproof.judge.verdicts import read

Judged = Callable[[Story], Verdicts]


@pytest.fixture
def sound() -> Story:
    story = Story()
    for number in range(3):
        story.delivered(number)
    story.sample(1, 1, at_us=START_US + SECOND)
    story.count(START_US + SECOND, accepted=3, terminal=3)
    return story


# Validity --------------------------------------------------------------------------------------------------------------


def set_process(key: str, value: Any) -> Callable[[Story], Any]:
    return lambda story: story.generator["processes"][0].update({key: value})  # type: ignore[index]


UNFAIR: dict[str, tuple[str, Callable[[Story], Any]]] = {
    "late": ("validity.generator", set_process("lag_ms", {"p50": 1, "p99": 5.1, "max": 9})),
    "out of breath": ("validity.generator", set_process("cpu_share", 0.81)),
    "unsent": ("validity.generator", set_process("unsent", 1)),
    "weak": ("validity.generator", lambda story: story.generator.update(calibration_per_s=199)),
    "level missing": ("validity.levels", lambda story: story.plan.update(levels=[{"in_flight": 5}])),
    "level too low": (
        "validity.levels",
        lambda story: (
            story.plan.update(levels=[{"in_flight": 5}]),
            story.generator.update(levels=[{"level": 5, "in_flight_max": 4, "held_share": 1.0}]),
        ),
    ),
    "level not held": (
        "validity.levels",
        lambda story: (
            story.plan.update(levels=[{"in_flight": 5}]),
            story.generator.update(levels=[{"level": 5, "in_flight_max": 5, "held_share": 0.5}]),
        ),
    ),
    "not all attempted": ("validity.attempted", lambda story: story.plan.update(attempts=4)),
    "a number used twice": ("validity.ledger", lambda story: story.attempts.append(story.attempts[0])),
    "two outcomes": ("validity.ledger", lambda story: story.outcomes.append(story.outcomes[0])),
    "an outcome of nothing": ("validity.ledger", lambda story: story.outcomes.append({**story.outcomes[0], "n": 99})),
    "ok that was an error": ("validity.ledger", lambda story: story.outcomes[0].update(status=500)),
    "a promise that was none": (
        "validity.ledger",
        lambda story: story.attempt("d9", "fail", status=503, problem="") and story.outcomes[-1].update(problem=None),
    ),
    "an outcome of no known kind": ("validity.ledger", lambda story: story.outcomes[0].update(outcome="maybe")),
    "an unknown scenario": ("validity.ledger", lambda story: story.attempts[0].update(s="other")),
}


@pytest.mark.parametrize("case", UNFAIR)
def test_an_unfair_run_is_invalid_and_never_a_pass(sound: Story, judged: Judged, case: str) -> None:
    name, bend = UNFAIR[case]
    bend(sound)
    verdicts = judged(sound)
    assert verdicts.of(name).verdict is Verdict.FAIL
    assert not verdicts.valid
    assert verdicts.verdict is not Verdict.PASS


@pytest.mark.parametrize("case", ["late", "out of breath", "unsent", "weak", "level missing", "not all attempted"])
def test_what_only_the_generator_did_wrong_is_no_violation(sound: Story, judged: Judged, case: str) -> None:
    UNFAIR[case][1](sound)
    verdicts = judged(sound)
    assert verdicts.verdict is Verdict.INVALID
    assert "no fair test" in verdicts.reason


def test_levels_that_were_held_are_fair(sound: Story, judged: Judged) -> None:
    sound.plan["levels"] = [{"in_flight": 5}]
    assert sound.generator is not None
    sound.generator["levels"] = [{"level": 5, "in_flight_max": 5, "held_share": 0.95}]
    assert judged(sound).verdict is Verdict.PASS


def test_a_closed_model_has_no_lag(sound: Story, judged: Judged) -> None:
    set_process("lag_ms", None)(sound)
    assert judged(sound).verdict is Verdict.PASS


def test_generator_is_unknown_when_it_was_not_calibrated(sound: Story, judged: Judged) -> None:
    assert sound.generator is not None
    sound.generator["calibration_per_s"] = None
    assert judged(sound).of("validity.generator").verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("validity.generator", "generator.json"),
        ("validity.levels", "generator.json"),
        ("validity.attempted", "plan.json"),
        ("validity.ledger", "sent/p0.attempts.ndjson"),
    ],
)
def test_validity_is_unknown_without_evidence(sound: Story, judged: Judged, name: str, gone: str) -> None:
    sound.without = {gone}
    verdicts = judged(sound)
    assert verdicts.of(name).verdict is Verdict.UNKNOWN
    assert not verdicts.valid


def test_nothing_attempted_is_unknown(judged: Judged) -> None:
    verdicts = judged(Story())
    assert verdicts.verdict is Verdict.UNKNOWN
    assert verdicts.of("validity.attempted").verdict is Verdict.UNKNOWN


def test_everything_refused_proves_nothing(judged: Judged) -> None:
    story = Story()
    story.attempt("d1", "fail")
    verdicts = judged(story)
    assert verdicts.verdict is Verdict.INVALID
    assert "not one attempt was acknowledged" in verdicts.reason


# The whole -------------------------------------------------------------------------------------------------------------


def test_a_violation_outweighs_everything(sound: Story, judged: Judged) -> None:
    UNFAIR["late"][1](sound)
    sound.without = {"samples/seen.ndjson"}
    sound.runs.pop()
    verdicts = judged(sound)
    assert verdicts.verdict is Verdict.FAIL
    assert "intake.lost" in verdicts.reason


FILES = [
    "plan.json",
    "generator.json",
    "sent/p0.attempts.ndjson",
    "sent/p0.outcomes.ndjson",
    "stored/runs.csv",
    "stored/events.csv",
    "stored/tasks.csv",
    "samples/seen.ndjson",
    "samples/counts.ndjson",
    "incidents.ndjson",
]


@pytest.mark.parametrize("gone", FILES)
def test_whatever_is_missing_it_is_not_a_pass(sound: Story, judged: Judged, gone: str) -> None:
    sound.without = {gone}
    assert judged(sound).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("garbage", [b'{"n": 1, "d": "torn', b"\xff\xfe\x00"])
def test_whatever_is_garbled_it_is_not_a_pass(sound: Story, tmp_path: Path, name: str, garbage: bytes) -> None:
    sound.write(tmp_path)
    (tmp_path / name).write_bytes(garbage)
    assert judge(tmp_path).verdict in (Verdict.UNKNOWN, Verdict.FAIL)


def test_a_torn_last_line_is_not_a_pass(sound: Story, tmp_path: Path) -> None:
    path = sound.write(tmp_path) / "sent/p0.attempts.ndjson"
    path.write_bytes(path.read_bytes()[:-20])
    verdicts = judge(tmp_path)
    assert verdicts.verdict is Verdict.UNKNOWN
    assert "sent/*.attempts.ndjson cannot be read" in verdicts.of("intake.lost").sentence


def test_an_empty_folder_is_unknown(tmp_path: Path) -> None:
    verdicts = judge(tmp_path)
    assert verdicts.verdict is Verdict.UNKNOWN
    assert not verdicts.valid
    assert verdicts.counts.lost is None


def test_no_invariant_passes_on_an_empty_folder(tmp_path: Path) -> None:
    results = judge(tmp_path).results
    assert {result.name for result in results} == set(INVARIANTS)
    assert {result.verdict for result in results} == {Verdict.UNKNOWN}


def test_a_check_that_crashes_is_unknown_and_the_others_go_on(
    sound: Story, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(facts: Facts) -> Finding:
        raise ZeroDivisionError("in the check itself")

    rule = INVARIANTS["intake.lost"]
    monkeypatch.setitem(INVARIANTS, "intake.lost", Invariant(rule.name, rule.says, rule.needs, crash))
    verdicts = judged(sound)
    assert verdicts.verdict is Verdict.UNKNOWN
    assert "crashed: ZeroDivisionError: in the check itself" in verdicts.of("intake.lost").sentence
    assert [r.name for r in verdicts.results if r.verdict is not Verdict.PASS] == ["intake.lost"]
    assert verdicts.counts.lost is None


def test_nothing_checked_is_nothing_proved() -> None:
    rule = Invariant("intake.nothing", "Nothing.", (), lambda facts: Finding(0, "things", 0, []))
    assert hold(rule, None).verdict is Verdict.UNKNOWN  # type: ignore[arg-type]


def test_judging_again_gives_the_same_bytes(sound: Story, tmp_path: Path) -> None:
    sound.stored(8, "d1", index=1)
    sound.stored(9, "dX")
    sound.outcomes[2]["run_id"] = "garbage"
    judge(sound.write(tmp_path))
    first = (tmp_path / "verdicts.json").read_bytes()
    judge(tmp_path)
    assert (tmp_path / "verdicts.json").read_bytes() == first
    assert read(first).verdict is Verdict.FAIL


def test_several_processes_write_the_sent_ledger(sound: Story, tmp_path: Path) -> None:
    sound.write(tmp_path)
    lines = (tmp_path / "sent/p0.attempts.ndjson").read_text().splitlines(keepends=True)
    (tmp_path / "sent/p0.attempts.ndjson").write_text(lines[0])
    (tmp_path / "sent/p1.attempts.ndjson").write_text("".join(lines[1:]))
    assert judge(tmp_path).verdict is Verdict.PASS


def test_examples_are_capped_and_counted(sound: Story, judged: Judged) -> None:
    for number in range(100, 150):
        sound.attempt(f"d{number}", run=number)
    result = judged(sound).of("intake.lost")
    assert result.count == 50
    assert len(result.examples) == 5
    assert [example.delivery for example in result.examples] == sorted(
        str(example.delivery) for example in result.examples
    )
