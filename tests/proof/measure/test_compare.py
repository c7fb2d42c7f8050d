"""Comparisons: what is told of rounds that differ, and of rounds that do not; what is not compared at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from documents import START_US, in_turn, round_of, summary
from hypothesis import given, settings
from hypothesis import strategies as st

from meshproof.ledger import write_document
from meshproof.measure import baselines, compare, rounds
from meshproof.measure.compare import ROUNDS_MIN, Compared, Word
from meshproof.measure.rounds import Round
from meshproof.stats import PERCENTILES, Histogram

SIX_A = [300.0, 310.0, 290.0, 305.0, 298.0, 302.0]


def figure(a: list[Round], b: list[Round], name: str = "completed_per_s", **more: Any) -> Compared:
    return next(one for one in compare.compare(a, b, **more).figures if one.metric == name)


@pytest.mark.parametrize(
    ("metric", "factor", "word"),
    [
        ("completed_per_s", 1.2, Word.BETTER),
        ("completed_per_s", 0.8, Word.WORSE),
        ("cpu_ms_per_run", 1.2, Word.WORSE),
        ("cpu_ms_per_run", 0.8, Word.BETTER),
        ("completed_per_s", 1.0, Word.SAME),
    ],
)
def test_the_direction_of_a_figure_says_what_is_better(metric: str, factor: float, word: Word) -> None:
    told = figure(*in_turn(SIX_A, [value * factor for value in SIX_A], metric), metric)
    assert told.word is word
    assert told.ratio == pytest.approx(factor)
    assert told.low is not None
    assert told.high is not None
    assert told.low <= factor + 1e-9
    assert told.high >= factor - 1e-9


def test_what_the_machine_does_to_both_of_a_pair_falls_out() -> None:
    # The pace of the machine triples over the session; B is 10 % quicker in each pair.
    pace = [100.0, 130.0, 170.0, 210.0, 250.0, 300.0]
    a, b = in_turn(pace, [value * 1.1 for value in pace])
    assert compare.compare(a, b).paired
    assert figure(a, b).word is Word.BETTER
    # The same rounds, all of A before all of B: nothing can be told any more.
    later = [round_of(1_000 + number, completed_per_s=value * 1.1) for number, value in enumerate(pace)]
    assert not compare.compare(a, later).paired
    assert figure(a, later).word is Word.SAME
    assert "not made in turn" in compare.compare(a, later).notes[0]


def test_a_difference_too_small_to_matter_is_none() -> None:
    a, b = in_turn(SIX_A, [value * 0.98 for value in SIX_A])
    assert figure(a, b).word is Word.SAME
    assert figure(a, b, least=0.01).word is Word.WORSE


def test_too_few_rounds_tell_nothing() -> None:
    told = figure(*in_turn([300.0] * (ROUNDS_MIN - 1), [100.0] * (ROUNDS_MIN - 1)))
    assert (told.word, told.low, told.high) == (Word.TOO_FEW, None, None)


def test_a_figure_that_was_zero_is_compared_by_its_difference() -> None:
    assert figure(*in_turn([0] * 6, [0] * 6, "lost"), "lost").word is Word.SAME
    told = figure(*in_turn([0] * 6, [3, 1, 2, 4, 2, 1], "lost"), "lost")
    assert (told.word, told.ratio) == (Word.WORSE, None)
    assert figure(*in_turn([0] * 6, [0, 0, 1, 0, 0, 0], "lost"), "lost").word is Word.SAME


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.7, 1.4]), st.booleans())
def test_a_large_difference_is_told_whatever_the_noise(seed: int, factor: float, paired: bool) -> None:
    draws = np.random.default_rng(seed)
    a, b = (draws.lognormal(0, 0.05, 8).tolist() for _ in "ab")
    rounds_a, rounds_b = in_turn([300 * value for value in a], [300 * factor * value for value in b])
    if not paired:
        rounds_b = [
            round_of(1_000 + number, completed_per_s=one.figures["completed_per_s"])
            for number, one in enumerate(rounds_b)
        ]
    assert figure(rounds_a, rounds_b).word is (Word.BETTER if factor > 1 else Word.WORSE)


@pytest.mark.parametrize("count", [ROUNDS_MIN, 10])
def test_of_rounds_that_do_not_differ_few_are_told_to(count: int) -> None:
    draws = np.random.default_rng(7)
    told = 0
    for _ in range(50):
        a, b = (draws.lognormal(5, 0.2, count).tolist() for _ in "ab")
        told += figure(*in_turn(a, b), least=0).word is not Word.SAME
    # One in twenty is what the interval promises; with five rounds it can be one in sixteen at best.
    assert told <= 8, told


# Latencies --------------------------------------------------------------------------------------------------------------


def test_percentiles_come_from_the_histograms_of_all_rounds_added() -> None:
    draws = np.random.default_rng(8)
    # Rounds of very different size: an average of their percentiles would be far off.
    latencies = [draws.lognormal(8, 0.5, count).astype(int).tolist() for count in (1_000, 50, 60, 70, 80)]
    a = [round_of(20 * number, each) for number, each in enumerate(latencies)]
    b = [round_of(20 * number + 10, [2 * value for value in each]) for number, each in enumerate(latencies)]
    together = Histogram.of([value for each in latencies for value in each])
    for percentile in ("p50", "p90", "p99"):
        told = figure(a, b, f"accept_ms.{percentile}")
        assert told.a == pytest.approx(together.percentile_us(PERCENTILES[percentile]) / 1_000, rel=0.002)
        assert told.ratio == pytest.approx(2.0, rel=0.005)
        assert told.word is Word.WORSE


def test_percentiles_without_histograms_are_not_compared() -> None:
    a, b = in_turn(SIX_A, SIX_A)
    assert "accept_ms.p99" in a[0].figures
    assert "accept_ms.p99" not in [one.metric for one in compare.compare(a, b).figures]


# What is not compared ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"digest": "another"}, "more than one plan"),
        ({"scenario": "chain"}, "more than one scenario"),
        (
            {"versions": {"machine": {"cores": 64, "processor": "x", "memory_bytes": 1 << 40, "system": "y"}}},
            "more than one machine",
        ),
        ({"valid": False, "verdict": "invalid"}, "6 of the 6 rounds of B were no fair test"),
    ],
)
def test_what_is_not_comparable_is_refused_with_the_reason(changed: dict[str, Any], says: str) -> None:
    a, _ = in_turn(SIX_A, SIX_A)
    b = [round_of(20 * number + 10, **changed) for number in range(6)]
    assert any(says in obstacle for obstacle in compare.compare(a, b).obstacles)


def test_how_busy_the_machine_was_makes_it_no_other() -> None:
    a, b = in_turn(SIX_A, SIX_A)
    b[0].document["versions"]["machine"]["load_before"] = 9.0
    assert compare.compare(a, b).obstacles == []


# Where rounds are read from ---------------------------------------------------------------------------------------------


def test_rounds_are_read_from_a_run_from_several_and_from_a_baseline(tmp_path: Path) -> None:
    for number in range(5):
        folder = tmp_path / "runs" / f"{number:02d}"
        write_document(folder / "summary.json", summary(number))
        write_document(folder / "histograms.json", {"accept_ms": Histogram.of([1_000 * number + 1]).encode()})
    assert len(rounds.read(tmp_path / "runs" / "03")) == 1
    several = rounds.read(tmp_path / "runs")
    assert [one.about.started_us for one in several] == [START_US + number * 1_000_000 for number in range(5)]
    baselines.save(tmp_path / "baseline.json", several)
    kept = rounds.read(tmp_path / "baseline.json")
    assert [(one.about, one.figures, one.histograms) for one in kept] == [
        (one.about, one.figures, one.histograms) for one in several
    ]


def test_a_benchmark_is_as_many_rounds_as_it_has(tmp_path: Path) -> None:
    row = {
        "runs_per_s": 8.0,
        "runs_per_s_rounds": [7.0, 8.0, 9.0],
        "cpu_ms_per_run": 0.2,
        "settings": {"rounds": 3, "seconds": 6},
    }
    write_document(
        tmp_path / "bench.json", {"machine": {"cores": 2}, "rows": {"pipeline": row}, "lost": 0, "started_us": 5}
    )
    found = rounds.read(tmp_path)
    assert [one.figures["pipeline.runs_per_s"] for one in found] == [7.0, 8.0, 9.0]
    assert [one.figures.get("pipeline.cpu_ms_per_run") for one in found] == [0.2, None, None]
    assert found[0].about.profile == "bench"
    baselines.save(tmp_path / "baseline.json", found)
    assert [one.figures for one in rounds.read(tmp_path / "baseline.json")] == [one.figures for one in found]


def test_what_an_analysis_says_is_compared_too(tmp_path: Path) -> None:
    for number in range(12):
        folder = tmp_path / "AB"[number % 2] / f"{number:02d}"
        write_document(folder / "summary.json", summary(number, profile="stress"))
        broke = {"broke_at_per_s": 900.0 + 300 * (number % 2), "steps": [{"rate": 5.0}], "machine": {"cores": 2}}
        write_document(folder / "analysis.json", broke)
    a, b = (rounds.read(tmp_path / side) for side in "AB")
    told = figure(a, b, "analysis.broke_at_per_s")
    assert (told.word, told.ratio) == (Word.BETTER, pytest.approx(4 / 3))
    assert not any("cores" in name or "steps" in name for name in a[0].figures)


def test_latencies_of_a_benchmark_are_its_own_rounds(tmp_path: Path) -> None:
    row = {"end_to_end_ms": {"p50": 1.0}, "histograms": {"end_to_end_ms": Histogram.of([1_000]).encode()}}
    for number in range(10):
        document = {"machine": {"cores": 2}, "rows": {"open_1000": row}, "lost": 0, "started_us": 5 + number}
        write_document(tmp_path / "AB"[number % 2] / f"{number}" / "bench.json", document)
    a, b = (rounds.read(tmp_path / side) for side in "AB")
    assert figure(a, b, "open_1000.end_to_end_ms.p50").word is Word.SAME


def test_a_place_without_rounds_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(rounds.RoundsError, match=r"no summary\.json, no bench\.json and no baseline"):
        rounds.read(tmp_path)
    (tmp_path / "summary.json").write_text('{"profile": 1')
    with pytest.raises(rounds.RoundsError, match=r"can't be read"):
        rounds.read(tmp_path)


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"digest": "x"}, "2 different plans"), ({"verdict": "unknown", "valid": None}, "verdict is unknown")],
)
def test_only_fair_rounds_of_one_plan_make_a_baseline(tmp_path: Path, changed: dict[str, Any], says: str) -> None:
    with pytest.raises(baselines.BaselineError, match=says):
        baselines.save(tmp_path / "baseline.json", [round_of(0), round_of(1, **changed)])


def test_rounds_of_several_commits_or_with_violations_are_compared_with_a_word() -> None:
    a, b = in_turn(SIX_A, SIX_A)
    mixed = [
        round_of(20 * number, commit=f"c{number % 2}", verdict="fail" if number else "pass") for number in range(6)
    ]
    assert compare.compare(a, b).notes == []
    assert compare.compare(mixed, b).notes == [
        "The rounds of A are of 2 commits.",
        "5 of the 6 rounds of A violated an invariant: look at that first.",
    ]


@pytest.mark.parametrize(
    "file", sorted((Path(__file__).parents[3] / "baselines").glob("*.json")), ids=lambda file: file.stem
)
def test_baselines_in_the_repository_can_be_compared_with(file: Path) -> None:
    kept = rounds.read(file)
    assert len(kept) >= ROUNDS_MIN
    told = compare.compare(kept, kept)
    assert told.figures
    assert told.of(Word.SAME) == told.figures
    assert told.obstacles == []
