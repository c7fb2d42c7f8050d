"""The open model against the null server: the ledger holds every attempt and what came of it."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

import pytest

from meshproof import scenarios
from meshproof.ledger import read_lines
from meshproof.load.client import Connection
from meshproof.load.open_loop import OpenLoop, connections_for
from meshproof.load.recorder import Clock, Recorder
from meshproof.load.request import Requests
from meshproof.plan import Plan


async def drive(
    plan: Plan, folder: Path, port: int, in_flight_max: int = 1000, timeout_s: float = 10.0, connections: int = 2
) -> OpenLoop:
    requests = Requests(plan, "test")
    requests.fill()
    recorder = Recorder(folder, 0, Clock(time.time_ns() // 1_000))
    loop = OpenLoop(plan, requests, recorder, "127.0.0.1", port, in_flight_max, timeout_s)
    await loop.run(connections)
    recorder.close()
    return loop


async def test_every_planned_attempt_is_on_record_with_its_outcome(tmp_path: Path, null_port: int) -> None:
    plan = Plan("load", "duplicates", 5, "t", rate=2_000.0, duration_s=0.3)
    loop = await drive(plan, tmp_path, null_port)
    planned = list(plan.attempts())
    attempts = list(read_lines(tmp_path / "0.attempts.ndjson"))
    outcomes = {line["n"]: line for line in read_lines(tmp_path / "0.outcomes.ndjson")}
    assert loop.unsent == 0
    assert [(a["n"], a["k"], a["s"], a["i"]) for a in attempts] == [(p.n, p.kind, p.scenario, p.i) for p in planned]
    assert [a["hash"] for a in attempts] == [sha256(p.payload(5)).hexdigest() for p in planned]
    assert {a["intended_us"] - p.at_us for a, p in zip(attempts, planned, strict=True)} == {
        attempts[0]["intended_us"] - planned[0].at_us
    }
    assert len(outcomes) == len(planned)
    for attempt in attempts:
        outcome = outcomes[attempt["n"]]
        assert outcome["outcome"] == "ok"
        assert outcome["d"] == attempt["d"]
        assert attempt["intended_us"] <= outcome["sent_us"] <= outcome["reply_us"]


async def test_over_the_bound_in_flight_the_rest_is_unsent(tmp_path: Path, null_port: int) -> None:
    # The endpoint's name makes the null server keep silent, so everything stays in flight until it times out.
    plan = Plan("load", "simple", 1, "silent", rate=1_000.0, duration_s=0.1, arrivals="constant")
    loop = await drive(plan, tmp_path, null_port, in_flight_max=10, timeout_s=0.5)
    outcomes = Counter(line["outcome"] for line in read_lines(tmp_path / "0.outcomes.ndjson"))
    assert outcomes == {"unknown": 10}
    assert loop.unsent == 90
    assert len(list(read_lines(tmp_path / "0.attempts.ndjson"))) == 10


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_plan_without_gap_or_overlap(processes: int) -> None:
    plan = Plan("load", "pipeline", 1, "t", rate=500.0, duration_s=0.2)
    numbers: list[int] = []
    for process in range(processes):
        requests = Requests(plan, "test", process, processes)
        while requests.peek() is not None:
            numbers.append(requests.take().attempt.n)
    assert sorted(numbers) == [attempt.n for attempt in plan.attempts()]


@pytest.mark.parametrize(("rate", "connections"), [(10.0, 16), (1_000.0, 250), (20_000.0, 1_024)])
def test_a_stall_of_a_quarter_of_a_second_finds_its_connections_open(rate: float, connections: int) -> None:
    assert connections_for(rate) == connections


async def test_what_is_in_flight_takes_no_connection_more_than_were_opened_before_the_start(
    tmp_path: Path, null_port: int
) -> None:
    # Nothing is answered, as in a stall: each request keeps its connection.
    plan = Plan("load", "simple", 1, "silent", rate=1_000.0, duration_s=0.2, arrivals="constant")
    connections = connections_for(plan.rate)
    with counted_connections() as opened:
        loop = await drive(plan, tmp_path, null_port, timeout_s=0.5, connections=connections)
    assert loop.unsent == 0
    assert opened() == connections


@contextmanager
def counted_connections() -> Iterator[Callable[[], int]]:
    """Says how many connections were made meanwhile."""
    with patch.object(Connection, "connection_made", autospec=True, side_effect=Connection.connection_made) as made:
        yield lambda: int(made.call_count)


def test_no_request_leaves_a_cycle_behind() -> None:
    # The generator collects no garbage while it sends. A few objects may be those of another thread.
    left = {}
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for name in scenarios.names():
            requests = Requests(Plan("load", name, 1, "t", rate=30.0, duration_s=1.0), "test")
            made = sum(1 for _ in iter(requests.fill_one, False))
            if (cycles := gc.collect()) >= made:
                left[name] = cycles
    finally:
        gc.enable()
        gc.unfreeze()
    assert left == {}
