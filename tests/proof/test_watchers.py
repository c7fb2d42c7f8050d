"""Watchers of live streams: the judge finds every kind of fault, and the engine makes none."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshproof.reaper import Reaper
from meshproof.supervise import Incidents
from meshproof.target import Embedded
from meshproof.watchers import Key, Scale, faults_of, measure

A, B, C = ("run-1", 1), ("run-1", 2), ("run-2", 1)


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        ([A, C, B], None),
        ([A, B], "1 events missing"),
        ([A, B, C, B], "1 events twice"),
        ([B, A, C], "event 1 of run run-1 behind event 2"),
        ([A, B, C, ("run-3", 1)], "1 events that are not its own"),
    ],
)
def test_every_kind_of_fault_is_found(seen: list[Key], fault: str | None) -> None:
    found = faults_of(seen, {A, B, C})
    assert found == [] if fault is None else any(fault in it for it in found)


@pytest.mark.slow
@pytest.mark.xdist_group("engine")
async def test_every_watcher_sees_every_event_once_and_in_order(tmp_path: Path) -> None:
    scale = Scale(watchers=30, workflows=3, rate=150.0, seconds=3.0, quit_every_s=0.4, slow_share=0.1)
    settings = {"watcher_buffer_bytes": "16384"}
    with Reaper() as reaper:
        incidents = Incidents(tmp_path / "incidents.ndjson")
        target = Embedded(workers=1, incidents=incidents, reaper=reaper, logs=tmp_path / "logs", settings=settings)
        try:
            await target.start()
            found = await measure(target, target.dsn, scale)
        finally:
            await target.stop()
    assert found["faults"] == {}
    assert found["exact"]
    assert found["connections"] > scale.watchers  # some came back
    assert found["slow"] == 3
    assert found["refused"] == 0
    assert found["sent"]["accepted"] > 100
    assert set(found["notices"]) <= {"lagged"}
    assert found["lag_ms"]["p50"] > 0
