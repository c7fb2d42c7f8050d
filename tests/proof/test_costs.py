"""What a run costs is what was spent between two looks, put to the stage it was spent in."""

from __future__ import annotations

from typing import Any

import pytest

from meshproof.costs import CALLED, STAGES, per_run, spent


def look(api: float, worker: float, postgres: float, **functions: tuple[int, float]) -> dict[str, Any]:
    counted = {name: {"calls": calls, "ms": ms} for name, (calls, ms) in functions.items()}
    roles = {"api": {"cpu_s": api}, "worker": {"cpu_s": worker}, "postgres": {"cpu_s": postgres}}
    return {"roles": roles, "database": {"functions": counted}}


def test_each_stage_has_its_own_and_its_share_of_the_database() -> None:
    before = look(1.0, 2.0, 3.0, accept=(10, 100.0))
    after = look(
        1.5, 2.8, 3.4, accept=(20, 130.0), claim=(5, 10.0), claim_ready=(5, 20.0), commit=(4, 40.0), strange=(1, 0.0)
    )
    cost = per_run(spent(before, after))
    assert cost is not None
    assert cost["cpu_ms"] == pytest.approx({"api": 500, "worker": 800, "postgres": 400})
    # 100 ms in functions: 30 of accept, 30 of claim and what it calls, 40 of commit.
    stages = {name: stage["cpu_ms"] for name, stage in cost["stages"].items()}
    assert stages == pytest.approx({"accept": 620, "queue": 120, "execute": 800, "commit": 160, "other": 0})
    assert sum(stages.values()) == pytest.approx(1_700)
    assert cost["round_trips"] == 10 + 5 + 4, "claim_ready is called by claim"


def test_without_counted_functions_the_roles_are_known_all_the_same() -> None:
    cost = per_run(spent(look(0.0, 0.0, 0.0), look(1.0, 1.0, 1.0)))
    assert cost == {
        "cpu_ms": {"api": 1_000.0, "worker": 1_000.0, "postgres": 1_000.0},
        "round_trips": 0.0,
        "stages": None,
    }
    assert per_run({}) is None


def test_no_function_is_in_two_stages() -> None:
    assert sum(map(len, STAGES.values())) == len(frozenset().union(*STAGES.values()))
    assert frozenset().union(*STAGES.values()) | {"answers"} >= CALLED
