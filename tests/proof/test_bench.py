"""The benchmark, as small as it gets: every row is there, and adds up."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from meshproof import bench
from meshproof.bench.in_flight import at_once
from meshproof.display import Display
from meshproof.ledger import read_document
from meshproof.reaper import Reaper
from meshproof.summary import KEYS

TINY = bench.Scale(
    rounds=1,
    floor_s=0.1,
    warm_s=0.1,
    seconds=0.4,
    open_s=0.3,
    open_warm_s=0.1,
    backlog=100,
    overload_s=0.5,
    in_flight=50,
    timers=50,
    bloat_s=0.3,
    build_s_max=1.0,
    statistics_s=0.0,  # what a run costs is not looked at here
)


@pytest.mark.slow
@pytest.mark.xdist_group("engine")
async def test_every_row_is_measured_and_written_down(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=140)
    with Reaper() as reaper, Display(console) as display:
        document = await bench.run(tmp_path, TINY, display, reaper)
    assert read_document(tmp_path / "bench.json") == document
    assert document["lost"] == 0
    rows = document["rows"]
    assert list(rows) == [
        "floor",
        "floor_keyed",
        "pipeline",
        "pipeline_keyed",
        "open_1000",
        "drain_200k",
        "signatures",
        "http_call",
        "in_flight",
        "timers",
        "bloat",
        "overload",
    ]
    for name in ("floor", "floor_keyed", "pipeline", "pipeline_keyed"):
        assert len(rows[name]["runs_per_s_rounds"]) == TINY.rounds
        low, high = rows[name]["runs_per_s_interval"]
        assert 0 < low <= rows[name]["runs_per_s"] <= high
    for name in ("pipeline", "pipeline_keyed", "open_1000"):
        assert set(KEYS) <= set(rows[name])
    row = rows["pipeline"]
    assert row["runs"] == row["acknowledged"] == row["attempted"]
    assert row["generator_cpu_share"] > 0
    assert rows["drain_200k"]["backlog"] > 0
    assert rows["drain_200k"]["door"]["failed"] == 0
    signed = rows["signatures"]
    assert signed["accepted_per_s"] > 0
    assert len(signed["unchecked_per_s_rounds"]) == TINY.rounds
    assert rows["http_call"]["steps_per_s"] > 0
    assert rows["http_call"]["in_a_row"]["calls_per_run"] == 5
    calls = rows["in_flight"]
    assert calls["calls"] == calls["done"] == calls["requests"] >= TINY.in_flight
    assert 0 < calls["in_flight_max"] <= calls["calls"]
    assert 0 < calls["held_max"] <= calls["calls"]
    assert calls["worker_rss_bytes_max"] > 0
    timers = rows["timers"]
    assert timers["timers"] == timers["accepted"] >= TINY.timers
    assert (timers["early"], timers["first_fired_s"] >= 0) == (0, True)
    held = rows["bloat"]
    assert held["held_s"] == TINY.bloat_s
    phases = [
        held[phase] for phase in ("before", "held_begin", "held_end", "after")
    ]  # too short for each to finish something
    assert sum(phase["completed_per_s"] for phase in phases) > 0
    assert sum(phase["start_ms"]["runs"] for phase in phases) > 0
    assert 0 < held["looks"]["front"]["pages"] <= 100
    assert held["looks"]["all"]["pages"] > 0
    assert held["over_time"]
    assert all(moment["look_pages"] > 0 for moment in held["over_time"])
    assert not held["is_disk_short"]
    assert rows["overload"]["refused_without_retry_after"] == 0
    console.print(bench.table(document))


def test_calls_in_flight_are_counted_by_the_time_they_take() -> None:
    assert at_once([], 1_000) == 0
    assert at_once([0, 500, 999, 1_000], 1_000) == 3
    assert at_once([0, 1_000, 2_000], 1_000) == 1


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(1.0, 1e6), min_size=1, max_size=10))
def test_the_interval_holds_the_middle_of_the_rounds_and_lies_among_them(rounds: list[float]) -> None:
    low, high = bench.bootstrap(rounds)
    assert min(rounds) <= low <= high <= max(rounds)
    assert bench.bootstrap(rounds) == [low, high]
