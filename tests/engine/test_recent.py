"""What was told lately: as the database would tell it, within bounds, and no work done twice."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from meshhook.frames import Position, Written, frames_of
from meshhook.recent import Passage, Recent
from meshhook.watching import Filter

ALL = 10**6


def row(place: int, workflow: str = "a", project: int = 0, status: str | None = None, events: int = 2) -> Written:
    """A journal row of a run of its own."""
    told = ",".join(f'{{"type":"step.completed","node":"n{number}"}}' for number in range(events))
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Written(Position(place), UUID(int=place), project, workflow, 1, 1, at, status, False, f"[{told}]")


def passage(*rows: Written) -> Passage:
    """What one look found, with nothing behind its last row."""
    first, last = rows[0].position, rows[-1].position
    assert first is not None
    assert last is not None
    return Passage(first, Position(last.place + 1), rows)


ROWS = [
    row(1),
    row(2, "b"),
    row(3, project=1),
    row(4, status="failed"),
    row(5, "c"),
    row(6, "b", status="failed"),
    row(7),
    row(8, "c"),
]


def recent(bytes_max: int = ALL) -> Recent:
    kept = Recent(bytes_max)
    for start in range(0, len(ROWS), 2):
        kept.add(passage(*ROWS[start : start + 2]))
    return kept


@pytest.mark.parametrize(
    "filter",
    [
        Filter(0),
        Filter(1),
        Filter(2),
        Filter(0, frozenset({"a"})),
        Filter(0, frozenset({"b", "a", "none"})),
        Filter(0, statuses=frozenset({"failed"})),
        Filter(0, frozenset({"b"}), frozenset({"failed"}), frozenset({"step.completed"})),
        Filter(0, types=frozenset({"run.failed"})),
    ],
)
def test_from_any_event_on_it_tells_what_is_wanted_once_and_in_order(filter: Filter) -> None:
    cursors = [Position(1), *(frame.order for of in ROWS for frame in frames_of(of)), Position(9)]
    for at in cursors:
        assert isinstance(at, Position)
        wanted = [frame for of in ROWS if filter.takes(of) for frame in filter.pick(frames_of(of)) if frame.order > at]  # type: ignore[operator]
        told = recent().behind(at, filter, ALL)
        assert told is not None
        assert (told.frames, told.upto, told.more) == (wanted, Position(9), False)


def test_a_page_ends_with_the_frame_that_fills_it_and_the_next_goes_on_behind() -> None:
    kept, filter, at = recent(), Filter(0), Position(1)
    whole = kept.behind(at, filter, ALL)
    found = []
    while True:
        told = kept.behind(at, filter, 1)
        assert told is not None
        found += told.frames
        at = told.upto
        if not told.more:
            break
        assert len(told.frames) == 1
    assert whole is not None
    assert found == whole.frames


def test_what_is_too_long_ago_is_not_known_and_the_last_passage_always_is() -> None:
    kept = recent(bytes_max=1)
    assert kept.behind(Position(6, 1, 2), Filter(0), ALL) is None
    told = kept.behind(Position(7), Filter(0), ALL)
    assert told is not None
    assert len(told.frames) == 4
    assert kept.behind(Position(12), Filter(0), ALL) == ([], Position(12), False)  # a place that is still to come
    kept.clear()
    assert kept.behind(Position(7), Filter(0), ALL) is None


def test_those_who_want_the_same_share_one_chunk_and_all_share_the_frames() -> None:
    of = passage(*ROWS)
    assert of.chunk(Filter(0)) is of.chunk(Filter(0))
    everything = {id(frame) for frame in of.chunk(Filter(0)).frames}
    assert {id(frame) for frame in of.chunk(Filter(0, frozenset({"b"}))).frames} <= everything
