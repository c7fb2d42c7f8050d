"""Thresholds: which apply, what becomes of them, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import summary

from meshproof.judge.verdicts import Verdict
from meshproof.measure import thresholds
from meshproof.measure.thresholds import ThresholdError

FILE = """
"lost" = "== 0"

[load]
"accept_ms.p99" = "<= 9"
"completed_per_s" = [">= 200", "< 300"]

["load/mixed"]
"cpu_ms_per_run" = "<= 1.5"

["*/pipeline"]
"cpu_ms_per_run" = "<= 0.1"

[faults]
"lost" = "== 1"
"""


def test_bounds_apply_by_profile_and_scenario_and_are_kept_broken_or_unknown() -> None:
    held = thresholds.hold(thresholds.parse(FILE), summary())
    assert [(str(one.threshold), one.verdict) for one in held] == [
        ("lost == 0", Verdict.PASS),
        ("accept_ms.p99 <= 9", Verdict.PASS),
        ("completed_per_s >= 200", Verdict.PASS),
        ("completed_per_s < 300", Verdict.FAIL),
        ("cpu_ms_per_run <= 1.5", Verdict.FAIL),
    ]
    assert thresholds.verdict(held) is Verdict.FAIL


def test_what_the_run_does_not_tell_is_never_kept() -> None:
    held = thresholds.hold(thresholds.parse('"queue_ms.p99" = "<= 1000000"'), summary())
    assert [(one.value, one.verdict) for one in held] == [(None, Verdict.UNKNOWN)]
    assert thresholds.verdict(held) is Verdict.UNKNOWN


def test_no_threshold_is_kept() -> None:
    assert thresholds.verdict([]) is Verdict.PASS


@pytest.mark.parametrize("op", ["<=", ">=", "==", "!=", "<", ">"])
@pytest.mark.parametrize("bound", [1.9, 2, 2.1])
def test_every_operator_means_what_it_says(op: str, bound: float) -> None:
    (held,) = thresholds.hold(thresholds.parse(f'"cpu_ms_per_run" = "{op} {bound}"'), summary(cpu_ms_per_run=2.0))
    said = {"<=": bound >= 2, ">=": bound <= 2, "==": bound == 2, "!=": bound != 2, "<": bound > 2, ">": bound < 2}
    assert (held.verdict is Verdict.PASS) == said[op]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"latency.end_to_end.p99_ms" = "<= 250"', "Did you mean end_to_end_ms.p99 or"),
        ('[load]\n"accept_ms.p95" = "<= 250"', "no figure 'accept_ms.p95'"),
        ('"lost" = "0"', 'Write one as "<= 250"'),
        ('"lost" = 0', 'Write one as "<= 250"'),
        ('"lost" = ["== 0", "< x"]', "lost = '< x' is no bound"),
        ("lost = = 0", "line 1"),
    ],
)
def test_a_file_that_is_wrong_says_where_and_what_was_meant(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text(text)
    with pytest.raises(ThresholdError) as error:
        thresholds.read(path)
    assert str(path) in str(error.value)
    assert says in str(error.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ThresholdError, match="No such file"):
        thresholds.read(tmp_path / "none.toml")


def test_figures_of_a_benchmark_are_known_once_it_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text('[bench]\n"pipeline.runs_per_s" = ">= 8000"')
    measured = {"rows": {"pipeline": {"runs_per_s": 8175.0}}, "lost": 0}
    bounds = thresholds.read(path)
    assert thresholds.verdict(thresholds.hold(bounds, measured)) is Verdict.PASS
    with pytest.raises(ThresholdError, match=r"Did you mean pipelines\.runs_per_s"):
        thresholds.hold(bounds, {"rows": {"pipelines": {"runs_per_s": 8175.0}}, "lost": 0})
