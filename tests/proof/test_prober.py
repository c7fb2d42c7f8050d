"""What the prober takes for a leak; that it finds none in the engine, and one in a bent engine, is shown by the mutants."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from meshproof.ledger import LineWriter, read_lines
from meshproof.load.prober import Prober
from meshproof.plan import Plan
from meshproof.scenarios import canary

PLAN = Plan(profile="load", scenario="tenants", seed=3, namespace="n", rate=20, duration_s=1)
RUNS = {"n-tenants": "run-of-default", "n-neighbour": "run-of-neighbour"}


class Rows:
    """A database with one run of each project."""

    async def fetch(self, query: str, places: list[str], count: int) -> list[dict[str, str]]:
        return [{"run_id": RUNS[place]} for place in places]


class Door:
    """Shows a project its own run, refuses all else by its name, and lets `leaks` slip."""

    def __init__(self, project: str, leaks: dict[str, str]) -> None:
        self.project = project
        self.leaks = leaks

    async def read(self, path: str) -> tuple[int, str]:
        if path in self.leaks:
            return 200, self.leaks[path]
        if path.endswith(f"run-of-{self.project}"):
            return 200, json.dumps({"output": canary(self.project, "la")})
        return 404, f"There is no {path}."


async def leaks_found(tmp_path: Path, leaks: dict[str, str]) -> set[tuple[str, str, str]]:
    """Look once; returns who was shown what of whom."""
    doors = {project: Door(project, leaks if project == "default" else {}) for project in ("default", "neighbour")}
    with LineWriter(tmp_path / "replies.ndjson") as replies:
        stop = asyncio.Event()
        stop.set()
        await Prober(PLAN, doors, Rows(), replies).run(stop)  # type: ignore[arg-type]
    lines = list(read_lines(tmp_path / "replies.ndjson"))
    assert {line["asker"] for line in lines if line["asker"] in line["marks"]} == {"default", "neighbour"}
    asked = {line["path"] for line in lines}
    assert asked == {
        "/api/v1/runs?limit=20",
        "/api/v1/workflows",
        *(f"/api/v1/workflows/{place}" for place in RUNS),
        *(f"/api/v1/runs/{run_id}" for run_id in RUNS.values()),
        *(f"/api/v1/runs/{run_id}/events" for run_id in RUNS.values()),
    }
    return {(line["asker"], line["path"], mark) for line in lines for mark in line["marks"] if mark != line["asker"]}


async def test_a_refusal_that_repeats_the_question_is_no_leak(tmp_path: Path) -> None:
    assert await leaks_found(tmp_path, {}) == set()


async def test_a_canary_or_a_name_that_was_not_asked_for_is_one(tmp_path: Path) -> None:
    found = await leaks_found(
        tmp_path,
        {
            "/api/v1/runs/run-of-neighbour": canary("neighbour", "la"),
            "/api/v1/runs?limit=20": '{"workflow": "n-neighbour"}',
        },
    )
    assert found == {
        ("default", "/api/v1/runs/run-of-neighbour", "neighbour"),
        ("default", "/api/v1/runs?limit=20", "neighbour"),
    }
