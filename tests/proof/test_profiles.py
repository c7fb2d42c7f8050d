"""What follows from settings alone: plans, phases, the command that repeats a run."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from meshproof.phases import Phase, at
from meshproof.plan import Level, Plan
from meshproof.profiles import concurrency, load
from meshproof.profiles.flames import told
from meshproof.profiles.session import Driven
from meshproof.profiles.settings import RunSettings

LOAD = RunSettings("load", "mixed", seed=7, out=Path("out"), rate=250.0, warmup_s=2.0, duration_s=10.0, namespace="n")
LEVELS = RunSettings(
    "concurrency", "pipeline", seed=7, out=Path("out"), duration_s=4.0, levels=(5, 5_000), namespace="n"
)


def test_the_phases_of_a_load_follow_from_its_plan() -> None:
    driven = Driven(start_us=1_000_000, certificates=[])
    assert load.phases_of(load.plan_of(LOAD), driven, 14_000_000) == [
        Phase("warm-up", 1_000_000, 3_000_000),
        Phase("steady", 3_000_000, 13_000_000),
        Phase("drain", 13_000_000, 14_000_000),
    ]


def test_a_level_is_steady_from_full_to_the_last_sending() -> None:
    level = {"level": 5, "started_us": 10, "filled_us": 12, "last_sent_us": 90, "ended_us": 95}
    driven = Driven(start_us=10, certificates=[{"levels": [level]}])
    assert concurrency.phases_of(driven, 99) == [
        Phase("warm-up", 10, 12, 5),
        Phase("steady", 12, 90, 5),
        Phase("drain", 90, 95, 5),
        Phase("drain", 95, 99),
    ]


def test_a_level_is_a_number_of_runs_that_the_machine_has_no_say_in() -> None:
    assert concurrency.plan_of(LEVELS).levels == (Level(5, 1_005), Level(5_000, 15_000))


@pytest.mark.parametrize(
    ("elapsed_s", "phase"), [(0.0, "warm-up"), (1.9, "warm-up"), (2.0, "steady"), (11.9, "steady"), (12.0, "drain")]
)
def test_the_phase_while_sending(elapsed_s: float, phase: str) -> None:
    assert at(1_000_000 + round(elapsed_s * 1e6), 1_000_000, load.plan_of(LOAD)) == phase


@pytest.mark.parametrize("settings", [LOAD, LEVELS])
def test_the_command_repeats_the_plan(settings: RunSettings) -> None:
    words = shlex.split(settings.command())
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[:3] == ["meshproof", "run", settings.profile]
    again = RunSettings(
        settings.profile,
        options["--scenario"],
        seed=int(options["--seed"]),
        out=Path("elsewhere"),
        rate=float(options.get("--rate", 0)),
        warmup_s=float(options.get("--warmup", 0)),
        duration_s=float(options["--duration"]),
        levels=tuple(int(level) for level in options["--levels"].split(",")) if "--levels" in options else (),
        namespace="other",
    )
    plan_of = load.plan_of if settings.profile == "load" else concurrency.plan_of
    assert plan_of(again).digest == plan_of(settings).digest


def test_a_plan_knows_the_places_of_its_scenarios() -> None:
    plan: Plan = load.plan_of(LOAD)
    assert plan.place("simple") == "n-simple"


def test_a_profiler_that_may_not_look_says_what_to_do() -> None:
    path = Path("flames/api-1.svg")
    assert "CAP_SYS_PTRACE" in told(path, "Error: Permission Denied: Try running again with elevated permissions")
    assert told(path, "Error: No such process\n") == "no api-1.svg: Error: No such process"
