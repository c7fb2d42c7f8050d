"""Generator processes, real ones: they share a plan, certify themselves, and never outlive the suite."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from meshproof.ledger import read_lines
from meshproof.load.generator import Generator, GeneratorError, calibrate, certificate_of, processes_for
from meshproof.load.process import Job
from meshproof.plan import Level, Plan

OPEN = Plan("load", "duplicates", 3, "t", rate=500.0, duration_s=0.4)


def numbers(folder: Path, kind: str) -> Counter[int]:
    return Counter(line["n"] for path in folder.glob(f"*.{kind}.ndjson") for line in read_lines(path))


async def test_two_processes_send_every_attempt_once(tmp_path: Path, null_port: int) -> None:
    job = Job(OPEN, "127.0.0.1", null_port, str(tmp_path), processes=2)
    async with Generator(job) as generator:
        start_us = generator.start()
        certificates = await generator.done()
    planned = Counter(attempt.n for attempt in OPEN.attempts())
    assert numbers(tmp_path, "attempts") == planned
    assert numbers(tmp_path, "outcomes") == planned
    assert sum(certificate["tally"]["ok"] for certificate in certificates) == planned.total()
    for path in tmp_path.glob("*.attempts.ndjson"):
        offsets = {attempt.n: attempt.at_us for attempt in OPEN.attempts()}
        assert all(line["intended_us"] == start_us + offsets[line["n"]] for line in read_lines(path))


async def test_the_certificate_holds_what_the_judge_asks_for(tmp_path: Path, null_port: int) -> None:
    calibration = await calibrate(OPEN, 1)
    async with Generator(Job(OPEN, "127.0.0.1", null_port, str(tmp_path))) as generator:
        generator.start()
        document = certificate_of(await generator.done(), calibration, OPEN.rate)
    (process,) = document["processes"]
    assert set(process["lag_ms"]) == {"p50", "p90", "p99", "p99_9", "max"}
    assert process["unsent"] == 0
    assert 0 < process["cpu_share"] <= 1.1
    assert document["target_per_s"] == 500.0
    assert document["calibration_per_s"] >= 1_000.0
    assert document["levels"] == []


async def test_a_closed_level_holds_exactly_its_number(tmp_path: Path, null_port: int) -> None:
    plan = Plan("concurrency", "simple", 1, "t", levels=(Level(3, 50), Level(40, 400)))
    async with Generator(Job(plan, "127.0.0.1", null_port, str(tmp_path))) as generator:
        generator.start()
        (certificate,) = await generator.done()
    assert [level["level"] for level in certificate["levels"]] == [3, 40]
    assert [level["in_flight_max"] for level in certificate["levels"]] == [3, 40]
    assert certificate["unsent"] == 0
    assert numbers(tmp_path, "outcomes").total() == 450


async def test_a_level_that_cannot_get_on_is_given_up_and_its_rest_is_unsent(tmp_path: Path, null_port: int) -> None:
    plan = Plan("concurrency", "simple", 1, "silent", levels=(Level(5, 50),))
    job = Job(plan, "127.0.0.1", null_port, str(tmp_path), level_s_max=0.2)
    async with Generator(job) as generator:
        generator.start()
        (certificate,) = await generator.done()
    assert certificate["unsent"] == 45
    assert numbers(tmp_path, "attempts").total() == 5


async def test_a_killed_process_is_no_silent_loss(tmp_path: Path, null_port: int) -> None:
    plan = Plan("load", "simple", 1, "t", rate=100.0, duration_s=60.0)
    async with Generator(Job(plan, "127.0.0.1", null_port, str(tmp_path))) as generator:
        generator.start()
        os.kill(generator.pids[0], signal.SIGKILL)
        with pytest.raises(GeneratorError, match="exit code -9"):
            await generator.done()


@pytest.mark.parametrize(
    ("cores", "rate", "processes"),
    [(1, 9_000, 1), (2, 9_000, 1), (3, 9_000, 1), (8, 400, 1), (8, 9_000, 3), (8, 90_000, 6)],
)
def test_the_engine_keeps_two_cores_and_no_more_processes_are_started_than_the_rate_takes(
    cores: int, rate: float, processes: int
) -> None:
    assert processes_for(cores, rate) == processes
