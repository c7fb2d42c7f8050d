"""Watchers of live streams: the judge finds every kind of fault, and the engine makes none."""

from __future__ import annotations

import pytest
from tests.engine.processes import Running

from meshproof.rest import Api
from meshproof.tape import Key
from meshproof.told import Stored, faults_of
from meshproof.watcher import Address, Starter
from meshproof.watchers import Scale, measure

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


def test_each_stream_has_to_tell_its_own() -> None:
    stored = Stored()
    for path, key in [("/s?workflow=a", A), ("/s?workflow=a", B), ("/s?workflow=b", C)]:
        stored.add(path, key)
    assert stored.of_path("/s") == {A, B, C}
    assert stored.of_path("/s?workflow=a") == stored.of_run("run-1") == {A, B}
    starter = Starter(0, Address("", 0), "", "", runs={"run-1": [A], "run-2": [C]}, unended=["run-2"])
    assert starter.faults(stored) == [
        "the stream of run run-2 did not say that it had ended",
        "1 events missing, such as ('run-1', 2)",
    ]


async def test_every_watcher_sees_every_event_once_and_in_order(database: str) -> None:
    scale = Scale(watchers=30, workflows=3, rate=150.0, seconds=2.0, whole_share=0.2, quit_every_s=0.4, slow_share=0.1)
    async with Running("serve", database, watcher_buffer_bytes=16384) as api, Running("work", database):
        found = await measure(Api("127.0.0.1", api.port), database, scale)
    assert found["faults"] == {}
    assert found["exact"]
    assert found["watchers"] == {"whole": 6, "workflow": 18, "run": 6, "slow": 2}
    assert found["connections"] > 24  # some came back
    assert found["runs_watched"] >= 6
    assert found["refused"] == 0
    assert found["sent"]["accepted"] > 100
    assert set(found["notices"]) <= {"lagged"}
    assert found["lag_ms"]["p50"] > 0
    assert found["lag_of_runs_ms"]["p50"] > 0
