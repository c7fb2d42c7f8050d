"""What a figure is called, and which way it is better."""

from __future__ import annotations

import pytest
from documents import summary

from meshproof.measure import metrics
from meshproof.measure.metrics import Better


def test_figures_are_the_numbers_of_a_run_by_their_way() -> None:
    found = metrics.figures(summary())
    assert found["accept_ms.p99"] == 9.0
    assert found["rss_bytes_max.worker"] == 80_000_000
    assert "queue_ms" not in found  # it is null
    assert not {"seed", "valid", "started_us", "settings.rate", "versions.machine.cores"} & found.keys()


def test_figures_of_a_benchmark_are_those_of_its_rows() -> None:
    rows = {"pipeline": {"runs_per_s": 8_000.0, "runs_per_s_rounds": [7.0], "commit": "x", "settings": {"rounds": 5}}}
    assert metrics.figures({"rows": rows, "lost": 0, "machine": {"cores": 2}}) == {
        "pipeline.runs_per_s": 8_000.0,
        "lost": 0.0,
    }


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("completed_per_s", Better.MORE),
        ("pipeline.runs_per_s", Better.MORE),
        ("pipeline.floor_ratio", Better.MORE),
        ("floor.runs_per_s", Better.NEITHER),
        ("floor_runs_per_s", Better.NEITHER),
        ("end_to_end_ms.p99_9", Better.LESS),
        ("end_to_end_ms.max", Better.NEITHER),
        ("pipeline.accept_ms.p50", Better.LESS),
        ("cpu_ms_per_run", Better.LESS),
        ("wal_bytes_per_run", Better.LESS),
        ("rss_bytes_max.worker", Better.LESS),
        ("rss_bytes_max.suite", Better.NEITHER),
        ("open_1000.generator_lag_ms.p99", Better.NEITHER),
        ("overload.refused_per_s", Better.NEITHER),
        ("lost", Better.LESS),
        ("attempted", Better.NEITHER),
    ],
)
def test_every_figure_knows_which_way_is_better(name: str, way: Better) -> None:
    assert metrics.better(name) is way


def test_a_name_that_is_not_there_is_answered_with_those_that_are_meant() -> None:
    assert metrics.close_to("latency.end_to_end.p99_ms", metrics.expected())[0] == "end_to_end_ms.p99"
    assert metrics.close_to("completed_per_sec", metrics.expected())[0] == "completed_per_s"
    assert metrics.close_to("zzz", metrics.expected()) == []


def test_figures_are_shown_with_their_units() -> None:
    told = {
        "completed_per_s": 8174.9,
        "accept_ms.p99": 21.151,
        "rss_bytes_max.api": 85_659_648,
        "cpu_ms_per_run": 0.18007,
    }
    assert [metrics.shown(*one) for one in told.items()] == ["8,175/s", "21.2 ms", "85.7 MB", "0.180 ms"]
    assert metrics.shown("wal_bytes_per_run", 2442.03) == "2,442 bytes"
    assert metrics.shown("lost", 0.0) == "0"
