"""A backlog is put in beside a real load, and what a quiet project sends is seen to start beside it."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from meshproof import facts
from meshproof.judge.tenants import time_starts
from meshproof.ledger import read_document, read_lines
from meshproof.plan import Plan

MESHPROOF = Path(sys.executable).with_name("meshproof")
PLAN = Plan("load", "noisy_neighbour", 5, "t", rate=50.0, warmup_s=1.0, duration_s=10.0, backlog=40)


def test_what_is_put_in_is_planned_as_well() -> None:
    prepared = list(PLAN.prepared())
    document = PLAN.document()
    assert len(prepared) == 50
    assert {(attempt.scenario, attempt.kind, attempt.at_us) for attempt in prepared} == {
        ("noise", "prepared", 3_000_000)
    }
    assert document["backlog"] == {"scenario": "noise", "runs": 40, "put_in": 50, "at_s": 3.0}
    assert document["attempts"] == len(list(PLAN.attempts()))
    assert sorted(document["scenarios"]) == ["noise", "noisy_neighbour"]
    numbers = Counter(attempt.n for attempt in [*prepared, *PLAN.attempts()])
    assert set(numbers.values()) == {1}
    assert PLAN.digest != replace(PLAN, backlog=41).digest


def test_a_backlog_is_as_large_as_the_scenario_says_unless_asked_otherwise() -> None:
    assert replace(PLAN, backlog=None).standing == 100_000
    assert replace(PLAN, scenario="simple", backlog=None).standing == 0


@pytest.mark.slow
@pytest.mark.xdist_group("engine")
def test_what_a_quiet_project_sends_does_not_wait_for_the_backlog_of_another(tmp_path: Path) -> None:
    out = tmp_path / "evidence"
    load = ("--rate", "300", "--warmup", "1", "--duration", "8", "--backlog", "10000", "--seed", "3")
    command = [MESHPROOF, "run", "load", "--scenario", "noisy_neighbour", *load, "--out", out]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    results = {result["name"]: result for result in read_document(out / "verdicts.json")["results"]}
    # How soon is soon, how many starts there are beside the backlog, and whether the generator keeps up depend on the machine
    # and on who else is at work on it; what is proved does not.
    for name in results.keys() - {"validity.generator", "tenants.neighbour"}:
        assert results[name]["verdict"] == "pass", (results[name], done.stdout)
    slowest_us, backlog_us = waits(out)
    assert slowest_us < backlog_us / 3
    plan = read_document(out / "plan.json")
    assert plan["backlog"]["put_in"] > plan["backlog"]["runs"] == 10_000
    assert len(list(read_lines(out / "sent" / "backlog.outcomes.ndjson"))) == plan["backlog"]["put_in"]
    assert read_document(out / "summary.json")["runs"] == plan["backlog"]["put_in"] + plan["attempts"]


def waits(out: Path) -> tuple[int, int]:
    """How long the slowest start of the quiet project took, and how long the backlog took to be worked off."""
    with facts.load(out) as found:
        found.once(time_starts)
        slowest_us = found.one("SELECT max(waited_us) FROM starts WHERE NOT prepared")
        backlog_us = found.one("SELECT max(finished_us) - min(accepted_us + waited_us) FROM starts WHERE prepared")
        return int(slowest_us), int(backlog_us)


def test_a_backlog_that_no_scenario_asks_for_is_refused(tmp_path: Path) -> None:
    command = [MESHPROOF, "run", "load", "--scenario", "simple", "--backlog", "10", "--out", tmp_path / "out"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 2
    assert "the scenario simple has none" in done.stdout
