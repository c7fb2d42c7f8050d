"""A flood of refusals gets few rows, every one is counted, and a quiet endpoint beside it has all of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from meshhook.sampling import BURST, PER_S, Sampler


def test_a_flood_gets_a_bounded_number_of_rows_and_says_how_many_had_none() -> None:
    sampler = Sampler()
    rows = [sampler.sample(1, "signature-wrong", now=i / 1_000) for i in range(60_000)]  # a minute of 1,000 a second
    written = [row for row in rows if row is not None]
    assert len(written) == BURST + 60 * PER_S - 1
    assert len(written) + sum(written) >= 60_000 - 1_000 / PER_S, "all but those since the last row are told of"
    assert sampler.sample(2, "signature-wrong", now=60.0) == 0, "another endpoint is not the one that is flooded"


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("ab"), st.floats(0, 2)), max_size=200))
def test_every_refusal_is_a_row_or_told_by_a_later_one(refusals: list[tuple[int, str, float]]) -> None:
    sampler, now = Sampler(), 0.0
    noted: dict[tuple[int, str], int] = {}
    told: dict[tuple[int, str], int] = {}
    for endpoint, problem, pause_s in refusals:
        now += pause_s
        place = (endpoint, problem)
        noted[place] = noted.get(place, 0) + 1
        if (skipped := sampler.sample(endpoint, problem, now)) is not None:
            told[place] = told.get(place, 0) + 1 + skipped
    for (endpoint, problem), count in noted.items():
        now += 10_000.0
        last = sampler.sample(endpoint, problem, now)
        assert last is not None
        assert told.get((endpoint, problem), 0) + last == count
