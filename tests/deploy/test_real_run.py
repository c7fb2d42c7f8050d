"""A real Prometheus scrapes a real run of the suite and the engine under it: every rule is evaluated, every panel finds data."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshproof import scenarios
from meshproof.command import tell
from meshproof.display import Display
from meshproof.judge.verdicts import Verdict
from meshproof.live.option import PORT
from meshproof.profiles import load
from meshproof.profiles.session import conclude, drive, export, now_us, session, write_plan
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper
from meshproof.scenario_file import named
from meshproof.scenarios import OWN
from meshproof.target import free_port

from .test_dashboards import BOARDS, panels
from .tools import ROOT, RULES, needs_prometheus

pytestmark = [needs_prometheus, pytest.mark.slow, pytest.mark.xdist_group("engine")]

WAIT_S_MAX = 60.0
ENGINE_PROCESSES = 2
RATE_INTERVAL = "4s"


@dataclass
class Prometheus:
    """A running Prometheus, and the run it has seen."""

    port: int
    start_s: float = 0.0
    end_s: float = 0.0
    run: str = ""

    def get(self, path: str, **query: str) -> Any:
        """What its API answers."""
        url = f"http://127.0.0.1:{self.port}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]

    async def look_again(self) -> None:
        """Wait until both processes of the engine were scraped once more."""
        done_s = time.time()
        async with asyncio.timeout(WAIT_S_MAX):
            while True:
                seen = await asyncio.to_thread(self.get, "/api/v1/query", query="timestamp(meshhook_build_info)")
                if sum(float(one["value"][1]) > done_s for one in seen["result"]) == ENGINE_PROCESSES:
                    return
                await asyncio.sleep(0.1)

    def wait_for(self, expr: str) -> None:
        """Wait until an expression has a value; what was scraped is stored a moment later."""
        deadline = time.monotonic() + WAIT_S_MAX
        while not self.get("/api/v1/query", query=expr)["result"]:
            assert time.monotonic() < deadline, f"waited in vain for {expr}"
            time.sleep(0.05)

    def series(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression over the whole run that have at least one number in them."""
        text = expr.replace("$__rate_interval", RATE_INTERVAL).replace("$run", self.run)
        found = self.get("/api/v1/query_range", query=text, start=f"{self.start_s}", end=f"{self.end_s}", step="0.25")
        return [one for one in found["result"] if any(value not in ("NaN", "+Inf") for _, value in one["values"])]


