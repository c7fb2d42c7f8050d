"""What a schedule does at a moment: overlap, missed ticks, jitter, start and end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshhook.timetable import HELD_LOOK, Plan, Tick, Timetable, due_at, faults_of, first_tick, plan, trigger_of

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def hourly(**changes: Any) -> Timetable:
    return Timetable(**{"cron": "0 * * * *"} | changes)


def planned(
    timetable: Timetable,
    tick_at: datetime | None,
    now: datetime,
    *,
    held_at: datetime | None = None,
    is_live: bool = False,
) -> Plan:
    return plan(timetable, "1", tick_at, held_at, is_live, now)


def hours(*numbers: int, missed: bool = False) -> list[Tick]:
    return [Tick(NOON.replace(hour=number), missed) for number in numbers]


def test_a_tick_in_time_starts_a_run_and_the_next_one_is_known() -> None:
    after = NOON.replace(hour=13)
    assert planned(hourly(), NOON, NOON) == Plan(hours(12), None, after, after, 0, 0)
    assert planned(hourly(), after, NOON) == Plan([], None, after, after, 0, 0)


@pytest.mark.parametrize(
    ("policy", "now", "start", "missed"),
    [
        ("skip", NOON + 5 * MINUTE, [], 4),
        ("once", NOON + 5 * MINUTE, hours(12, missed=True), 3),
        ("all", NOON + 5 * MINUTE, hours(10, 11, 12, missed=True), 1),
        # The last one is in time: to "once" it makes up for the others.
        ("skip", NOON, hours(12), 3),
        ("once", NOON, hours(12), 3),
        ("all", NOON, [*hours(9, 10, 11, missed=True), *hours(12)], 0),
    ],
)
def test_ticks_that_come_too_late(policy: Any, now: datetime, start: list[Tick], missed: int) -> None:
    timetable = hourly(missed=policy, missed_max=3)
    assert planned(timetable, NOON.replace(hour=9), now) == Plan(
        start, None, NOON.replace(hour=13), NOON.replace(hour=13), 0, missed
    )


@pytest.mark.parametrize(
    ("overlap", "is_live", "held", "start", "holds", "skipped"),
    [
        ("allow", True, None, [11, 12], None, 0),
        ("skip", False, None, [11], None, 1),
        ("skip", True, None, [], None, 2),
        ("queue", False, None, [11], 12, 0),
        ("queue", True, None, [], 11, 1),
        ("queue", False, 10, [10], 11, 1),
        ("queue", True, 10, [], 10, 2),
    ],
)
def test_ticks_that_meet_a_live_run(
    overlap: Any, is_live: bool, held: int | None, start: list[int], holds: int | None, skipped: int
) -> None:
    timetable = hourly(overlap=overlap, grace_s=86_400)
    held_at = None if held is None else NOON.replace(hour=held)
    found = planned(timetable, NOON.replace(hour=11), NOON, held_at=held_at, is_live=is_live)
    assert (found.start, found.skipped) == (hours(*start), skipped)
    assert found.held_at == (None if holds is None else NOON.replace(hour=holds))
    assert found.tick_at == NOON.replace(hour=13)
    assert found.due_at == (NOON.replace(hour=13) if holds is None else NOON + HELD_LOOK)


def test_a_held_tick_starts_when_the_run_before_has_ended() -> None:
    timetable = hourly(overlap="queue")
    found = planned(timetable, NOON.replace(hour=13), NOON + MINUTE, held_at=NOON)
    assert found == Plan(hours(12), None, NOON.replace(hour=13), NOON.replace(hour=13), 0, 0)


def test_nothing_ticks_before_the_start_or_after_the_end() -> None:
    timetable = hourly(starts_at=NOON, ends_at=NOON.replace(hour=14))
    assert first_tick(timetable, NOON - timedelta(days=30)) == NOON
    assert planned(timetable, NOON.replace(hour=14), NOON.replace(hour=14)) == Plan(hours(14), None, None, None, 0, 0)
    assert first_tick(timetable, NOON.replace(hour=14)) is None
    late = planned(hourly(missed="all", ends_at=NOON.replace(hour=13)), NOON, NOON + timedelta(days=9))
    assert (late.start, late.tick_at, late.due_at) == (hours(12, 13, missed=True), None, None)


def test_an_interval_counts_from_its_start() -> None:
    timetable = Timetable(every_s=7, starts_at=NOON + timedelta(seconds=3))
    assert first_tick(timetable, NOON) == NOON + timedelta(seconds=3)
    assert first_tick(timetable, NOON + timedelta(seconds=3)) == NOON + timedelta(seconds=10)


@given(st.integers(0, 10_000), st.integers(1, 86_400))
def test_jitter_is_bounded_and_always_the_same_for_a_tick(hour: int, jitter_s: int) -> None:
    timetable, tick = hourly(jitter_s=jitter_s), NOON + timedelta(hours=hour)
    due = due_at(timetable, "1", tick)
    assert tick <= due <= tick + timedelta(seconds=jitter_s)
    assert due == due_at(timetable, "1", tick)


def test_a_tick_waits_for_its_jitter() -> None:
    timetable = hourly(jitter_s=1800)
    due = due_at(timetable, "1", NOON)
    assert due > NOON
    assert planned(timetable, NOON, due - timedelta(microseconds=1)) == Plan([], None, NOON, due, 0, 0)
    assert planned(timetable, NOON, due).start == hours(12)
    assert len({due_at(timetable, str(salt), NOON) for salt in range(20)}) == 20, "schedules are spread"


def test_the_trigger_says_which_tick_it_was_on_both_clocks() -> None:
    timetable = hourly(
        timezone="Asia/Kathmandu", input={"day": "{{ trigger.scheduled_at }}", "n": "{{ trigger.missed }}"}
    )
    assert trigger_of(timetable, "nightly", Tick(NOON, missed=True), NOON + MINUTE) == {
        "schedule": "nightly",
        "tick": "2026-06-01T12:00:00Z",
        "scheduled_at": "2026-06-01T17:45:00+05:45",
        "fired_at": "2026-06-01T12:01:00Z",
        "missed": True,
        "body": {"day": "2026-06-01T17:45:00+05:45", "n": True},
    }


@pytest.mark.parametrize(
    ("timetable", "path", "reason"),
    [
        (Timetable(), "$", "exactly one"),
        (Timetable(cron="* * * * *", every_s=3), "$", "exactly one"),
        (Timetable(cron="x"), "$.cron", "no cron expression"),
        (Timetable(every_s=3, timezone="Mars/Olympus"), "$.timezone", "no time zone"),
        (hourly(starts_at=NOON, ends_at=NOON - MINUTE), "$.ends_at", "ends before"),
        (hourly(input={"a": ["{{ nonsense( }}"]}), "$.input.a[0]", "nonsense"),
        (hourly(input="{{ sum(trigger.tick) }}"), "$.input", "sum"),
    ],
)
def test_what_is_wrong_with_a_timetable_has_a_place(timetable: Timetable, path: str, reason: str) -> None:
    (fault,) = faults_of(timetable)
    assert (fault.path, reason in fault.message) == (path, True), fault
