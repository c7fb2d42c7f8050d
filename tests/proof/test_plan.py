"""A plan is a function of its arguments: same seed, same bytes."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from meshproof import scenarios
from meshproof.plan import Level, Plan

LIGHT = [name for name in scenarios.names() if name not in ("large", "mixed")]
seeds = st.integers(0, 2**63)


def open_plan(
    seed: int, scenario: str, rate: float = 200.0, arrivals: Literal["poisson", "constant"] = "poisson"
) -> Plan:
    return Plan("load", scenario, seed, "t", rate=rate, warmup_s=0.1, duration_s=0.4, arrivals=arrivals)


@given(seeds, st.sampled_from(LIGHT), st.sampled_from(["poisson", "constant"]))
@settings(deadline=None, max_examples=30)
def test_the_same_seed_gives_the_same_bytes(seed: int, scenario: str, arrivals: Literal["poisson", "constant"]) -> None:
    one, two = open_plan(seed, scenario, arrivals=arrivals), open_plan(seed, scenario, arrivals=arrivals)
    assert list(one.attempts()) == list(two.attempts())
    assert [a.payload(seed) for a in one.attempts()] == [a.payload(seed) for a in two.attempts()]
    assert one.digest == two.digest


@given(seeds, st.sampled_from(LIGHT))
@settings(deadline=None, max_examples=20)
def test_another_seed_or_rate_gives_another_digest_and_another_namespace_the_same(seed: int, scenario: str) -> None:
    plan = open_plan(seed, scenario)
    assert plan.digest != open_plan(seed + 1, scenario).digest
    assert plan.digest != open_plan(seed, scenario, rate=201.0).digest
    assert plan.digest == replace(plan, namespace="other").digest


@given(seeds, st.sampled_from(scenarios.names()), st.floats(1.0, 3000.0))
@settings(deadline=None, max_examples=50)
def test_attempts_are_numbered_in_the_order_of_their_times(seed: int, scenario: str, rate: float) -> None:
    plan = open_plan(seed, scenario, rate=rate)
    attempts = list(plan.attempts())
    assert [attempt.n for attempt in attempts] == list(range(len(attempts)))
    assert all(before.at_us <= after.at_us for before, after in pairwise(attempts))
    assert all(0 <= attempt.at_us < 500_000 for attempt in attempts)


@given(seeds)
@settings(deadline=None, max_examples=20)
def test_a_redelivery_repeats_an_earlier_body_and_a_conflict_never_does(seed: int) -> None:
    bodies: dict[int, bytes] = {}
    for attempt in open_plan(seed, "duplicates", rate=4000.0).attempts():
        body = attempt.payload(seed)
        match attempt.kind:
            case "first":
                assert attempt.delivery not in bodies
                bodies[attempt.delivery] = body
            case "redelivery":
                assert bodies[attempt.delivery] == body
            case "conflict":
                assert bodies[attempt.delivery] != body


def test_the_shares_of_redeliveries_and_conflicts_are_those_of_the_scenario() -> None:
    plan = Plan("load", "duplicates", 1, "t", rate=20_000.0, duration_s=1.0, arrivals="constant")
    kinds = Counter(attempt.kind for attempt in plan.attempts())
    assert kinds.total() == 20_000
    assert abs(kinds["redelivery"] - 1_000) < 150
    assert abs(kinds["conflict"] - 200) < 70


def test_poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() -> None:
    per_window: dict[int, int] = defaultdict(int)
    plan = Plan("load", "simple", 1, "t", rate=1000.0, duration_s=20.0)
    for attempt in plan.attempts():
        per_window[attempt.at_us // 100_000] += 1
    counts = [per_window[window] for window in range(200)]
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / len(counts)
    assert 97 < mean < 103
    assert 70 < variance < 140  # of a Poisson process it is the mean; a constant rate has next to none


def test_constant_arrivals_are_evenly_spaced() -> None:
    times = [a.at_us for a in open_plan(1, "simple", rate=250.0, arrivals="constant").attempts()]
    assert times == list(range(0, 500_000, 4_000))


def test_a_blend_keeps_its_weights() -> None:
    plan = Plan("load", "mixed", 1, "t", rate=10_000.0, duration_s=1.0, arrivals="constant")
    counts = Counter(attempt.scenario for attempt in plan.attempts())
    weights = scenarios.load("mixed").blend
    assert set(counts) == set(weights) == set(plan.members())
    for name, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(counts[name] / 10_000 - share) < 0.02


def test_levels_follow_each_other_and_are_written_down() -> None:
    plan = Plan("concurrency", "simple", 1, "t", levels=(Level(5, 20), Level(50, 100)))
    document = plan.document()
    assert document["attempts"] == 120
    assert document["arrivals"] == "closed"
    assert document["levels"] == [
        {"in_flight": 5, "attempts": 20, "first_n": 0, "last_n": 19},
        {"in_flight": 50, "attempts": 100, "first_n": 20, "last_n": 119},
    ]


def test_the_document_names_every_endpoint_and_holds_every_definition() -> None:
    document = Plan("load", "mixed", 1, "t1", rate=100.0, duration_s=1.0).document()
    assert set(document["scenarios"]) == set(scenarios.load("mixed").blend)
    assert document["scenarios"]["large"]["endpoint"] == "t1-large"
    assert document["scenarios"]["large"]["definition"]["edges"]
    assert len(document["digest"]) == 64


def test_the_plan_of_a_seed_does_not_change_between_versions() -> None:
    # Whoever changes a generator of payloads or the drawing of arrivals changes every plan: then this digest is changed
    # too, and the changelog says so.
    assert Plan("load", "pipeline", 7, "t", rate=50.0, duration_s=1.0).digest == (
        "f057ebdc50c7ada051a7f1fa0ff889fbb2ab87ce50f5b6561a3cb9a59723c2b3"
    )
