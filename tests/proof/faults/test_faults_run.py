"""A real engine that is broken while it works, in one small run: a worker frozen past its leases, then API and worker killed."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from meshproof import evidence
from meshproof.cli import app
from meshproof.display import Display
from meshproof.faults import KINDS
from meshproof.ledger import read_document, read_lines
from meshproof.profiles import faults
from meshproof.profiles.settings import RunSettings
from meshproof.reaper import Reaper

LEASE_S = 2.0
# Where the machine is slow the generator may be late, and a worker may come back after the load: neither is known then.
MAY_BE_UNKNOWN = {"validity.generator", "liveness.workers", "liveness.backlog"}


@dataclass
class Broken:
    """What a run left."""

    out: Path
    summary: dict[str, Any]
    results: dict[str, dict[str, Any]]
    faults: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def broken(hermetic_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Broken:
    """Each call takes a second, so whoever is hit is in the middle of some. The seed has the zombie come first: how long that takes
    does not depend on the machine.
    """
    out = evidence.prepare(tmp_path_factory.mktemp("faults") / "evidence")
    settings = RunSettings(
        profile="faults",
        scenario="slow_call",
        seed=26,
        out=out,
        workers=2,
        rate=20.0,
        duration_s=14.0,
        calibrated=False,
        faults=("freeze-worker", "kill-both"),
        lease_s=LEASE_S,
        lead_s=1.0,
        calm_s=2.0,
    )
    with Reaper() as reaper, Display(Console(stderr=True), quiet=True) as display:
        asyncio.run(faults.run(settings, display, reaper))
    return Broken(
        out,
        read_document(out / "summary.json"),
        {result["name"]: result for result in read_document(out / "verdicts.json")["results"]},
        {fault["kind"]: fault for fault in read_lines(out / "faults.ndjson")},
    )


pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults")]


def test_it_ends_in_a_proof(broken: Broken) -> None:
    for name, result in broken.results.items():
        assert result["verdict"] == "pass" or (name in MAY_BE_UNKNOWN and result["verdict"] != "fail"), result
    summary = broken.summary
    assert (summary["lost"], summary["duplicated"], summary["wrong"], summary["stuck"]) == (0, 0, 0, 0)


def test_a_zombie_held_runs_past_its_leases_and_what_it_wrote_then_was_refused(broken: Broken) -> None:
    zombie = broken.faults["freeze-worker"]
    assert zombie["hit"]
    assert zombie["ended_us"] - zombie["began_us"] > LEASE_S * 1e6
    assert zombie["figures"]["held"] > 0
    assert zombie["figures"]["refused"] > 0


def test_what_was_killed_had_work_under_way_and_came_back(broken: Broken) -> None:
    killed = broken.faults["kill-both"]
    assert killed["hit"]
    assert killed["figures"]["held"] + killed["figures"]["transactions"] > 0
    said = Counter(
        (line["role"], line["what"].partition(":")[0]) for line in read_lines(broken.out / "incidents.ndjson")
    )
    for role in ("api", "worker"):
        assert said[role, "was ended on purpose (killed by SIGKILL)"] == 1
        assert said[role, "started again"] == 1
    assert said["fault", "freeze-worker"] == 1


def test_what_the_senders_do_not_know_is_on_record_as_unknown(broken: Broken) -> None:
    summary = broken.summary
    assert summary["attempted"] == read_document(broken.out / "plan.json")["attempts"]
    assert summary["attempted"] == summary["acknowledged"] + summary["refused"] + summary["unknown"]
    # While the API is away nobody listens, and whoever was in the middle of something does not know what became of it.
    assert summary["refused"] + summary["unknown"] > 0
    assert summary["acknowledged"] > 0


def test_the_report_and_the_plan_tell_of_the_faults(broken: Broken) -> None:
    report = (broken.out / "report.html").read_text(encoding="utf-8")
    planned = {fault["kind"] for fault in read_document(broken.out / "plan.json")["faults"]}
    assert planned == broken.faults.keys() <= KINDS.keys()
    assert all(kind in report for kind in planned)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--faults", "kill-everybody"), "There is no fault 'kill-everybody'"),
        (("--target", "http://127.0.0.1:8080"), "an engine of the suite's own only"),
        (("--faults", "stop-postgres", "--duration", "5"), "Give --duration"),
    ],
)
def test_what_was_asked_for_wrongly_is_said_with_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    done = CliRunner().invoke(app, ["run", "faults", *arguments, "--out", str(tmp_path / "out")])
    assert done.exit_code == 2, done.output
    assert complaint in re.sub(r"[\s│]+", " ", done.output)