@contextmanager
def prometheus(folder: Path, suite_port: int) -> Iterator[Prometheus]:
    """A Prometheus with all our rules, configured for test runs but that it evaluates them every second."""
    config = yaml.safe_load((RULES / "test-runs.yml").read_text())
    config["global"]["evaluation_interval"] = "1s"
    config["rule_files"] = [str(RULES / name) for name in ("alerts.yml", *config["rule_files"])]
    (discovery,) = config["scrape_configs"][0]["http_sd_configs"]
    discovery["url"] = discovery["url"].replace("9464", str(suite_port))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    words = ["--config.file", folder / "prometheus.yml", "--storage.tsdb.path", folder / "data"]
    words += ["--web.listen-address", f"127.0.0.1:{port}", "--log.level", "error"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["prometheus", *words], stdout=log, stderr=log)
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def watched() -> Iterator[Prometheus]:
    """A short run that was scraped from its begin to its verdict."""
    folder = Path(tempfile.mkdtemp(prefix="meshhook-prometheus-"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(OWN, "")  # what is adopted here is forgotten with it
        yield from watch(folder)
    scenarios.load.cache_clear()
    shutil.rmtree(folder)


def watch(folder: Path) -> Iterator[Prometheus]:
    """Run, be scraped, and keep Prometheus up for the questions."""
    settings = RunSettings(
        profile="load",
        scenario=named(str(Path(__file__).with_name("watched.py"))),
        seed=3,
        out=folder / "evidence",
        rate=60.0,
        duration_s=5.0,
        warmup_s=1.0,
        calibrated=False,  # no figure is taken from it
        engine_package=ROOT / "src",
    )
    settings.out.mkdir()
    port = free_port()
    with prometheus(folder, port) as scraping:
        scraping.start_s = time.time()
        chosen = PORT.set(port)
        try:
            verdict = tell(lambda display, reaper: run(settings, display, reaper, scraping), as_json=True)
        finally:
            PORT.reset(chosen)
        scraping.wait_for("last_over_time(meshproof_invariants[5m])")
        # A little later than now: steps of a range query are far between, and the last sample has just come.
        scraping.end_s, scraping.run = time.time() + 1, settings.namespace
        assert verdict in (Verdict.PASS, Verdict.UNKNOWN)  # it was not calibrated
        yield scraping


async def run(settings: RunSettings, display: Display, reaper: Reaper, scraping: Prometheus) -> Verdict:
    """A load like `meshproof run load`, but that nothing is calibrated and no floor measured."""
    plan = load.plan_of(settings)
    await write_plan(settings, plan, display)
    async with session(settings, plan, display, reaper) as under_way:
        driven = await drive(under_way, "Sending")
        await scraping.look_again()
        await export(under_way, load.phases_of(plan, driven, now_us()))
    return (await conclude(settings.out, display)).verdicts.verdict


def test_suite_and_engine_were_scraped_under_the_name_of_the_run(watched: Prometheus) -> None:
    jobs = {one["metric"]["job"] for one in watched.series(f'{{__name__=~"mesh(hook|proof)_.*",run="{watched.run}"}}')}
    assert jobs == {"meshproof", "meshhook-api", "meshhook-worker"}
    (variable,) = watched.get("/api/v1/label/run/values", **{"match[]": "meshproof_run_info"})
    assert variable == watched.run


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.stem)
def test_every_query_of_every_panel_finds_data(watched: Prometheus, board: Path) -> None:
    empty = [
        f"{panel['title']}: {target['expr']}"
        for panel in panels(board)
        for target in panel["targets"]
        if not watched.series(target["expr"])
    ]
    assert not empty


def test_marks_are_found_where_they_belong(watched: Prometheus) -> None:
    marks = {
        mark["name"]: watched.series(mark["expr"])
        for board in BOARDS
        for mark in json.loads(board.read_text())["annotations"]["list"]
    }
    assert all(marks[name] for name in ("Run begins", "Process started", "Verdict")), marks
    assert marks["Fault"] == []  # nothing was done to it


def test_every_rule_was_evaluated_and_every_recording_has_data(watched: Prometheus) -> None:
    rules = [rule for group in watched.get("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 40
    assert not [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"]
    recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
    silent = {name for name in recorded if not watched.series(name)}
    assert silent <= {"meshhook:accept_errors:ratio5m"}  # no webhook was answered with 5xx


def test_a_sound_run_raises_no_alarm(watched: Prometheus) -> None:
    # How late the generator is, and how long the engine took to be there, is the machine's doing.
    loud = {one["metric"]["alertname"] for one in watched.series('ALERTS{alertstate="firing"}')}
    assert loud <= {"MeshproofGeneratorLate", "MeshhookNoApi"}


def test_what_was_counted_outside_and_inside_is_the_same(watched: Prometheus) -> None:
    def last(expr: str) -> float:
        return max(float(value) for one in watched.series(expr) for _, value in one["values"])

    acknowledged = last('sum(meshproof_outcomes_total{outcome="ok"})')
    assert last("sum(meshhook_accepted_total)") == acknowledged
    assert last("sum(meshhook_runs_ended_total)") == last("sum(meshproof_runs_finished)")
    assert last("sum(meshhook_runs_started_total)") == last("sum(meshproof_runs_accepted)")
    assert last("sum(meshproof_runs_missing)") == 0


def test_no_process_tells_of_anything_that_is_not_documented(watched: Prometheus) -> None:
    pages = [ROOT / "docs" / "reference" / "metrics.md", ROOT / "docs" / "concurrency" / "metrics.md"]
    documented = set(re.findall(r"^\| `(mesh\w+)`", "".join(page.read_text() for page in pages), re.MULTILINE))
    told = watched.get("/api/v1/label/__name__/values")
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in told if re.match(r"mesh(hook|proof)_", name)}
    assert families == documented & families
    # Nothing was done to this run, and no process of it has ended.
    assert documented - families == {f"meshproof_{it}" for it in ("fault_active", "faults_total", "incidents_total")}
