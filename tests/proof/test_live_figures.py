"""What the suite tells Prometheus of a run that is under way."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from meshproof.cli import run_app
from meshproof.judge.verdicts import Counts, Result, Verdict, Verdicts
from meshproof.live.exporter import Exporter, ExporterError
from meshproof.live.families import FAMILIES, RUN, reference
from meshproof.live.figures import BOUNDS_S, LiveFigures
from meshproof.plan import Plan
from meshproof.supervise import Incidents

PAGE = Path(__file__).parent.parent.parent / "docs" / "concurrency" / "metrics.md"
LOOK: dict[str, Any] = {
    "at_us": 1_000_000,
    "phase": "steady",
    "sent": 10,
    "ok": 7,
    "new": 6,
    "fail": 2,
    "unknown": 1,
    "in_flight": 3,
    "accepted": 5,
    "terminal": 4,
    "roles": {"api": {"cpu_s": 1.5, "rss_bytes": 100, "processes": 1}},
}


@pytest.fixture
def incidents(tmp_path: Path) -> Incidents:
    made = Incidents(tmp_path / "incidents.ndjson")
    made.close()
    return made


@pytest.fixture
def figures(incidents: Incidents) -> LiveFigures:
    made = LiveFigures()
    plan = Plan(profile="load", scenario="mixed", seed=7, namespace="mpx", rate=1.0, duration_s=1.0)
    made.begin(plan, incidents, "embedded", lambda: [("api", "127.0.0.1:1"), ("worker", "127.0.0.1:2")])
    return made


def samples(figures: LiveFigures) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample, by the values of the labels that are not those of the run."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for metric in figures.collect():
        for sample in metric.samples:
            assert [sample.labels[name] for name in RUN] == ["mpx", "load", "mixed"]
            further = tuple(value for name, value in sample.labels.items() if name not in RUN)
            found.setdefault(sample.name, {})[further] = sample.value
    return found


def test_what_was_seen_is_what_is_told(figures: LiveFigures, incidents: Incidents) -> None:
    figures.saw(LOOK, accept_us=[900, 1_000, 2_000, 70_000_000], lag_us=[10])
    found = samples(figures)
    assert found["meshproof_sent_total"] == {(): 10}
    assert found["meshproof_outcomes_total"] == {("ok",): 7, ("fail",): 2, ("unknown",): 1}
    assert found["meshproof_runs_missing"] == {(): 1}
    assert found["meshproof_phase"] == {("steady",): 1}
    assert found["meshproof_role_cpu_seconds_total"] == {("api",): 1.5}
    buckets = found["meshproof_accept_seconds_bucket"]
    assert (buckets[("0.001",)], buckets[("0.0025",)], buckets[("60.0",)], buckets[("+Inf",)]) == (2, 3, 3, 4)
    assert found["meshproof_schedule_lag_seconds_count"] == {(): 1}
    assert len(buckets) == len(BOUNDS_S) + 1


def test_what_one_look_could_not_read_stands_as_it_was(figures: LiveFigures) -> None:
    figures.saw(LOOK, [], [])
    figures.saw({name: LOOK[name] for name in LOOK if name not in ("accepted", "terminal")} | {"sent": 20}, [], [])
    found = samples(figures)
    assert (found["meshproof_sent_total"][()], found["meshproof_runs_accepted"][()]) == (20, 5)


def test_what_is_missing_is_told_of_one_look_and_not_of_two(figures: LiveFigures) -> None:
    figures.saw(LOOK | {"new": 5}, [], [])
    later = {name: LOOK[name] for name in LOOK if name not in ("accepted", "terminal")}
    figures.saw(later | {"new": 50}, [], [])
    assert samples(figures)["meshproof_runs_missing"] == {(): 0}


def test_faults_are_seen_as_they_come_and_go(figures: LiveFigures, incidents: Incidents) -> None:
    incidents.fault_began("worker_killed")
    incidents.fault_began("frozen")
    incidents.fault_ended("frozen")
    found = samples(figures)
    assert found["meshproof_fault_active"] == {("worker_killed",): 1, ("frozen",): 0}
    assert found["meshproof_faults_total"] == {("worker_killed",): 1, ("frozen",): 1}


def test_another_run_begins_with_nothing(figures: LiveFigures, incidents: Incidents) -> None:
    figures.saw(LOOK, [1], [1])
    figures.judged(verdicts())
    assert samples(figures)["meshproof_invariants"] == {("pass",): 1}
    figures.begin(Plan("load", "mixed", 7, "mpx"), incidents, "embedded", list)
    assert set(samples(figures)) == {"meshproof_run_info"}


def verdicts() -> Verdicts:
    result = Result("a.b", "a", "…", Verdict.PASS, 1, 0, "…")
    return Verdicts(Verdict.PASS, True, "…", Counts(*[0] * 11), [result])


async def test_the_figures_and_where_to_scrape_are_served_and_the_last_look_is_waited_for(figures: LiveFigures) -> None:
    def get(path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
            return bytes(answer.read())

    last: asyncio.Task[bytes] | None = None
    async with Exporter(figures, 0) as exporter:
        port = exporter.port
        assert figures.wanted
        targets = json.loads(await asyncio.to_thread(get, "/targets"))
        assert [target["labels"]["job"] for target in targets] == ["meshproof", "meshhook-api", "meshhook-worker"]
        assert targets[1] == {
            "targets": ["127.0.0.1:1"],
            "labels": {"job": "meshhook-api", "run": "mpx", "profile": "load", "scenario": "mixed"},
        }
        text = await asyncio.to_thread(get, "/metrics")
        assert b'meshproof_run_info{profile="load",run="mpx"' in text
        assert b"process_cpu_seconds_total" in text
        with pytest.raises(urllib.error.HTTPError, match="404"):
            await asyncio.to_thread(get, "/")
        with pytest.raises(ExporterError, match="--metrics-port"):
            Exporter(figures, port)
        last = asyncio.create_task(asyncio.to_thread(get, "/metrics"))  # without it, leaving would wait
    assert b"meshproof_run_info" in await last


def test_every_profile_can_be_scraped() -> None:
    assert run_app.registered_commands
    for registered in run_app.registered_commands:
        assert registered.callback is not None
        assert {"metrics_port", "events"} <= registered.callback.__annotations__.keys(), registered.name


def test_the_page_lists_every_metric() -> None:
    assert reference() in PAGE.read_text(), "run: python tools/reference.py"
    assert all(family.name.endswith("_total") == (family.kind == "counter") for family in FAMILIES.values())
